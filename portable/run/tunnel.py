"""A websocket that the artifact's own process holds: its bytes, passed on both ways until either end is closed."""

from __future__ import annotations

import contextlib
import socket
from http.server import BaseHTTPRequestHandler
from threading import Thread

from portable.events import Response
from portable.http.answers import problem
from portable.run.processes import LOOPBACK

__all__ = ["tunnel"]

_READ = 65_536
_CONNECT_SECONDS = 10


def tunnel(handler: BaseHTTPRequestHandler, target: str, port: int) -> Response | None:
    """Pass a request on to a port of this machine, and then whatever is sent. The answer where nobody is there."""
    handler.close_connection = True
    try:
        inner = socket.create_connection((LOOPBACK, port), _CONNECT_SECONDS)
    except OSError as error:
        return problem(502, f"The artifact's process does not answer: {error}")
    outer = handler.connection
    with inner:
        inner.settimeout(None)
        outer.settimeout(None)
        headers = [(name, value) for name, value in handler.headers.items() if name.lower() != "x-forwarded-for"]
        headers.append(("X-Forwarded-For", str(handler.client_address[0])))
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        inner.sendall("\r\n".join(lines).encode("latin-1"))
        back = Thread(target=_pass_on, args=(inner, outer), daemon=True)
        back.start()
        _pass_on(outer, inner)
        back.join()
    return None


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    """What one end sends, until it ends; then neither is read or written any more."""
    with contextlib.suppress(OSError):
        while data := source.recv(_READ):
            sink.sendall(data)
    for one in (sink, source):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
