"""A project in a temporary folder, and real servers of it on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

APP = """
import os
import time
from datetime import timedelta
from typing import Any

from portable import App, BlobEvent, Context, HTTPError, Message, Reject, Request, Response, Retry, Tick

app = App("play")
files = app.bucket("files")
done = app.bucket("done")
jobs = app.queue("jobs", dict, max_attempts=2)
slow_jobs = app.queue("slow-jobs", dict, max_attempts=4)


@app.on_start
def warm() -> None:
    done.write("started", str(os.getpid()))


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/pid")
async def pid(context: Context) -> dict[str, Any]:
    return {"pid": os.getpid(), "cold": context.cold_start, "function": context.function, "id": context.request_id}


@app.route("/echo/{rest:path}", methods=["GET", "POST", "HEAD"])
def echo(rest: str, request: Request) -> Response:
    answer = Response(
        {
            "method": request.method,
            "rest": rest,
            "path": request.path,
            "raw_path": request.raw_path,
            "query": request.query.items(),
            "cookies": request.cookies,
            "header": request.headers.get_all("x-many"),
            "host": request.host,
            "client": request.client,
            "body": request.body.decode("latin-1"),
        },
        headers=[("x-many", "1"), ("x-many", "2")],
    )
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@app.get("/boom")
def boom() -> None:
    raise KeyError("a secret of the handler")


@app.get("/exit")
async def leave() -> None:
    raise SystemExit(3)


@app.get("/header")
def bad_header() -> Response:
    return Response("x", headers={"x-bad": "a\\r\\nset-cookie: evil=1"})


@app.get("/late", function="late", timeout=timedelta(milliseconds=300))
def late() -> str:
    time.sleep(0.8)
    done.write("late", "ended")
    return "too late"


@app.get("/late-async", function="late-async", timeout=timedelta(milliseconds=200))
async def late_async() -> str:
    import asyncio

    await asyncio.sleep(30)
    return "too late"


@app.get("/pause/{ms:int}")
def pause(ms: int) -> dict[str, int]:
    time.sleep(ms / 1000)
    return {"pid": os.getpid()}


@app.on_message(jobs, batch_size=5)
def work(messages: list[Message[dict[str, Any]]]) -> None:
    for message in messages:
        what = message.body.get("what")
        files.write(f"seen/{message.body['id']}-{message.attempt}", "x")
        if what == "fail":
            message.fail(ValueError("asked to fail"))
        elif what == "reject":
            message.fail(Reject("never"))
        elif what == "soon" and message.attempt == 1:
            message.fail(Retry(after=timedelta(milliseconds=50)))


@app.on_message(slow_jobs, batch_size=1)
def slow_work(message: Message[dict[str, Any]]) -> None:
    done.write(f"begun/{message.body['id']}-{message.attempt}", "x")
    if message.attempt == 1:
        time.sleep(message.body.get("seconds", 0))
    done.write(f"ended/{message.body['id']}", str(message.attempt))


@app.on_blob(files, prefix="in/", suffix=".txt")
async def shout(event: BlobEvent) -> None:
    if "bad" in event.key:
        raise ValueError("cannot be shouted")
    done.write(event.key, (await files.aread(event.key)).upper())


@app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris")
async def daily(tick: Tick, context: Context) -> None:
    await done.awrite("tick", tick.scheduled_at.isoformat())


@app.function()
def count(payload: dict[str, Any]) -> dict[str, Any]:
    return {"blobs": sum(1 for _ in files.list(payload.get("prefix", "")))}
"""


class DevServer:
    """A ``portable dev`` that runs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, root: Path) -> None:
        self.process = process
        self.root = root
        self._log = log
        self.url = self._wait_for_banner()
        self.http = httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def _wait_for_banner(self) -> str:
        found = until(lambda: re.search(r"app +(http://\S+)", self.log()) or self.process.poll() is not None, 30)
        assert found is not True, self.log()
        return found.group(1)

    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def api(self, path: str) -> object:
        answer = self.http.get(f"/_portable/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, path: str, payload: object = None) -> httpx.Response:
        return self.http.post(f"/_portable/{path}", json=payload)

    def letters(self, queue: str) -> list[str]:
        """What is in the dead letters: the ids of their bodies, or these."""
        bodies = [one["body"] for one in self.api(f"queues/{queue}/dead-letters")]
        return [body.get("id") if isinstance(body, dict) else body for body in bodies]

    def blob(self, bucket: str, key: str) -> str | None:
        answer = self.http.get(f"/_portable/buckets/{bucket}/blob", params={"key": key})
        return answer.text if answer.status_code == 200 else None

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        answer = self.http.get(f"/_portable/buckets/{bucket}/blobs", params={"prefix": prefix})
        return [one["key"] for one in answer.json()]

    def write(self, bucket: str, key: str, data: str) -> None:
        answer = self.http.put(f"/_portable/buckets/{bucket}/blob", params={"key": key}, content=data)
        assert answer.status_code == 200, answer.text

    def send(self, queue: str, body: object) -> str:
        answer = self.call(f"queues/{queue}/messages", body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def queue(self, name: str) -> dict[str, object]:
        return next(one for one in self.api("queues") if one["name"] == name)

    def edit(self, before: str, after: str) -> None:
        source = self.root / "app.py"
        text = source.read_text("utf-8")
        assert before in text
        saved = source.with_suffix(".new")  # whole at once, as editors save
        saved.write_text(text.replace(before, after), "utf-8")
        saved.replace(source)

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def until(found, timeout: float = 10.0):
    """What ``found()`` gives, once it is true. Errors of a connection count as false."""
    limit = time.monotonic() + timeout
    while True:
        value = None
        with contextlib.suppress(httpx.TransportError):
            value = found()
        if value:
            return value
        assert time.monotonic() < limit, f"not within {timeout:g} s"
        time.sleep(0.02)


def run_dev(root: Path, *options: str) -> subprocess.Popen[bytes]:
    log = (root.parent / f"{root.name}.log").open("ab")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTABLE_")}
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "portable.cli", "dev", *options],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def make_project(root: Path, source: str = APP) -> Path:
    root.mkdir()
    (root / "app.py").write_text(source, "utf-8")
    return root


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "play")


@pytest.fixture
def start(project):
    """``start(*options)``: a server of the project, ended with the test. Several follow one another."""
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> DevServer:
            log = project.parent / f"{project.name}.log"
            log.write_bytes(b"")
            server = DevServer(run_dev(project, "--port", "0", *options), log, project)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One server for all tests that change nothing others see."""
    root = make_project(tmp_path_factory.mktemp("dev") / "play")
    server = DevServer(run_dev(root, "--port", "0"), root.parent / "play.log", root)
    yield server
    server.close()


@pytest.fixture(scope="session")
def dev_server():
    """``dev_server(root)``: a server of another project; whoever starts it closes it."""

    def start(root: Path, *options: str) -> DevServer:
        log = root.parent / f"{root.name}.log"
        log.write_bytes(b"")
        return DevServer(run_dev(root, "--port", "0", *options), log, root)

    return start


@pytest.fixture(name="run_dev")
def _run_dev():
    """``run_dev(root, *options)``: the finished command: its status and what it printed."""

    def run(root: Path, *options: str) -> tuple[int, str]:
        process = run_dev(root, *options)
        try:
            status = process.wait(30)
        finally:
            process.kill()
            process.wait()
        return status, (root.parent / f"{root.name}.log").read_text("utf-8")

    return run
