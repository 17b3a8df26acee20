"""`portable run` as a process of its own, on a real artifact."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from portable.build.project import find_project
from portable.run.building import build_to_run

APP = """
from portable import App, BlobEvent

app = App("served")
box, done = app.bucket("box"), app.bucket("done")

@app.put("/box/{key}")
def put(key: str, body: bytes) -> None:
    box.write(key, body)

@app.get("/done")
def keys() -> list[str]:
    return [info.key for info in done.list()]

@app.on_blob(box)
def copy(event: BlobEvent) -> None:
    done.write(event.key, box.read(event.key))
"""


def call(method: str, url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=10) as answer:
        return answer.read()


def test_a_run_serves_delivers_and_ends_in_order_when_terminated(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    artifact = build_to_run(find_project(tmp_path), "local", tmp_path / "dist" / "local")
    command = [sys.executable, "-m", "portable.cli", "run", str(artifact), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        assert json.loads(call("GET", f"{address}/_portable"))["target"] == "local"
        call("PUT", f"{address}/box/a", b"1")
        limit = time.monotonic() + 10
        while json.loads(call("GET", f"{address}/done")) != ["a"]:
            assert time.monotonic() < limit, "the blob event was not delivered"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / "dist" / "local.log").exists()
