"""The pages below /_portable/ and their interface, and who may not use them."""

import pytest

from portable.dev.guard import refusal


def scope(method="GET", host="localhost:8000", client="127.0.0.1", **headers):
    pairs = [] if host is None else [(b"host", host.encode())]
    pairs += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"method": method, "scheme": "http", "headers": pairs, "client": (client, 1)}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "[::1]"])
def test_this_machine_may(host):
    assert refusal(scope("POST", host)) == ""
    assert refusal(scope("POST", host, origin=f"http://{host}", sec_fetch_site="same-origin")) == ""
    assert refusal(scope("POST", host, client="::ffff:127.0.0.1")) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "192.168.1.7:8000",
        "[::2]",
        "[::1",
        "",
        None,
    ],
)
def test_a_name_that_was_made_to_point_here_may_not_even_look(host):
    assert "Host" in refusal(scope("GET", host))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"origin": "https://localhost:8000"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(headers):
    for method in ("POST", "PUT", "DELETE"):
        assert "another site" in refusal(scope(method, **headers))
    assert refusal(scope("GET", **headers)) == ""


def test_another_machine_may_not():
    assert "machine" in refusal(scope(client="192.168.1.9"))
    assert "machine" in refusal(scope(client="::ffff:192.168.1.9"))


def test_refusals_of_a_real_server(shared):
    for method, headers in [
        ("GET", {"host": "evil.example"}),
        ("POST", {"origin": "http://evil.example"}),
        ("DELETE", {"sec-fetch-site": "cross-site"}),
    ]:
        answer = shared.http.request(method, "/_portable/queues/jobs/redrive", headers=headers)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
    assert shared.http.get("/", headers={"host": "evil.example"}).status_code == 200


def test_the_page_shows_everything_and_loads_nothing(shared, until):
    shared.write("files", "<script>alert(1)</script>", "x")
    shared.send("jobs", {"id": "<b>page</b>", "what": "reject"})
    until(lambda: "<b>page</b>" in shared.letters("jobs"))
    answer = shared.http.get("/_portable/")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = answer.text
    for text in ("GET /pid", "slow-work", "Redrive", "Run now", "0 8 * * * Europe/Paris", "shout"):
        assert text in page
    assert "<script" not in page
    assert "<b>page" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for outside in ('src="http', "src='http", "//cdn", "@import"):
        assert outside not in page
    assert shared.http.get("/_portable").status_code == 307


def test_buttons_lead_back_to_the_page(shared):
    form = {"content-type": "application/x-www-form-urlencoded", "origin": shared.url}
    answer = shared.http.post("/_portable/schedules/daily/run", headers=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/_portable/")
    shared.write("done", "to delete?&", "x")
    answer = shared.http.post("/_portable/buckets/done/delete", params={"key": "to delete?&"}, headers=form)
    assert answer.status_code == 303
    assert shared.blob("done", "to delete?&") is None


def test_blobs_are_written_read_listed_and_deleted(shared):
    blobs, blob = "/_portable/buckets/files/blobs", "/_portable/buckets/files/blob"
    for key in ("p/1", "p/2", "p/../3", "p/ü%2F"):
        shared.write("files", key, key)
    assert shared.keys("files", "p/") == ["p/../3", "p/1", "p/2", "p/ü%2F"]
    page = shared.http.get(blobs, params={"prefix": "p/", "after": "p/1", "limit": 1}).json()
    assert [one["key"] for one in page] == ["p/2"]
    html = {"content-type": "text/html"}
    shared.http.put(blob, params={"key": "p/page.html"}, content="<script>1</script>", headers=html)
    read = shared.http.get(blob, params={"key": "p/page.html"})
    assert read.headers["content-type"].startswith("text/html")
    assert read.headers["content-security-policy"].startswith("sandbox")
    assert shared.http.delete(blob, params={"key": "p/page.html"}).status_code == 200
    missing = shared.http.get(blob, params={"key": "p/page.html"})
    assert missing.status_code == 404
    assert shared.http.get("/_portable/buckets/nobody/blobs").status_code == 404
    assert shared.http.put(blob, params={"key": "x" * 2000}, content="x").status_code == 400


def test_the_openapi_document_names_every_path(shared):
    paths = shared.api("openapi.json")["paths"]
    assert set(paths) >= {
        "/_portable/status",
        "/_portable/functions",
        "/_portable/functions/{name}",
        "/_portable/schedules/{name}/run",
        "/_portable/queues/{name}/dead-letters",
        "/_portable/queues/{name}/redrive",
        "/_portable/buckets/{name}/blobs",
        "/_portable/buckets/{name}/blob",
        "/_portable/parked/{event}/retry",
    }
