"""The process a user starts: holds the port, watches the project, and keeps one worker process running.

A change stops the worker, which ends what it has in hand, and starts a new one at the same moment. The socket is bound
here once and listens all the while: a connection made in between waits for the new worker.
"""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from portable.dev.journal import say
from portable.dev.places import only_one

__all__ = ["supervise"]

_LONGEST = 10.0
"""Seconds until a worker that was told to stop is killed: more than it takes to give up by itself."""

_LIVED = 5.0
"""Seconds: a worker that ends by itself sooner than this, twice in a row, is not started again until a save."""

_LOOK = 250
"""Milliseconds between two looks at whether the worker still runs."""


def supervise(root: Path, spec: str, listener: socket.socket) -> int:
    """Serve until interrupted. Returns the exit status. Raises ConfigError."""
    with only_one(root):
        supervisor = Supervisor(root, spec, listener)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, supervisor.interrupt)
        try:
            supervisor.start(first=True)
            supervisor.watch()
        finally:
            supervisor.end()
    return 0


class Worker:
    """A worker process."""

    def __init__(self, settings: dict[str, Any], listener: socket.socket) -> None:
        self.begun = time.monotonic()
        self.stopped_at: float | None = None
        command = [sys.executable, "-P", "-m", "portable.dev.worker"]
        inherited = [] if sys.platform == "win32" else [listener.fileno()]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=settings["root"], pass_fds=inherited)
        if sys.platform == "win32":
            settings["share"] = base64.b64encode(listener.share(self.process.pid)).decode()
        else:
            settings["fd"] = listener.fileno()
        self._send(json.dumps(settings).encode())

    def _send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it ended
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """Ask it to end."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            self._send(b"stop")

    def ended(self) -> int | None:
        """Its exit status, None while it runs. One that was told to stop long ago is killed."""
        status = self.process.poll()
        if status is None and self.stopped_at is not None and time.monotonic() - self.stopped_at > _LONGEST:
            self.process.kill()
            status = self.process.wait()
        if status is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        return status


class Supervisor:
    """See the module."""

    def __init__(self, root: Path, spec: str, listener: socket.socket) -> None:
        self._root = root
        self._spec = spec
        self._listener = listener
        self._worker: Worker | None = None
        self._leaving: list[Worker] = []
        self._quick_ends = 0
        self._stopping = threading.Event()

    def start(self, first: bool = False, failure: str = "") -> None:
        """Start a worker in place of the one that runs, if one does. ``failure``: it is not to import the app."""
        if self._worker is not None:
            self._worker.stop()
            self._leaving.append(self._worker)
        settings = {
            "root": str(self._root),
            "spec": self._spec,
            "first": first,
            "failure": failure,
            "since": time.time(),
        }
        self._worker = Worker(settings, self._listener)

    def watch(self) -> None:
        """Reload on change, until interrupted."""
        from watchfiles import watch

        for changes in watch(
            self._root,
            watch_filter=SourceFilter(self._root),
            step=50,
            debounce=400,
            rust_timeout=_LOOK,
            yield_on_timeout=True,
            stop_event=self._stopping,
        ):
            if self._stopping.is_set():
                return
            self._leaving = [worker for worker in self._leaving if worker.ended() is None]
            if changes:
                names = sorted({Path(path).relative_to(self._root).as_posix() for _, path in changes})
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                say(f"{time.strftime('%H:%M:%S')} {', '.join(names[:3])}{more} changed")
                self._quick_ends = 0
                self.start()
            else:
                self._replace_ended()

    def _replace_ended(self) -> None:
        assert self._worker is not None
        status = self._worker.ended()
        if status is None:
            return
        lived = time.monotonic() - self._worker.begun
        self._worker = None
        how = f"signal {-status}" if status < 0 else f"status {status}"
        say(f"{time.strftime('%H:%M:%S')} the worker process ended by itself, with {how}")
        self._quick_ends = self._quick_ends + 1 if lived < _LIVED else 0
        # It would end the same way again: better that the port is answered until a file is saved.
        self.start(failure=f"its process ended with {how}, again and again" if self._quick_ends > 1 else "")

    def interrupt(self, number: int, frame: object) -> None:  # noqa: ARG002 - a signal's handler
        """End; when asked a second time, without waiting."""
        if self._stopping.is_set():
            for worker in self._all():
                worker.process.kill()
        self._stopping.set()

    def _all(self) -> list[Worker]:
        return [*self._leaving, *([self._worker] if self._worker is not None else [])]

    def end(self) -> None:
        """Stop every worker, and wait for them."""
        for worker in self._all():
            worker.stop()
        while any(worker.ended() is None for worker in self._all()):
            time.sleep(0.02)


class SourceFilter:
    """Which changes are the app's: its Python files, outside of environments, caches and builds."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, change: object, path: str) -> bool:  # noqa: ARG002 - watchfiles gives both
        """See ``watchfiles.watch``."""
        try:
            inside = Path(path).relative_to(self._root)
        except ValueError:
            return False
        folders = inside.parts[:-1]
        return inside.suffix == ".py" and not any(
            folder.startswith(".") or folder in ("__pycache__", "dist", "node_modules", "site-packages")
            for folder in folders
        )
