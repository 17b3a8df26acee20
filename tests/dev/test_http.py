"""HTTP of a real server: fidelity, errors, deadlines, the log."""

import os
import re
import socket

import pytest


def test_a_request_arrives_as_it_was_sent(shared):
    answer = shared.http.post(
        "/echo/a%2Fb/%E2%82%AC+c?x=1&x=2&empty=&plus=a+b&pct=%2B",
        headers=[("x-many", "one"), ("X-Many", "two"), ("cookie", 'k="v"; l=m')],
        content=b"\x00\xff",
    )
    assert answer.status_code == 200
    seen = answer.json()
    assert seen["raw_path"] == "/echo/a%2Fb/%E2%82%AC+c"
    assert seen["path"] == "/echo/a/b/€+c"
    assert seen["rest"] == "a/b/€+c"
    assert seen["query"] == [["x", "1"], ["x", "2"], ["empty", ""], ["plus", "a b"], ["pct", "+"]]
    assert seen["header"] == ["one", "two"]
    assert seen["cookies"] == {"k": "v", "l": "m"}
    assert seen["body"] == "\x00\xff"
    assert seen["client"] == "127.0.0.1"
    assert seen["host"] == shared.url.removeprefix("http://")
    assert answer.headers.get_list("x-many") == ["1", "2"]
    assert [cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")] == ["a", "b"]
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_bytes_in_a_path_that_no_url_may_have(shared):
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("GET /echo/€ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_head_and_options_and_unknown(shared):
    head = shared.http.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(shared.http.get("/").content)
    options = shared.http.options("/")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    wrong = shared.http.post("/")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    unknown = shared.http.get("/nowhere")
    assert unknown.status_code == 404
    assert unknown.headers["content-type"] == "application/problem+json"


def test_a_handler_that_raises_is_a_500_without_a_trace(shared, until):
    answer = shared.http.get("/boom")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    request_id = answer.json()["request_id"]
    log = until(lambda: shared.log() if re.search(r"GET +/boom +500", shared.log()) else "")
    said = log[log.index(request_id) :]
    assert 'app.py", line ' in said
    assert "KeyError: 'a secret of the handler'" in said
    assert "portable/dev" not in said.split("KeyError")[0]
    entry = next(one for one in shared.api("invocations") if one["request_id"] == request_id)
    assert entry["error"].startswith("KeyError: 'a secret of the handler' (app.py:")


def test_a_handler_that_exits_ends_no_server(shared):
    process = shared.http.get("/pid").json()["pid"]
    answer = shared.http.get("/exit")
    assert answer.status_code == 500
    assert shared.http.get("/pid").json()["pid"] == process


def test_an_answer_that_cannot_be_sent_is_a_500(shared):
    answer = shared.http.get("/header")
    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("path", "function"), [("/late", "late"), ("/late-async", "late-async")])
def test_a_deadline_that_passes_is_a_504(shared, path, function, until):
    answer = shared.http.get(path)
    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.elapsed.total_seconds() < 0.75
    said = "was cancelled: its deadline is near" if function == "late-async" else "took longer than its timeout"
    assert f"{function} {said}" in shared.log()
    if function == "late":  # its thread goes on; what it gives is dropped, and said to be
        until(lambda: shared.blob("done", "late"))
        until(lambda: f"late, request {answer.json()['request_id']}: ended" in shared.log())


def test_contexts_are_of_one_invocation(shared):
    first, second = shared.http.get("/pid").json(), shared.http.get("/pid").json()
    assert first["function"] == second["function"] == "http"
    assert second["cold"] is False
    assert len({first["id"], second["id"]}) == 2


def test_on_start_came_before_the_first_invocation(shared):
    process = shared.http.get("/pid").json()["pid"]
    assert shared.blob("done", "started") == str(process)
    assert process != os.getpid()


def test_the_log_has_a_line_of_eighty_columns_for_each_request(shared, until):
    path = "/echo/" + "x" * 200
    shared.http.get(path)
    shared.http.get("/echo/a%0Ab")
    line = until(lambda: re.search(r"^.*GET    /echo/x+….*$", shared.log(), re.MULTILINE))
    assert len(line.group()) <= 80
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET    /echo/x+…x+ 200 +[\d.]+ ms", line.group())


def test_a_client_that_goes_away_disturbs_nobody(shared):
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    assert shared.http.get("/").status_code == 200
