"""Lambda's Runtime API as a server on loopback, for answers that are streamed: AWS's own emulator gathers them.

An imitation of ours, made after AWS's documentation of the API, and no part of AWS's: one process, one invocation at a
time, ended when it exceeds its function's timeout. An answer is read no faster than its reader takes it. A reader that
goes away stops nothing: the rest is read and dropped, as Lambda has it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from portable.run import supervisor
from portable.run.processes import LOOPBACK, tail
from portable.run.target import InvocationError
from portable_aws.runtime_api import HTTP_ANSWER

__all__ = ["BrokenAnswerError", "Instance"]

_HELD = 16
"""Pieces of an answer that wait for its reader."""

_SEPARATOR = bytes(8)
_API = "/2018-06-01/runtime/"
_NO_DEADLINE = 900.0


class BrokenAnswerError(ConnectionError):
    """A streamed answer that ended before its end."""


class _Invocation:
    """One event, and its answer as it comes: heads, pieces and ends, in a queue."""

    def __init__(self, event: bytes, seconds: float) -> None:
        self.request_id = str(uuid4())
        self.event = event
        self.seconds = seconds
        self.parts: queue.Queue[tuple[str, Any]] = queue.Queue(_HELD)
        self.abandoned = False
        self.over = False

    def put(self, kind: str, value: Any = None) -> None:
        """Hand a part over, waiting for room as long as somebody reads."""
        while not self.abandoned:
            with contextlib.suppress(queue.Full):
                self.parts.put((kind, value), timeout=0.1)
                return

    def finish(self, kind: str, value: Any = None) -> None:
        """Hand the last part over, once."""
        if not self.over:
            self.over = True
            self.put(kind, value)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.abandoned:
            raise StopIteration
        kind, value = self.parts.get()
        if kind == "piece":
            piece: bytes = value
            return piece
        self.abandoned = True
        if kind == "end":
            raise StopIteration
        raise BrokenAnswerError(f"{value.kind}: {value.message}")

    def close(self) -> None:
        """Read no more."""
        self.abandoned = True
        with contextlib.suppress(queue.Empty):
            self.parts.get_nowait()


class Instance:
    """One function's process under this API, started on first use and again after it had to be ended.

    Args:
        command: the runtime loop. environment: of it, to which the API's address is added. log: where it prints.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
        self._command = command
        self._environment = environment
        self._folder = folder
        self._log = log
        self._waiting: queue.Queue[_Invocation] = queue.Queue()
        self._current: _Invocation | None = None
        self._timer: threading.Timer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.RLock()
        self._closed = False
        self._started = False
        self._server = _Server((LOOPBACK, 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stream(self, event: Any, seconds: float | None) -> tuple[dict[str, Any], Iterator[bytes]]:
        """The head of the answer to an event, and its pieces, which raise BrokenAnswerError where it broke off.

        ``seconds``: the function's timeout. Raises InvocationError for what fails before the head.
        """
        invocation = _Invocation(json.dumps(event).encode(), seconds or _NO_DEADLINE)
        with self._guard:
            if self._closed:
                raise InvocationError("Closed", "the artifact runs no more")
            if self._process is None or self._process.poll() is not None:
                self._start()
            self._waiting.put(invocation)
        kind, value = invocation.parts.get()
        if kind != "head":
            invocation.close()
            raise value
        return value, invocation

    def stop(self) -> None:
        """End the process, and this server."""
        with self._guard:
            self._closed = True
            self._end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _start(self) -> None:
        self._started = False
        environment = {**self._environment, "AWS_LAMBDA_RUNTIME_API": f"{LOOPBACK}:{self._server.server_address[1]}"}
        with self._log.open("ab") as output:
            process = self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._folder,
                start_new_session=True,
            )
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Fail what an ended process leaves without an answer."""
        status = process.wait()
        assert process.stdin is not None
        process.stdin.close()
        with self._guard:
            if self._process is not process:
                return
            self._process = None
            left = [] if self._current is None else [self._current]
            self._settle()
            if self._started and not self._closed and not self._waiting.empty():
                self._start()  # as Lambda does: those that wait have nothing to do with it
            else:
                with contextlib.suppress(queue.Empty):
                    while True:
                        left.append(self._waiting.get_nowait())
        error = InvocationError("Runtime.ExitError", f"the process ended with status {status}", tail(self._log))
        for invocation in left:
            invocation.finish("error", error)

    def _end(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.closed:
            process.stdin.close()  # the supervisor takes it from here
            try:
                process.wait(supervisor.GRACE + 3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _settle(self) -> None:
        """The invocation under way is over: its runtime asks for the next."""
        if self._timer is not None:
            self._timer.cancel()
        self._current = self._timer = None

    def _late(self, invocation: _Invocation) -> None:
        with self._guard:
            if self._current is not invocation:
                return
            invocation.finish("error", InvocationError("Timeout", f"it took longer than {invocation.seconds:g} s"))
            self._end()

    # --- what the API's server calls

    def take(self) -> _Invocation | None:
        """The next invocation, when there is one; None when this ends."""
        with self._guard:
            if self._current is not None:
                self._current.finish("end")
            self._settle()
            self._started = True
        while not self._closed:
            with contextlib.suppress(queue.Empty):
                invocation = self._waiting.get(timeout=0.1)
                with self._guard:
                    self._current = invocation
                    self._timer = threading.Timer(invocation.seconds, self._late, (invocation,))
                    self._timer.daemon = True
                    self._timer.start()
                return invocation
        return None

    def of(self, request_id: str) -> _Invocation | None:
        """The invocation under way, where this is its id."""
        current = self._current
        return current if current is not None and current.request_id == request_id and not current.over else None

    def fail_init(self, error: InvocationError) -> None:
        """The process cannot start: whoever waits for it is told why."""
        try:
            while True:
                self._waiting.get_nowait().finish("error", error)
        except queue.Empty:
            return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], instance: Instance) -> None:
        self.instance = instance
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # its process ended in the midst of it
            self.close_connection = True

    def do_GET(self) -> None:
        """``invocation/next``."""
        invocation = self.server.instance.take() if self.path == f"{_API}invocation/next" else None
        if invocation is None:
            self._answer(404, b"{}")
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", invocation.request_id)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + invocation.seconds) * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:000000000000:function:here")
        self.send_header("Lambda-Runtime-Trace-Id", f"Root=1-{int(time.time()):08x}-{uuid4().hex[:24]};Sampled=0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(invocation.event)))
        self.end_headers()
        self.wfile.write(invocation.event)

    def do_POST(self) -> None:
        """``init/error``, and ``invocation/ID/response`` and ``…/error``."""
        *rest, what = self.path.removeprefix(_API).split("/")
        if rest == ["init"]:
            self.server.instance.fail_init(_error_of(b"".join(self._body()), self.headers))
            self._answer(202, b"{}")
            return
        invocation = self.server.instance.of(rest[-1])
        if invocation is None:
            for _ in self._body():
                pass
            self._answer(400, b'{"errorType": "InvalidRequestID"}')
        elif what == "error":
            invocation.finish("error", _error_of(b"".join(self._body()), self.headers))
            self._answer(202, b"{}")
        else:
            self._take_response(invocation)
            self._answer(202, b"{}")

    def _take_response(self, invocation: _Invocation) -> None:
        """The prelude up to eight NUL bytes, and each piece as it comes; the trailers say whether it is whole."""
        if self.headers.get("Content-Type") != HTTP_ANSWER:
            invocation.put("head", json.loads(b"".join(self._body())))
            invocation.finish("end")
            return
        start = b""
        trailers: dict[str, str] = {}
        told = False
        for piece in self._body(trailers):
            if told:
                invocation.put("piece", piece)
                continue
            start += piece
            head, separator, rest = start.partition(_SEPARATOR)
            if separator:
                told = True
                invocation.put("head", json.loads(head))
                if rest:
                    invocation.put("piece", rest)
        kind = trailers.get("lambda-runtime-function-error-type")
        if kind is not None:
            body = base64.b64decode(trailers.get("lambda-runtime-function-error-body", ""))
            invocation.finish("error", InvocationError(kind, json.loads(body or b"{}").get("errorMessage", "")))
        elif not told:
            invocation.finish("error", InvocationError("InvalidAnswer", "a streamed answer without a prelude"))
        else:
            invocation.finish("end")

    def _body(self, trailers: dict[str, str] | None = None) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline(64).strip(), 16):
            piece = self.rfile.read(size)
            if len(piece) < size:
                raise ConnectionError("the answer ended in a chunk")
            self.rfile.readline(8)
            yield piece
        while line := self.rfile.readline(65537).strip().decode("latin-1"):
            name, _, value = line.partition(":")
            if trailers is not None:
                trailers[name.lower()] = value.strip()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Its calls are not logged."""


def _error_of(body: bytes, headers: Any) -> InvocationError:
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    kind = headers.get("Lambda-Runtime-Function-Error-Type") or document.get("errorType") or "Unknown"
    return InvocationError(kind, document.get("errorMessage", ""), "".join(document.get("stackTrace") or ()))
