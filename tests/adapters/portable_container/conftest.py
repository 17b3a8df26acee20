"""A container's process, started as an image starts it, with an app of a test's own."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.app import App
from portable.manifest import describe_app
from portable.run.processes import basic_environment, free_port
from portable_container.build import ContainerTarget

TOKEN = "a-token-that-nobody-guesses"


class Container:
    """One process. ``said``: what it has printed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.port = int(environment["PORT"])
        self._log = folder / "log"
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "portable_container"],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            assert self.process.poll() is None, self.said
            try:
                if self.get("/-/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        pytest.fail(f"not ready: {self.said}")

    @property
    def said(self) -> str:
        return self._log.read_text()

    def connect(self, timeout: float = 60) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def get(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, Any]:
        sent = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        return self.get(path, "POST", sent, **{"content_type": "application/json", **headers})

    def known(self, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, Any]:
        """A POST of somebody who knows the token."""
        return self.post(path, body, authorization=f"Bearer {TOKEN}", **headers)

    def event(self, function: str, kind: str, data: Any, **headers: str) -> tuple[int, bytes, Any]:
        """A CloudEvent in binary mode."""
        attributes = {"ce_specversion": "1.0", "ce_type": kind, "ce_source": "test", "ce_id": "1"}
        return self.known(f"/-/events/{function}", data, **attributes, **headers)

    def until(self, what: Callable[[], Any], seconds: float = 60) -> Any:
        limit = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < limit, self.said
            time.sleep(0.05)
        return found

    def tell(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit status, once it is over."""
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """``start(source, platform="local", NAME="value")``: a container of an app, ready."""
    started: list[Container] = []

    def make(source: str, platform: str = "local", *, ready: bool = True, **environment: str) -> Container:
        folder = tmp_path
        (folder / "app.py").write_text(source)
        _write_bundle(folder, platform)
        known = {
            **basic_environment(),
            "PORT": str(free_port()),
            "HOST": "127.0.0.1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PORTABLE_LOCAL_STATE": str(tmp_path / "state"),
            "PORTABLE_EVENTS_TOKEN": TOKEN,
            "PORTABLE_WAIT_SECONDS": "0.5",
            **environment,
        }
        container = Container(folder, known)
        started.append(container)
        if ready:
            container.wait_until_ready()
        return container

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


@pytest.fixture
def write_bundle() -> Callable[[Path, str], None]:
    """``write_bundle(folder, platform)``: beside an ``app.py``."""
    return _write_bundle


def _write_bundle(folder: Path, platform: str) -> None:
    """The entry a build writes; what is installed here stands for the rest of the bundle."""
    namespace: dict[str, Any] = {"__name__": "app", "__file__": str(folder / "app.py")}
    exec(compile((folder / "app.py").read_text(), str(folder / "app.py"), "exec"), namespace)
    app: App = namespace["app"]
    manifest = describe_app(app, "app:app", folder)
    [bundle] = ContainerTarget(platform).bundles(manifest, {})
    for name, data in bundle.files.items():
        (folder / name).write_bytes(data)
