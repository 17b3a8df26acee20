"""What stands for the gateways that hold websockets for functions: AWS's ``@connections`` API and Azure Web PubSub.

Small servers of ours, which answer as the documented REST interfaces do as far as the drivers go, and check who asks as
the real ones do: a SigV4 signature, a token signed with the access key. The connections are those of this process
(``portable.live.connections``): whoever plays the client adds its end there. What is imitated here is not proof of what
the clouds do.

* https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
* https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
* https://learn.microsoft.com/rest/api/webpubsub/dataplane/web-pub-sub/send-to-connection
* https://learn.microsoft.com/azure/azure-web-pubsub/reference-rest-api-data-plane
"""

from __future__ import annotations

import base64
import calendar
import contextlib
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from portable.errors import NotFoundError
from portable.live import connections
from portable.run.emulators.emulator import LOOPBACK

__all__ = ["Gateway", "connections_api", "held_here", "web_pubsub"]

LONGEST_POST = 131_072
SKEW = 300


class Gateway:
    """A running server.

    Attributes:
        endpoint: ``http://127.0.0.1:PORT``. requests: method, path and status of each request, in order.
        refusals: answers (status, code) that the next requests get instead of their own. key: Azure's access key.
    """

    def __init__(self, endpoint: str, key: str = "") -> None:
        self.endpoint = endpoint
        self.key = key
        self.requests: list[tuple[str, str, int]] = []
        self.refusals: list[tuple[int, str]] = []


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a broadcast comes all at once


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    gateway: Gateway

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.gateway.refusals:
            status, code = self.gateway.refusals.pop(0)
        else:
            status, code = self._refusal(body) or self._act(body)
        self.gateway.requests.append((self.command, unquote(self.path), status))
        self._answer(status, code)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - as http.server calls them

    def _refusal(self, body: bytes) -> tuple[int, str] | None:
        """Why this caller is turned away."""
        raise NotImplementedError

    def _act(self, body: bytes) -> tuple[int, str]:
        raise NotImplementedError

    def _answer(self, status: int, code: str) -> None:
        raise NotImplementedError

    def _reply(self, status: int, document: Any, headers: Mapping[str, str]) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


class _Connections(_Handler):
    """API Gateway's. A key ``testing`` whose secret is ``testing``, as moto's."""

    def _refusal(self, body: bytes) -> tuple[int, str] | None:
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        if scheme != "AWS4-HMAC-SHA256":
            return 403, "MissingAuthenticationTokenException"
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        access, date, region, service, end = parts["Credential"].split("/")
        stamp = self.headers.get("X-Amz-Date", "")
        if (access, service, end, date) != ("testing", "execute-api", "aws4_request", stamp[:8]):
            return 403, "InvalidSignatureException"
        then = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        if abs(time.time() - then) > SKEW:
            return 403, "InvalidSignatureException"
        signed = parts["SignedHeaders"].split(";")
        if not {"host", "x-amz-date"} <= set(signed):
            return 403, "InvalidSignatureException"
        scope = f"{date}/{region}/{service}/{end}"
        expected = self._sign(body, signed, stamp, scope)
        return None if hmac.compare_digest(expected, parts["Signature"]) else (403, "InvalidSignatureException")

    def _sign(self, body: bytes, signed: list[str], stamp: str, scope: str) -> str:
        url = urlsplit(self.path)
        headers = "".join(f"{name}:{' '.join((self.headers.get(name) or '').split())}\n" for name in signed)
        # Services other than S3 sign the path encoded twice: as it is sent, once more.
        path = quote(url.path, safe="/-_.~")
        canonical = [self.command, path, url.query, headers, ";".join(signed), hashlib.sha256(body).hexdigest()]
        text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256("\n".join(canonical).encode()).hexdigest()))
        key = b"AWS4testing"
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    def _act(self, body: bytes) -> tuple[int, str]:
        _, found, connection = urlsplit(self.path).path.partition("/@connections/")
        if not found:
            _, found, connection = unquote(urlsplit(self.path).path).partition("/@connections/")
        peer = connections.find(unquote(connection))
        if not found or peer is None:
            return (410, "GoneException") if found else (404, "NotFoundException")
        if self.command == "DELETE":
            peer.close()
            return 204, ""
        if len(body) > LONGEST_POST:
            return 413, "PayloadTooLargeException"
        try:
            peer.send(body.decode())
        except NotFoundError:
            return 410, "GoneException"
        return 200, ""

    def _answer(self, status: int, code: str) -> None:
        headers = {"Content-Type": "application/json"}
        if code:
            headers["x-amzn-ErrorType"] = code
        self._reply(status, {"message": code or None} if status >= 400 else None, headers)


class _HeldHere(_Handler):
    """Of this machine's own driver: ``/TOKEN/CONNECTION``."""

    def _refusal(self, body: bytes) -> tuple[int, str] | None:  # noqa: ARG002 - it is not signed
        token = urlsplit(self.path).path.split("/")[1]
        return None if hmac.compare_digest(token, self.gateway.key) else (403, "Forbidden")

    def _act(self, body: bytes) -> tuple[int, str]:
        peer = connections.find(unquote(urlsplit(self.path).path.partition(f"/{self.gateway.key}/")[2]))
        if peer is None:
            return 404, "NotFound"
        if self.command == "DELETE":
            peer.close()
            return 204, ""
        try:
            peer.send(body.decode() if self.headers.get("Content-Type") == "text/plain" else body)
        except NotFoundError:
            return 404, "NotFound"
        return 204, ""

    def _answer(self, status: int, code: str) -> None:
        self._reply(status, {"code": code} if code else None, {})


class _PubSub(_Handler):
    """Web PubSub's data plane, with one access key."""

    def _refusal(self, body: bytes) -> tuple[int, str] | None:  # noqa: ARG002 - it is not signed
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        head, _, signature = token.rpartition(".")
        digest = hmac.digest(self.gateway.key.encode(), head.encode(), "sha256")
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if scheme != "Bearer" or not hmac.compare_digest(expected, signature):
            return 401, "Unauthorized"
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in head.split("."))
        audience = f"{self.gateway.endpoint}{urlsplit(self.path).path}"
        if header.get("alg") != "HS256" or claims.get("exp", 0) < time.time():
            return 401, "Unauthorized"
        asked = unquote(claims.get("aud", "").partition("?")[0])  # Microsoft's client signs the query along
        return None if asked == unquote(audience) else (401, "Unauthorized")

    def _act(self, body: bytes) -> tuple[int, str]:
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/")]
        if (
            parts[1:3] != ["api", "hubs"]
            or parts[4:5] != ["connections"]
            or "api-version" not in dict(parse_qsl(url.query))
        ):
            return 404, "NotFound"
        peer = connections.find(parts[5])
        if self.command == "DELETE":
            if peer is not None:
                peer.close()
            return 204, ""
        if peer is None:
            return 404, "Error.Connection.NotExisted"
        kind = (self.headers.get("Content-Type") or "").partition(";")[0]
        if self.command != "POST" or parts[6:] != [":send"] or kind not in _BODIES:
            return 400, "BadRequest"
        peer.send(body if kind == "application/octet-stream" else body.decode())
        return 202, ""

    def _answer(self, status: int, code: str) -> None:
        headers = {"Content-Type": "application/json"}
        if code:
            headers["x-ms-error-code"] = code
        self._reply(status, {"code": code, "message": code} if status >= 400 else None, headers)


_BODIES = ("text/plain", "application/json", "application/octet-stream")


@contextlib.contextmanager
def connections_api() -> Iterator[Gateway]:
    """AWS's, on a free loopback port. The address of sockets is its ``endpoint`` and a stage."""
    with _served(_Connections) as gateway:
        yield gateway


@contextlib.contextmanager
def held_here() -> Iterator[str]:
    """The connections of this process, for other processes of this machine: an address that nobody can guess."""
    with _served(_HeldHere, secrets.token_hex(16)) as gateway:
        yield f"{gateway.endpoint}/{gateway.key}"


@contextlib.contextmanager
def web_pubsub(key: str) -> Iterator[Gateway]:
    """Azure's, on a free loopback port, with one access key."""
    with _served(_PubSub, key) as gateway:
        yield gateway


@contextlib.contextmanager
def _served(handler: type[_Handler], key: str = "") -> Iterator[Gateway]:
    bound: Any = type(handler.__name__, (handler,), {})
    with _Server((LOOPBACK, 0), bound) as server:
        gateway = bound.gateway = Gateway(f"http://{LOOPBACK}:{server.server_address[1]}", key)
        thread = Thread(target=server.serve_forever, args=(0.05,), name=handler.__name__, daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()
