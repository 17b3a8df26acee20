"""Saving a file, breaking it, restarting, killing: nothing is refused and nothing is lost."""

import os
import signal
import threading

import httpx


def test_no_request_is_refused_while_it_reloads(start, until):
    server = start()
    first = server.http.get("/pid").json()["pid"]
    answers, errors, over = [], [], threading.Event()

    def ask():
        while not over.is_set():
            try:
                answers.append(httpx.get(f"{server.url}/", timeout=20, trust_env=False).json()["hello"])
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for before, after in (("world", "moon"), ("moon", "sun")):
        server.edit(f'"hello": "{before}"', f'"hello": "{after}"')
        until(lambda after=after: answers[-1:] == [after])
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(dict.fromkeys(answers)) == ["world", "moon", "sun"]
    assert server.http.get("/pid").json()["pid"] != first
    assert "app.py changed" in server.log()


def test_what_is_in_hand_ends_before_the_old_worker_does(start, until):
    server = start()
    server.http.get("/")
    server.send("slow-jobs", {"id": "hand", "seconds": 1.0})
    until(lambda: server.blob("done", "begun/hand-1"))
    slow = []
    thread = threading.Thread(target=lambda: slow.append(httpx.get(f"{server.url}/pause/800", trust_env=False)))
    thread.start()
    server.edit('"hello": "world"', '"hello": "new"')
    until(lambda: server.http.get("/").json()["hello"] == "new")
    thread.join()
    assert slow[0].status_code == 200
    assert until(lambda: server.blob("done", "ended/hand")) == "1"
    assert server.blob("done", "begun/hand-2") is None


def test_an_app_that_does_not_start_is_a_503_until_it_does(start, until):
    server = start()
    server.edit("def hello()", "def hello(")
    answer = until(lambda: (found := server.http.get("/")).status_code == 503 and found)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("The app does not start: SyntaxError: ")
    assert "(app.py:" in answer.json()["detail"]
    assert "Traceback" not in answer.text
    assert server.http.get("/_portable/").status_code == 200
    assert server.http.get("/_portable/queues").status_code == 503
    assert "importlib" not in server.log()
    server.edit("def hello(", "def hello()")
    server.edit("app = App", "import no_such_module\napp = App")
    answer = until(lambda: (found := server.http.get("/")).status_code == 503 and "no_such" in found.text and found)
    assert "ModuleNotFoundError: No module named 'no_such_module' (app.py:" in answer.json()["detail"]
    server.edit("import no_such_module\n", "import os; os._exit(9)\n")
    until(lambda: "its process ended with status 9, again and again" in server.http.get("/").text)
    server.edit("import os; os._exit(9)\n", "")
    assert until(lambda: (found := server.http.get("/")).status_code == 200 and found).json() == {"hello": "world"}


def test_state_survives_a_restart(start, until):
    server = start()
    server.write("files", "kept", "data")
    server.send("jobs", {"id": "kept", "what": "reject"})
    until(lambda: server.queue("jobs")["dead_letters"] == 1)
    server.write("files", "in/bad.txt", "x")
    until(lambda: "in/bad.txt" in server.log())
    assert server.stop(signal.SIGTERM) == 0
    again = start()
    assert again.blob("files", "kept") == "data"
    assert again.queue("jobs")["dead_letters"] == 1
    until(lambda: "created files/in/bad.txt, attempt" in again.log())
    work = next(one for one in again.api("functions") if one["name"] == "work")
    assert work["last"]["outcome"] == "rejected"
    assert again.stop() == 0
    assert "Traceback (most recent call last):\n  File" not in again.log().replace("cannot be shouted", "")[:100]


def test_kill_9_in_the_middle_loses_no_message(start, until):
    server = start()
    for number in range(4):
        server.send("slow-jobs", {"id": f"k{number}", "seconds": 60})
    until(lambda: len(server.keys("done", "begun/")) == 4)  # as many as run at once
    worker = server.api("status")["process"]
    os.kill(worker, signal.SIGKILL)
    until(lambda: len(server.keys("done", "ended/")) == 4)
    assert "the worker process ended by itself, with signal 9" in server.log()
    assert server.queue("slow-jobs")["depth"] == 0


def test_kill_9_of_everything_loses_no_message(start, until):
    server = start()
    server.send("slow-jobs", {"id": "all", "seconds": 60})
    until(lambda: server.blob("done", "begun/all-1"))
    worker = server.api("status")["process"]
    server.process.kill()
    os.kill(worker, signal.SIGKILL)
    server.process.wait()
    again = start()
    assert until(lambda: again.blob("done", "ended/all")) == "2"


def test_a_worker_ends_with_its_supervisor(start, until):
    server = start()
    worker = server.http.get("/pid").json()["pid"]
    server.process.kill()
    server.process.wait()

    def gone():
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        return False

    until(gone)
