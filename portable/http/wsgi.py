"""The bridge to a WSGI application: https://peps.python.org/pep-3333/."""

from __future__ import annotations

import sys
from io import BytesIO
from urllib.parse import unquote_to_bytes

from portable.http.mounted import head_of, make_response, sent_headers, server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

    from portable.events import Request, Response

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

__all__ = ["call", "make_environ", "stream"]


def make_environ(request: Request, prefix: str) -> dict[str, Any]:
    """The environment of a request for an application mounted below ``prefix``.

    Headers whose names hold an underscore are left out: ``X_User`` would pass for ``X-User``, which something before
    the application may vouch for. Repeated ones are joined, as PEP 3333 has no other way.
    """
    root = unquote_to_bytes(request.root_path).decode("latin-1")
    before = root + prefix.encode().decode("latin-1")
    path = root + unquote_to_bytes(request.raw_path).decode("latin-1")
    name, port = server_of(request)
    query = request.raw_query
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": before,
        "PATH_INFO": path[len(before) :],
        "QUERY_STRING": query,
        "REQUEST_URI": request.root_path + request.raw_path + (f"?{query}" if query else ""),
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,  # not on Lambda; an application that is ready for it is right there too
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "portable.request": request,
    }
    if request.client is not None:
        environ["REMOTE_ADDR"] = request.client
    for name, value in sent_headers(request):
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        if key in environ:
            value = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}"
        environ[key] = value
    return environ


def call(application: Any, environ: dict[str, Any], request: Request) -> Response:
    """The application's answer, whole. Raises what it raised, RuntimeError for no answer."""
    answer = _Answer(application, environ)
    try:
        body = b"".join(answer)
        answer.check()
    except BaseException:
        answer.close()
        raise
    try:
        answer.close()
    except Exception:
        from logging import getLogger

        getLogger("portable").exception("%s %s failed after its answer", request.method, request.raw_path)
    return make_response(request, answer.status, answer.headers, body)


def stream(application: Any, environ: dict[str, Any], request: Request) -> Response:
    """The application's answer as soon as its head and a first piece are there. Raises as :func:`call` until then."""
    from portable.http.streams import StreamResponse

    answer = _Answer(application, environ)
    try:
        answer.begin()
        answer.check()
        media_type, headers = head_of(request, answer.headers, None)
    except BaseException:
        answer.close()
        raise
    return StreamResponse(answer, answer.status, headers, media_type)


class _Answer:
    """The pieces of an answer; ``status`` and ``headers`` are there with the first one, :meth:`close` ends it."""

    def __init__(self, application: Any, environ: dict[str, Any]) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self._begun = False
        self._ahead: list[bytes] = []  # what was written, or read before it was asked for
        self._result: Any = None
        self._result = application(environ, self._start)
        self._pieces = iter(self._result)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Any:
        if exc_info is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a traceback that holds its own frame
        elif self.status:
            raise RuntimeError("the mounted application called start_response twice")
        code = status[:3]
        if not code.isdigit():
            raise ValueError(f"a WSGI status is like '200 OK', got {status!r}")
        self.status = int(code)
        self.headers = list(headers)
        return self._write

    def _write(self, piece: bytes) -> None:
        if piece:
            self._begun = True
            self._ahead.append(bytes(piece))

    def begin(self) -> None:
        """Go on to the first piece, if there is any: by then the application has said its head."""
        if not self._ahead:
            self._ahead.extend(self._next())

    def _next(self) -> list[bytes]:
        """The next piece that is not empty; none at the end."""
        for piece in self._pieces:
            if piece:
                self.check()
                self._begun = True
                return [bytes(piece)]
        return []

    def check(self) -> None:
        """Raise RuntimeError unless the head was said."""
        if not self.status:
            raise RuntimeError("the mounted application never called start_response")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.begin()
        if not self._ahead:
            raise StopIteration
        return self._ahead.pop(0)

    def close(self) -> None:
        """Close the application's iterable, once, as its contract has it."""
        result, self._result = self._result, None
        close = getattr(result, "close", None)
        if close is not None:
            close()
