"""Requests read from a connection: llhttp takes them apart, through httptools; what is too much or unclear is refused.

What two readers of one request could read differently is refused rather than guessed at, for it may have come through
another server (https://www.rfc-editor.org/rfc/rfc9112#section-11.2). llhttp sees to lengths, line ends and chunks; here
it is one Host, no encoding of a body but chunks, and nothing of what comes behind a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import httptools

from portable.http.answers import problem
from portable_container.requests import ContainerRequest, Raw
from portable_container.upgrades import is_websocket, without_upgrade

if TYPE_CHECKING:
    from portable.events import Response
    from portable_container.settings import Settings

__all__ = ["LARGEST_HEAD", "MOST_HEADERS", "PROBED", "Arrivals", "Reader", "Taker", "too_many"]

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers, of which one more read may come on top; of trailers likewise."""

MOST_HEADERS = 200
PROBED = (b"/-/live", b"/-/ready")
"""What is answered over connections beyond the most there may be."""

_LOOKED_AT = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})


class Taker(Protocol):
    """The connection."""

    def take(self, request: ContainerRequest) -> None:
        """A whole request is there."""

    def upgrade(self, request: ContainerRequest, rest: bytes) -> bool:
        """One is there that asks to become a websocket, and what came behind it; False when it is not to."""

    def refuse(self, response: Response) -> None:
        """What comes is no request that is served; nothing more is to be read."""

    def await_body(self, *, asked: bool) -> None:
        """A body is to come; ``asked``: once the client is told that it may."""


class Arrivals:
    """Bodies that are not complete, of all connections. ``size``: their bytes so far, ``most``: that there may be."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0


class Reader:
    """See the module.

    Args:
        spare: only ``PROBED`` is to be answered.

    Attributes:
        head: whether the next bytes are of a request line or headers. begun: how many of those there were.
        stopped: nothing more is read.
    """

    __slots__ = (
        "_arrivals",
        "_body",
        "_headers",
        "_keeps",
        "_modern",
        "_parser",
        "_peer",
        "_quiet",
        "_settings",
        "_size",
        "_spare",
        "_taker",
        "_url",
        "begun",
        "head",
        "stopped",
    )

    def __init__(self, settings: Settings, arrivals: Arrivals, taker: Taker, peer: str | None, *, spare: bool) -> None:
        self._settings = settings
        self._arrivals = arrivals
        self._taker: Any = taker
        self._peer = peer
        self._spare = spare
        self._parser: Any = httptools.HttpRequestParser(self)
        self.head = True
        self.begun = 0
        self.stopped = False
        self._size = 0  # of the body under way
        self._quiet = 0  # bytes that came for a body and are none of it, one after the other

    def feed(self, data: bytes) -> None:
        """Read on."""
        size = self._size
        was_head = self.head
        if was_head:
            self.begun += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self.stopped:
                self._upgrade(bytes(data[upgrade.args[0] :]))
            return
        except httptools.HttpParserError:
            self._refuse(400, "This is no HTTP request")
            return
        if self.head:
            if self.begun > LARGEST_HEAD:
                self._refuse(431, f"A request's head has at most {LARGEST_HEAD} bytes")
        elif was_head or size != self._size:
            self._quiet = 0
        else:  # trailers, or what is said of chunks
            self._quiet += len(data)
            if self._quiet > LARGEST_HEAD:
                self._refuse(431, f"What is no body has at most {LARGEST_HEAD} bytes")

    def stop(self) -> None:
        """Read nothing more, and forget what was read of a body."""
        self.stopped = True
        self._forget_body()

    def close(self) -> None:
        """The connection is over."""
        self.stop()
        self._parser = self._taker = None  # they hold each other

    # --- what the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self.begun = self.begun or 1  # it may stand behind another in what was read
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. What comes behind a body is left out: it would pass for what was looked at before."""
        if self.head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Refuse at once what would be refused later."""
        if self.stopped:
            return
        parser = self._parser
        self.head = False
        self._modern = modern = parser.get_http_version() == "1.1"
        self._keeps = modern and parser.should_keep_alive() and not self._spare
        hosts = 0
        comes = asked = False
        for name, value in self._headers:
            if name not in _LOOKED_AT:
                continue
            if name == b"host":
                hosts += 1
            elif name == b"expect":
                asked = modern and value.lower() == b"100-continue"
            elif name == b"transfer-encoding":
                comes = True
                if value.lower() != b"chunked" or not modern:
                    self._refuse(501 if modern else 400, "A body's transfer encoding is chunked, in HTTP/1.1")
            elif (length := int(value)) > self._settings.max_body:  # llhttp has looked at it
                self._refuse_body()
            else:
                comes = length > 0
        if hosts != 1 and (hosts or modern):
            self._refuse(400, "A request has one Host")
        elif len(self._headers) > MOST_HEADERS:
            self._refuse(431, f"A request has at most {MOST_HEADERS} headers")
        elif self._spare and self._url.partition(b"?")[0] not in PROBED:
            self._taker.refuse(too_many("connections"))
        elif comes and not self.stopped:
            self._taker.await_body(asked=asked)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.stopped:
            return
        arrivals = self._arrivals
        self._size += len(body)
        arrivals.size += len(body)
        self._body.append(body)
        if self._size > self._settings.max_body:
            self._refuse_body()
        elif arrivals.size > arrivals.most:
            self._taker.refuse(too_many("bodies"))

    def on_message_complete(self) -> None:
        """A whole request is there."""
        self.head = True
        self.begun = 0
        if self.stopped or self._parser.should_upgrade():  # of that feed_data says more
            return
        body = self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        if self._size:
            self._forget_body()
        self._taker.take(self._request(whole))

    # --- what is made of it

    def _request(self, body: bytes) -> ContainerRequest:
        raw = Raw(self._url, self._headers, self._peer, self._settings.proxies, keeps=self._keeps, modern=self._modern)
        return ContainerRequest(raw, self._parser.get_method().decode("latin-1"), body)

    def _upgrade(self, rest: bytes) -> None:
        """A request asks for another protocol; ``rest`` is its body, or what the other protocol begins with."""
        request = self._request(b"")
        if request.method == "CONNECT":  # what follows is for whom it wants to be connected to
            request.native.keeps = False
            self.stop()
            self._taker.take(request)
            return
        if is_websocket(request.method, self._headers) and self._taker.upgrade(request, rest):
            return
        plain = without_upgrade(request.method, self._url, self._parser.get_http_version(), self._headers)
        self._parser = httptools.HttpRequestParser(self)
        self.feed(plain + rest)

    def _forget_body(self) -> None:
        """The body under way is complete, or will never be."""
        self._arrivals.size -= self._size
        self._size = 0
        self._body = []

    def _refuse(self, status: int, detail: str) -> None:
        self._taker.refuse(problem(status, detail))

    def _refuse_body(self) -> None:
        self._refuse(413, f"A body has at most {self._settings.max_body} bytes here")


def too_many(what: str) -> Response:
    """The answer where there is no room."""
    return problem(503, f"Too many {what}", headers={"retry-after": "1"})
