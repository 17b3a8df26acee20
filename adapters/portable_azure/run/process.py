"""One worker process and what is said between it and this one: a JSON document a line, on a loopback connection."""

from __future__ import annotations

import json
import secrets
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from portable.run.bodies import Body
from portable.run.processes import LOOPBACK, Running, StartError, running
from portable.run.target import InvocationError
from portable_azure.run.proxy import connect, send

__all__ = ["AppProcess"]

WORKER = Path(__file__).with_name("worker.py")


class AppProcess:
    """A Function App in a process of its own, started and indexed. Safe under threads.

    Raises InvocationError when the app cannot be indexed, with the traceback.
    """

    def __init__(
        self, python: Path, bundle: Path, worker: Path, environment: Mapping[str, str], log: Path, seconds: float
    ) -> None:
        self._waiting: dict[str, Future[Any]] = {}
        self._speaking = Lock()
        self._ended = False
        self._stack = ExitStack()
        try:
            self._connect(python, log, seconds)
            self._tell({"environment": dict(environment), "folder": str(bundle), "worker": str(worker)})
            line = self._lines.readline()
            if not line:
                raise InvocationError("WorkerExited", f"the worker ended before it indexed {bundle}; see its log")
            indexed = json.loads(line)
            if indexed["wrong"]:
                raise InvocationError(**indexed["wrong"])
        except BaseException:
            self._stack.close()
            raise
        self.functions: Sequence[str] = indexed["functions"]
        self.http: str = indexed["http"]
        self._connection.settimeout(None)
        self._listener = Thread(target=self._listen, name="azure-worker", daemon=True)
        self._listener.start()

    def _connect(self, python: Path, log: Path, seconds: float) -> None:
        token = secrets.token_hex(16)
        with socket.create_server((LOOPBACK, 0)) as server:
            server.settimeout(0.2)
            command: list[str | Path] = [python, "-I", "-S", "-B", WORKER, str(server.getsockname()[1]), token]
            self._connection: socket.socket

            def connected(_: Running) -> bool:
                try:
                    connection, _address = server.accept()
                except TimeoutError:
                    return False
                connection.settimeout(seconds)
                lines = connection.makefile("rb")
                if json.loads(lines.readline()).get("token") != token:
                    connection.close()
                    return False
                self._connection = self._stack.enter_context(connection)
                self._lines = self._stack.enter_context(lines)
                return True

            try:
                started = running("azure-functions", command, ready=connected, log=log, timeout=seconds)
                self._stack.enter_context(started)
            except StartError as error:
                raise InvocationError("WorkerExited", str(error)) from error

    def invoke(self, names: Sequence[str], native: Any, timeout: float | None, number: str = "") -> Any:
        """Invoke the first of these functions that the app has. Raises InvocationError."""
        number = number or str(uuid.uuid4())
        future: Future[Any] = Future()
        with self._speaking:
            if self._ended:
                raise InvocationError("WorkerExited", "the worker process ended; see its log")
            self._waiting[number] = future
        self._tell({"id": number, "names": list(names), "native": native})
        try:
            answer = future.result(timeout)
        except WaitTimeoutError:
            raise InvocationError("Timeout", f"{names[-1]} took longer than {timeout:g} seconds") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise InvocationError(**answer["error"])
        return answer["answer"]

    def proxy(self, names: Sequence[str], native: Any, timeout: float | None) -> tuple[Any, Body]:
        """Pass an HTTP request on to the worker's own server, as the host does for an app that streams: the head of the
        answer and the pieces of its body. Raises InvocationError.
        """
        seconds = 230.0 if timeout is None else timeout
        limit = time.monotonic() + seconds
        number = str(uuid.uuid4())
        connection = connect(self.http, limit)
        try:
            send(connection, native["data"]["http"], number)
            self.invoke(names, native, timeout, number)
            sock = connection.sock
            sock.settimeout(max(0.001, limit - time.monotonic()))
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise InvocationError("WorkerExited", f"the worker's server hung up: {error}") from error
        except BaseException:
            connection.close()
            raise
        pairs = [[name.lower(), value] for name, value in answer.getheaders()]
        head = {"status_code": str(answer.status), "headers": {}, "pairs": pairs}
        return {"return": {"http": head}}, Body(connection, sock, answer, limit)

    def _tell(self, document: Any) -> None:
        line = json.dumps(document).encode() + b"\n"
        with self._speaking, suppress(OSError):  # who hung up is noticed where answers are read
            self._connection.sendall(line)

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            for line in self._lines:
                answer = json.loads(line)
                future = self._waiting.get(answer["id"])
                if future is not None:
                    future.set_result(answer)
        with self._speaking:
            self._ended = True
        gone = {"error": {"kind": "WorkerExited", "message": "the worker process ended; see its log", "trace": ""}}
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_result(gone)

    def close(self) -> None:
        """End the process, by its id."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._stack.close()
