"""One function of a built artifact in a process of its own: JSON lines over a loopback socket it is told to call.

    → {"id": 1, "event": …, "deadline_at": seconds since the epoch or null}
    ← {"ready": true}, or {"failed": error} and the process ends
    ← {"id": 1, "answer": …}, or {"id": 1, "error": {"kind", "message", "trace"}}

Standard output and standard error stay the app's own. Several invocations run at a time, on threads.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["CONTROL", "serve"]

CONTROL = "PORTABLE_LOCAL_CONTROL"
"""``port:token``: where the process that started this one listens, and how it knows the right one calls."""

THREADS = 32


def serve(spec: str, function: str, modules: Iterable[str] | None, source: str) -> None:
    """Load the function and answer until the other end closes the socket."""
    port, _, token = os.environ.pop(CONTROL).partition(":")
    line = _Line(socket.create_connection(("127.0.0.1", int(port))))
    line.send({"token": token})
    try:
        from portable_local.runtime import entry

        call = entry(spec, function, modules, source)
    except BaseException as error:
        line.send({"failed": _describe(error)})
        raise
    line.send({"ready": True})
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="invocation")
    for text in line.reader:
        threads.submit(_answer, call, line, json.loads(text))
    sys.stdout.flush()
    os._exit(0)  # a handler that hangs keeps nobody waiting


class _Line:
    """A socket on which several threads write whole lines."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = connection.makefile("rb")
        self._connection = connection
        self._lock = Lock()

    def send(self, document: dict[str, Any]) -> None:
        line = json.dumps(document).encode() + b"\n"
        with self._lock:
            self._connection.sendall(line)


def _answer(call: Any, line: _Line, request: dict[str, Any]) -> None:
    identity = request["id"]
    try:
        answer = call(request["event"], f"local-{os.getpid()}-{identity}", request["deadline_at"])
        line.send({"id": identity, "answer": answer})
    except BaseException as error:  # SystemExit too: an invocation fails, and its process goes on
        line.send({"id": identity, "error": _describe(error)})


def _describe(error: BaseException) -> dict[str, str]:
    trace = "".join(traceback.format_exception(error))
    return {"kind": type(error).__name__, "message": str(error), "trace": trace}
