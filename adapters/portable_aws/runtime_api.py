"""Lambda's Runtime API, as a runtime client speaks it: one connection, one invocation at a time.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html (streamed answers, and errors in the midst of one)

HTTP is spoken over the interpreter's own socket: what this needs of it is little, and `http.client` would cost an
instance's start more than all of the rest.
"""

from __future__ import annotations

from _socket import AF_INET, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

__all__ = ["HTTP_ANSWER", "AnswerStream", "HTTPStream", "RuntimeAPI", "RuntimeAPIError"]

HTTP_ANSWER = "application/vnd.awslambda.http-integration-response"
"""A streamed answer that begins with its status and headers in JSON, and eight NUL bytes."""

_VERSION = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
_MOST_CAUSE = 1024 * 1024  # bytes of an X-Ray cause in a header: more is left out, as AWS's own client does


class HTTPStream:
    """What an entry gives for an answer that is streamed: its head, as Lambda's prelude has it, and its pieces."""

    __slots__ = ("head", "pieces")

    def __init__(self, head: dict[str, Any], pieces: Iterator[bytes]) -> None:
        self.head = head
        self.pieces = pieces


class RuntimeAPIError(Exception):
    """Lambda refused a call of the runtime's, or went away. ``status`` is 0 for a connection that ended."""

    def __init__(self, path: str, status: int, body: bytes) -> None:
        super().__init__(f"{path} answered {status}: {body[:500].decode('utf-8', 'replace')}")
        self.status = status


class RuntimeAPI:
    """``address`` is what Lambda puts into AWS_LAMBDA_RUNTIME_API, ``host:port``."""

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._address = host, int(port or 80)
        self._host = address
        self._socket: socket | None = None
        self._received = b""

    def next(self) -> tuple[dict[str, str], bytes]:
        """Wait for an invocation: its headers, names in lower case, and its event."""
        headers, body = self._call("GET", f"{_VERSION}/invocation/next", 200)
        return headers, body

    def respond(self, request_id: str, body: bytes) -> None:
        """Answer an invocation. Raises RuntimeAPIError with status 413 for more than Lambda takes."""
        self._call("POST", f"{_VERSION}/invocation/{request_id}/response", 202, body)

    def stream(self, request_id: str) -> AnswerStream:
        """Begin to answer an invocation with a streamed HTTP answer."""
        path = f"{_VERSION}/invocation/{request_id}/response"
        headers = [
            "Lambda-Runtime-Function-Response-Mode: streaming",
            f"Content-Type: {HTTP_ANSWER}",
            "Transfer-Encoding: chunked",
            f"Trailer: {_ERROR_TYPE}, {_ERROR_BODY}",
        ]
        self._send(self._head("POST", path, headers))
        return AnswerStream(self, path)

    def fail(self, request_id: str, kind: str, body: bytes, cause: bytes) -> None:
        """End an invocation with an error. ``cause`` is for X-Ray."""
        self._report(f"{_VERSION}/invocation/{request_id}/error", kind, body, cause)

    def fail_init(self, kind: str, body: bytes) -> None:
        """Say that this instance cannot start."""
        self._report(f"{_VERSION}/init/error", kind, body, b"")

    def restore_next(self) -> None:
        """Let Lambda take its snapshot; this returns in each instance that is restored from it."""
        self._call("GET", f"{_VERSION}/restore/next", 200)

    def fail_restore(self, kind: str, body: bytes) -> None:
        """Say that an instance cannot be restored."""
        self._report(f"{_VERSION}/restore/error", kind, body, b"")

    def _report(self, path: str, kind: str, body: bytes, cause: bytes) -> None:
        headers = [f"{_ERROR_TYPE}: {_printable(kind)}"]
        if cause and len(cause) < _MOST_CAUSE:
            headers.append(f"Lambda-Runtime-Function-XRay-Error-Cause: {cause.decode('ascii')}")
        self._call("POST", path, 202, body, headers)

    def _call(
        self, method: str, path: str, expected: int, body: bytes | None = None, headers: Iterable[str] = ()
    ) -> tuple[dict[str, str], bytes]:
        lines = [*headers] if body is None else ["Content-Type: application/json", *headers]
        lines += [] if body is None else [f"Content-Length: {len(body)}"]
        self._send(self._head(method, path, lines) + (body or b""))
        return self.read(path, expected)

    def _head(self, method: str, path: str, headers: Iterable[str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "User-Agent: portable", *headers, "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = socket(AF_INET, SOCK_STREAM)
            self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            self._socket.connect(self._address)
            self._received = b""
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send a part of the request under way. Raises OSError when Lambda hung up."""
        assert self._socket is not None
        try:
            self._socket.sendall(data)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def read(self, path: str, expected: int) -> tuple[dict[str, str], bytes]:
        """Headers and body of the answer to the request under way. Raises RuntimeAPIError for another status."""
        head = self._until(b"\r\n\r\n", path).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks(path)
        else:
            body = self._exactly(int(headers.get("content-length", "0")), path)
        if headers.get("connection", "").lower() == "close":
            self.close()
        if status != expected:
            raise RuntimeAPIError(path, status, body)
        return headers, body

    def _more(self, path: str) -> None:
        data = b"" if self._socket is None else self._socket.recv(262_144)
        if not data:
            self.close()
            raise RuntimeAPIError(path, 0, b"the connection ended")
        self._received = self._received + data if self._received else data

    def _until(self, mark: bytes, path: str) -> bytes:
        while (end := self._received.find(mark)) < 0:
            self._more(path)
        found, self._received = self._received[:end], self._received[end + len(mark) :]
        return found

    def _exactly(self, size: int, path: str) -> bytes:
        if len(self._received) < size:
            parts, have = [self._received], len(self._received)
            while have < size:
                self._received = b""
                self._more(path)
                parts.append(self._received)
                have += len(self._received)
            self._received = b"".join(parts)
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _chunks(self, path: str) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n", path).partition(b";")[0], 16):
            parts.append(self._exactly(size, path))
            self._exactly(2, path)
        while self._until(b"\r\n", path):  # trailers
            pass
        return b"".join(parts)


class AnswerStream:
    """A streamed answer under way. OSError where Lambda hung up, RuntimeAPIError where it refused it."""

    def __init__(self, api: RuntimeAPI, path: str) -> None:
        self._api = api
        self._path = path

    def write(self, piece: bytes) -> None:
        """Send a piece, not an empty one: that would be the end."""
        self._api.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end(self) -> None:
        """Send the end."""
        self._api.write(b"0\r\n\r\n")
        self._api.read(self._path, 202)

    def fail(self, kind: str, body: bytes) -> None:
        """Send the end, and that it is an early one."""
        from binascii import b2a_base64

        encoded = b2a_base64(body, newline=False).decode()
        trailers = f"0\r\n{_ERROR_TYPE}: {_printable(kind)}\r\n{_ERROR_BODY}: {encoded}\r\n\r\n"
        self._api.write(trailers.encode("latin-1"))
        self._api.read(self._path, 202)


def _printable(kind: str) -> str:
    return kind if kind.isascii() and kind.isprintable() else kind.encode("ascii", "backslashreplace").decode()
