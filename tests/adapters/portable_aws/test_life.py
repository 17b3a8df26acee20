"""The life of an instance under AWS's own runtime client: deadlines, SIGTERM, SnapStart's snapshots."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from portable.run.processes import LOOPBACK

APP = """
import asyncio
import os
import time
from pathlib import Path

from portable import App

app = App("life")
LOG = Path(os.environ["LIFE_LOG"])


def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")


app.on_start(lambda: note("start"))
app.on_stop(lambda: note("stop"))
app.before_snapshot(lambda: note("save"))
app.after_restore(lambda: note("restore"))


@app.get("/")
def home() -> str:
    return "home"


@app.get("/hangs")
def hangs() -> str:
    time.sleep(30)
    return "too late"


@app.get("/waits")
async def waits() -> str:
    await asyncio.sleep(30)
    return "too late"
"""
ENTRY = 'from portable_aws.runtime import entry\nhandler = entry("app:app", "http", None, "http-api")\n'


class RuntimeAPI(ThreadingHTTPServer):
    """Lambda's side: hands out what is put in, keeps what comes back."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Exchange)
        self.events: queue.Queue[tuple[dict[str, Any], float] | None] = queue.Queue()
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.restored = threading.Event()
        self.saved = threading.Event()

    def ask(self, path: str, seconds: float = 30) -> tuple[str, Any]:
        """Hand out a request with a deadline; what it was answered, by the end of the path it came to."""
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {},
            "requestContext": {"http": {"method": "GET"}, "stage": "$default"},
            "isBase64Encoded": False,
        }
        self.events.put((event, seconds))
        return self.answers.get(timeout=60)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is ended leaves its connection."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeAPI

    def do_GET(self) -> None:
        if self.path.endswith("/restore/next"):
            self.server.saved.set()
            self.server.restored.wait(60)
            self._send(200, b"{}")
            return
        found = self.server.events.get()
        if found is None:
            self.close_connection = True
            return
        event, seconds = found
        self._send(200, json.dumps(event).encode(), time.time() + seconds)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.put((self.path.rpartition("/")[2], json.loads(body)))
        self._send(202, b"{}")

    def _send(self, status: int, body: bytes, deadline: float = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if deadline:
            self.send_header("Lambda-Runtime-Aws-Request-Id", "r1")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000)))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:f")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[RuntimeAPI]:
    server = RuntimeAPI()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.events.put(None)
    server.restored.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Instance:
    """One process of awslambdaric."""

    def __init__(self, api: RuntimeAPI, client: Path, folder: Path, **environment: str) -> None:
        self.notes = folder / "notes"
        self.output = folder / "output"
        (folder / "app.py").write_text(APP)
        (folder / "entry_module.py").write_text(ENTRY)
        root = Path(__file__).parents[3]
        paths = [str(folder), str(client), str(root), str(root / "adapters")]
        surroundings = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "AWS_LAMBDA_RUNTIME_API": f"{LOOPBACK}:{api.server_address[1]}",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "LIFE_LOG": str(self.notes),
            **environment,
        }
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", "entry_module.handler"],
                cwd=folder,
                env=surroundings,
                stdout=log,
                stderr=log,
            )

    def noted(self) -> list[str]:
        """What the app's hooks wrote."""
        return self.notes.read_text().split() if self.notes.exists() else []


@pytest.fixture
def start(api: RuntimeAPI, require_part: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    client = require_part("awslambdaric", version).path
    started: list[Instance] = []

    def make(**environment: str) -> Instance:
        started.append(Instance(api, client, tmp_path, **environment))
        return started[0]

    yield make
    for instance in started:
        instance.process.kill()
        instance.process.wait()


@pytest.mark.parametrize("path", ["/hangs", "/waits"])
def test_what_hangs_is_answered_before_the_deadline(api: RuntimeAPI, start: Callable[..., Instance], path: str) -> None:
    instance = start()
    assert api.ask("/") == ("response", {"statusCode": 200, "body": "home", "headers": _TEXT, "isBase64Encoded": False})
    begin = time.time()
    kind, answer = api.ask(path, 8)
    assert (kind, answer["statusCode"], time.time() - begin < 8) == ("response", 504, True)
    assert json.loads(answer["body"])["request_id"] == "r1"
    log = instance.output.read_text()
    assert "http nears its deadline" in log
    assert f"in {path[1:]}" in log
    assert ("was interrupted" if path == "/hangs" else "was cancelled") in log
    assert api.ask("/")[1]["body"] == "home"  # the next invocation is none the worse for it


_TEXT = {"content-type": "text/plain; charset=utf-8"}


def test_sigterm_calls_the_stop_hooks(api: RuntimeAPI, start: Callable[..., Instance]) -> None:
    instance = start()
    assert api.ask("/")[1]["body"] == "home"
    instance.process.send_signal(signal.SIGTERM)
    for _ in range(600):
        if "stop" in instance.noted():
            break
        time.sleep(0.05)
    assert instance.noted() == ["start", "stop"]


def test_the_hooks_of_a_snapshot(api: RuntimeAPI, start: Callable[..., Instance]) -> None:
    instance = start(AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert api.saved.wait(60)
    assert instance.noted() == ["start", "save"]
    api.restored.set()
    assert api.ask("/")[1]["body"] == "home"
    assert instance.noted() == ["start", "save", "restore"]
