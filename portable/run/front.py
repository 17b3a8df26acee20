"""An HTTP front on loopback for a running artifact: what API Gateway, Cloud Run or the Functions host are in a cloud.

Every path goes to the app, as it was sent: percent signs, repeated headers and query values. Websockets are held here,
and their events go to the function of their path. Below ``/_portable`` the
front answers itself::

    GET  /_portable                         functions, the event source of each, real parts and their versions
    POST /_portable/functions/<name>        an event, neutral (``portable.samples.neutral``) or, with ?native=1, this
                                            cloud's own; the answer says what the function made of it
"""

from __future__ import annotations

import base64
import contextlib
import errno
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import msgspec

import portable
from portable.errors import ConfigError
from portable.events import Response
from portable.http.answers import problem
from portable.http.streams import StreamResponse
from portable.run.deployment import Deployment
from portable.run.processes import LOOPBACK
from portable.run.sockets import begins_socket, serve_socket
from portable.run.target import InvocationError
from portable.samples import Outcome
from portable.samples.neutral import event_of, make_request

__all__ = ["MOST_BODY", "front"]

MOST_BODY = 100 * 1024 * 1024
"""Bytes of a request's body: the most any cloud's function takes (Azure's host)."""

_OWN = "/_portable"
_HOP = ("connection", "keep-alive", "transfer-encoding", "upgrade")


@contextlib.contextmanager
def front(deployment: Deployment, port: int = 0) -> Iterator[str]:
    """Serve a deployment on loopback until the block is left; gives its address, ``http://127.0.0.1:PORT``.

    Args:
        port: 0 takes a free one.

    Raises:
        ConfigError: the port is in use, or not allowed.
    """
    try:
        server = _Server((LOOPBACK, port), deployment)
    except (OSError, OverflowError) as error:
        raise ConfigError(_cannot_listen(port, error)) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = sys.platform != "win32"  # there it would share a port that is in use

    def __init__(self, address: tuple[str, int], deployment: Deployment) -> None:
        self.deployment = deployment
        super().__init__(address, _Handler)


class _BadBody(Exception):
    """A body that cannot be read; ``status`` is the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # with it, a small answer waits 40 ms for the caller's acknowledgement
    wbufsize = -1
    timeout = 120
    server: _Server

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _answer(self) -> None:
        target = self._target()
        try:
            body = self._body()
        except _BadBody as error:
            self.close_connection = True
            self._send(problem(error.status, str(error)))
            return
        try:
            own = target.partition("?")[0]
            if own == _OWN or own.startswith(f"{_OWN}/"):
                response = _own_answer(self.server.deployment, self.command, target, body)
            elif begins_socket(self, target, self.server.deployment.manifest):
                refusal = serve_socket(self, target, self.server.deployment)
                if refusal is None:
                    return
                response = refusal
            else:
                response = self._app_answer(target, body)
        except Exception as error:
            # The app's own mistakes are answers already: this is an adapter's, or the runtime client's end.
            response = problem(500, f"portable run: {type(error).__name__}: {error}")
        self._send(response)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # whichever the method: it is the app that knows which it allows
            return self._answer
        raise AttributeError(name)

    def _app_answer(self, target: str, body: bytes) -> Response:
        headers = [(name.lower(), value) for name, value in self.headers.items() if name.lower() not in _HOP]
        host = f"{LOOPBACK}:{self.server.server_address[1]}"
        client = str(self.client_address[0])
        try:
            request = make_request(self.command, target, headers=headers, body=body, client=client, host=host)
        except ValueError as error:
            return problem(400, str(error))
        return self.server.deployment.stream(request)

    def _target(self) -> str:
        """The target as sent: ``self.path`` has lost a slash of two at its start. An absolute URL gives its path."""
        target = self.requestline.split(" ")[1] if self.requestline.count(" ") == 2 else self.path
        if "://" in target and not target.startswith("/"):
            target = "/" + target.partition("://")[2].partition("/")[2]
        return target

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = self.headers.get("content-length", "0").strip()
        if not (length.isascii() and length.isdigit()):
            raise _BadBody(400, f"content-length {length!r} is no number")
        if int(length) > MOST_BODY:
            raise _BadBody(413, f"a body has at most {MOST_BODY} bytes here")
        return self._read(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            line = self.rfile.readline(1024).partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                raise _BadBody(400, f"{line!r} is no chunk size") from None
            if len(body) + size > MOST_BODY:
                raise _BadBody(413, f"a body has at most {MOST_BODY} bytes here")
            if size == 0:
                break
            body += self._read(size)
            self.rfile.readline(3)
        while self.rfile.readline(65537).strip():  # trailers
            pass
        return bytes(body)

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise _BadBody(400, f"the body ends after {len(data)} of {size} bytes")
        return data

    def _send(self, response: Response) -> None:
        if isinstance(response, StreamResponse):
            self._send_pieces(response)
            return
        body = response.body.encode() if isinstance(response.body, str) else response.body or b""
        bodiless = self._send_head(response)
        if not bodiless:
            self.send_header("content-length", str(len(body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if not bodiless:
            self.wfile.write(body)

    def _send_head(self, response: Response) -> bool:
        """Status and headers, the body's length left out. Whether there is no body."""
        self.send_response_only(response.status)
        names = set()
        for name, value in response.header_pairs():
            names.add(name)
            if name not in _HOP and (name != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if "date" not in names:
            self.send_header("date", self.date_time_string())
        return self.command == "HEAD" or response.status in (204, 304) or response.status < 200

    def _send_pieces(self, response: StreamResponse) -> None:
        """Each piece as it comes, in a chunk; an answer that breaks off ends without the last one."""
        body: Any = response.body
        with contextlib.closing(body):
            bodiless = self._send_head(response)
            if not bodiless:
                self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            try:
                for piece in () if bodiless else body:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
            except (OSError, HTTPException):
                self.close_connection = True
                return
        if not bodiless:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: what the app prints is."""


def _own_answer(deployment: Deployment, method: str, target: str, body: bytes) -> Response:
    path, _, query = target.partition("?")
    if path.rstrip("/") == _OWN:
        return _json(_about(deployment)) if method in ("GET", "HEAD") else _not_allowed("GET")
    name = path.removeprefix(f"{_OWN}/functions/")
    if name == path or "/" in name:
        return problem(404, f"There are GET {_OWN} and POST {_OWN}/functions/<name>")
    if method != "POST":
        return _not_allowed("POST")
    known = [function.name for function in deployment.manifest.functions]
    if name not in known:
        return problem(404, f"There is no function {name!r}; there are {', '.join(known)}")
    try:
        document = msgspec.json.decode(body or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return problem(400, f"The event is not JSON: {error}")
    native = parse_qs(query).get("native", ["0"])[-1] not in ("0", "")
    return _posted_native(deployment, name, document) if native else _posted(deployment, name, document)


def _posted(deployment: Deployment, name: str, document: Any) -> Response:
    try:
        event = event_of(deployment.manifest.function(name), document)
    except ConfigError as error:
        return problem(422, str(error))
    return _json(_outcome(deployment.deliver(name, event)))


def _posted_native(deployment: Deployment, name: str, document: Any) -> Response:
    try:
        return _json({"answer": deployment.invoke_native(name, document)})
    except InvocationError as error:
        return _json({"error": str(error), "trace": error.trace})
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # so far from one that it cannot be handed over
        target = deployment.artifact.target
        return problem(
            422,
            f"This is no event of {target} ({type(error).__name__}: {error}); "
            f"`portable events {name} --target {target}` prints one",
        )


def _about(deployment: Deployment) -> dict[str, Any]:
    artifact = deployment.artifact
    return {
        "portable": portable.__version__,
        "app": deployment.manifest.app,
        "target": artifact.target,
        "python": artifact.python,
        "parts": dict(deployment.parts),
        "functions": {
            function.name: {"kind": function.kind, "source": artifact.sources[function.name]}
            for function in deployment.manifest.functions
        },
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = {"error": outcome.error, "failed": outcome.failed, "value": outcome.value}
    if outcome.response is not None:
        response = outcome.response
        body = response.body.encode() if isinstance(response.body, str) else bytes(response.body or b"")
        answer: dict[str, Any] = {"status": response.status, "headers": response.header_pairs()}
        try:
            answer["text"] = body.decode()
        except UnicodeDecodeError:
            answer["base64"] = base64.b64encode(body).decode()
        document["response"] = answer
    return document


def _json(document: Any) -> Response:
    return Response(msgspec.json.encode(document), 200, None, "application/json")


def _not_allowed(method: str) -> Response:
    return problem(405, f"Only {method} is allowed here", headers={"allow": method})


def _cannot_listen(port: int, error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another process; choose one with --port, or --port 0 for a free one"
    return f"cannot listen on port {port}: {error}; choose one with --port, or --port 0 for a free one"
