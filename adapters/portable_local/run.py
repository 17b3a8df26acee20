"""Runs a built local artifact: each function in a process of its own, in which only the bundle can be imported."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from portable.drivers import address_variable
from portable.manifest import Manifest
from portable.run import parts, supervisor
from portable.run.delivery import open_resource
from portable.run.emulators import config_values, held_here, made_up_secret
from portable.run.processes import LOOPBACK, tail
from portable.run.target import Artifact, InvocationError, Running
from portable_local.build import ENTRY
from portable_local.platform import STATE, LocalPlatform
from portable_local.worker import CONTROL

__all__ = ["RUNNER", "LocalRunner"]

START = 60.0
"""Seconds a function's process has to import the app."""

_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "TZ", "USERPROFILE")
"""Variables of this process's environment that a clean one still needs."""


class LocalRunner:
    """See ``portable.run.target.Runner``."""

    parts: Sequence[str] = ("python",)
    emulators: Sequence[str] = ()

    def start(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> Running:
        """Processes are started on first use. Raises ConfigError when there is no such interpreter."""
        return LocalRunning(artifact, environment, log)

    @contextlib.contextmanager
    def emulate(self, manifest: Manifest, folder: Path) -> Iterator[Mapping[str, str]]:
        """A state folder of its own; the drivers are the real ones, and make what they need on first use, but for
        a topic's subscriptions.
        """
        state = folder / "state"
        state.mkdir(parents=True, exist_ok=True)
        subscribe(manifest, LocalPlatform({STATE: str(state)}))
        values = config_values(manifest, "")
        for secret in manifest.of_kind("secret"):
            values[address_variable("secret", secret.name)] = made_up_secret(secret.name)
        with contextlib.ExitStack() as stack:
            for sockets in manifest.of_kind("sockets"):
                values[address_variable("sockets", sockets.name)] = stack.enter_context(held_here())
            yield {STATE: str(state), **values}


RUNNER = LocalRunner()


def subscribe(manifest: Manifest, platform: LocalPlatform) -> None:
    """Make the subscriptions of the app's topics, as a deployment does in a cloud, and close the platform."""
    for topic in manifest.of_kind("topic"):
        open_resource(platform, topic).subscribe(manifest.subscriptions(topic.name))
    platform.close()


class LocalRunning:
    """See ``portable.run.target.Running``.

    A function whose invocation timed out or whose process ended gets a new process on its next use. Its process is
    ended once the other invocations in it are done.
    """

    def __init__(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> None:
        python = parts.need("python", artifact.python)
        self.parts: Mapping[str, str] = {"python": python.version}
        self._artifact = artifact
        self._python = python.path
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(environment)
        self._log = log
        self._lock = Lock()
        self._starting: dict[str, Lock] = {}
        self._workers: dict[str, _Worker] = {}
        self._closed = False
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()

    def invoke(self, function: str, native: Any, *, timeout: float | None = None) -> Any:
        """Several at a time, from several threads. ``timeout`` does not count the start of the process."""
        worker = self._worker(function)
        while (asked := worker.ask(native, timeout)) is None:  # it ended after it was found
            worker = self._worker(function)
        identity, future = asked
        try:
            return future.result(timeout)
        except FutureTimeoutError:
            worker.abandon(identity)
            raise InvocationError("Timeout", f"function {function} took longer than {timeout:g} s") from None

    def _worker(self, function: str) -> _Worker:
        with self._lock:
            starting = self._starting.setdefault(function, Lock())
        with starting:
            worker = self._workers.get(function)
            if worker is None or not worker.usable:
                if self._closed:
                    raise InvocationError("Closed", "the artifact runs no more")
                entry = self._artifact.bundle_of(function) / ENTRY
                command = [str(self._python), "-I", "-S", "-B", "-u", "-X", "utf8", str(entry), function]
                worker = self._workers[function] = _Worker(function, command, self._environment, self._log)
        return worker

    def log(self) -> str:
        """Standard output and standard error of every process."""
        return self._log.read_text("utf-8", errors="replace")

    def close(self) -> None:
        """End every process."""
        self._closed = True
        for worker in list(self._workers.values()):
            worker.close()


class _Worker:
    """A process that serves one function. Raises InvocationError when it does not start."""

    def __init__(self, function: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._function = function
        self._log = log
        self._lock = Lock()
        self._pending: dict[int, Future[Any]] = {}
        self._last = 0
        self.usable = True
        token = secrets.token_hex(16)
        with socket.create_server((LOOPBACK, 0)) as server:
            control = f"{server.getsockname()[1]}:{token}"
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", supervisor.__file__, *command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**environment, CONTROL: control},
                    cwd=Path(command[-2]).parent,  # as in a cloud: files beside the app are found by relative paths
                    start_new_session=True,
                )
            try:
                self._connection, self._reader = self._accept(server, token)
                self._await_ready()
            except BaseException:
                self.close()
                raise
        Thread(target=self._read, name=f"answers-{function}", daemon=True).start()

    def _accept(self, server: socket.socket, token: str) -> tuple[socket.socket, Any]:
        server.settimeout(0.1)
        limit = time.monotonic() + START
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise self._ended()
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                connection.settimeout(START)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                reader = connection.makefile("rb")
                if secrets.compare_digest(_token(reader), token):
                    return connection, reader
                reader.close()
                connection.close()
        raise InvocationError("StartTimeout", f"function {self._function} did not start within {START:g} s")

    def _await_ready(self) -> None:
        try:
            line = self._reader.readline()
        except TimeoutError:
            raise InvocationError(
                "StartTimeout", f"function {self._function} did not load within {START:g} s"
            ) from None
        if not line:
            raise self._ended()
        said = json.loads(line)
        if "failed" in said:
            raise InvocationError(**said["failed"])
        self._connection.settimeout(None)

    def ask(self, event: Any, timeout: float | None) -> tuple[int, Future[Any]] | None:
        """Send an event. The future gives its answer, or raises InvocationError. None: take another process."""
        future: Future[Any] = Future()
        deadline_at = None if timeout is None else time.time() + timeout
        with self._lock:
            if not self.usable:
                return None
            self._last += 1
            identity = self._last
            line = json.dumps({"id": identity, "event": event, "deadline_at": deadline_at}).encode() + b"\n"
            self._pending[identity] = future
            with contextlib.suppress(OSError):  # it has ended, and the reader says so to everyone who waits
                self._connection.sendall(line)
        return identity, future

    def abandon(self, identity: int) -> None:
        """Nobody waits for this answer any more: take no new invocations, and end when the others are done."""
        with self._lock:
            self.usable = False
            self._pending.pop(identity, None)
            idle = not self._pending
        if idle:
            self.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed by close()
            for line in self._reader:
                self._settle(json.loads(line))
        with self._lock:
            self.usable = False
            pending, self._pending = self._pending, {}
        for future in pending.values():
            future.set_exception(self._ended())
        self.close()

    def _settle(self, said: dict[str, Any]) -> None:
        with self._lock:
            future = self._pending.pop(said["id"], None)
            finished = not self.usable and not self._pending
        if future is not None:
            if "error" in said:
                future.set_exception(InvocationError(**said["error"]))
            else:
                future.set_result(said["answer"])
        if finished:
            self.close()

    def _ended(self) -> InvocationError:
        try:
            status = self._process.wait(supervisor.GRACE)
        except subprocess.TimeoutExpired:
            return InvocationError("ProcessEnded", f"the process of function {self._function} closed its connection")
        # The supervisor passes a signal on as its negative number, which the system keeps the low byte of.
        how = f"signal {256 - status}" if status > 192 else f"status {status}"
        return InvocationError(
            "ProcessEnded", f"the process of function {self._function} ended with {how}", tail(self._log)
        )

    def close(self) -> None:
        """End the process, by its supervisor."""
        with self._lock:
            self.usable = False
        connection = getattr(self, "_connection", None)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(supervisor.GRACE + 3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if connection is not None:
            self._reader.close()
            connection.close()


def _token(reader: Any) -> str:
    try:
        return str(json.loads(reader.readline())["token"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""
