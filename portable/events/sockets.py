"""What happens to a websocket's connection."""

from __future__ import annotations

from portable.events.fields import Headers, Query
from portable.events.http import read_cookies
from portable.events.lazy import Lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Literal

    from portable.resources.sockets import Sockets

__all__ = ["SocketEvent"]


def _read_subprotocols(event: SocketEvent) -> list[str]:
    offered = event.headers.get("sec-websocket-protocol", "")
    return [name.strip() for name in offered.split(",") if name.strip()]


def _known_at_connect(name: str) -> Callable[[Any], Any]:
    def refuse(event: SocketEvent) -> Any:
        from portable.errors import ConfigError

        raise ConfigError(
            f"event.{name} of a {event.kind} event: it is known when a client connects, and no cloud says it again; "
            "keep what later events need in a table, under event.connection"
        )

    return refuse


class SocketEvent(Lazy):
    """A client connected to a websocket, sent a message, or is gone.

    ``connect`` comes before the connection is there: the handler refuses it with an HTTPError or ``return False``, and
    nothing can be sent to it yet. ``disconnect`` comes at most once, and not at all where a cloud loses it.

    Attributes:
        kind: ``"connect"``, ``"message"`` or ``"disconnect"``. connection: its id, for as long as it is there.
        body: of a message, str; bytes where the sockets were declared with ``binary=True`` and the client sent bytes.
        path: the declared path. sockets: the :class:`~portable.Sockets` this connection belongs to.
        query, headers, cookies, client: of the request that connects, on a connect event alone.
        subprotocols: what the client offers on connect. subprotocol: set it to one of these to choose it.
        code: of a disconnect, the close code (RFC 6455), None where the cloud does not say. reason: a str, maybe "".
        native: the vendor's own event.
    """

    __slots__ = (
        "body",
        "client",
        "code",
        "connection",
        "cookies",
        "headers",
        "kind",
        "native",
        "path",
        "query",
        "reason",
        "sockets",
        "subprotocol",
        "subprotocols",
    )
    kind: Literal["connect", "message", "disconnect"]
    connection: str
    body: bytes | str
    path: str
    query: Query
    headers: Headers
    cookies: dict[str, str]
    client: str | None
    subprotocols: list[str]
    subprotocol: str | None
    code: int | None
    reason: str
    sockets: Sockets
    native: Any
    _lazy = {
        "body": lambda event: "",
        "code": lambda event: None,
        "native": lambda event: None,
        "reason": lambda event: "",
        "subprotocol": lambda event: None,
        "subprotocols": _read_subprotocols,
        "cookies": read_cookies,
        **{name: _known_at_connect(name) for name in ("client", "headers", "query")},
    }

    def __init__(
        self,
        kind: Literal["connect", "message", "disconnect"],
        connection: str,
        body: bytes | str = "",
        *,
        path: str = "/",
        query: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        headers: Iterable[tuple[str, str]] | Mapping[str, str] = (),
        client: str | None = None,
        code: int | None = None,
        reason: str = "",
        native: object = None,
    ) -> None:
        self.kind = kind
        self.connection = connection
        self.body = body
        self.path = path
        if kind == "connect":
            self.query = Query(query)
            self.headers = Headers(headers)
            self.client = client
        self.code = code
        self.reason = reason
        self.native = native

    def text(self) -> str:
        """The body as text, bytes as UTF-8. Raises ValueError."""
        body = self.body
        return body if isinstance(body, str) else body.decode()

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError when it is not JSON."""
        from portable.jsontext import load_text

        return load_text(self.body)

    def send(self, data: Any) -> None:
        """Send to this connection: see ``Sockets.send``. Raises ConfigError on connect: nobody hears it yet."""
        self._check_there()
        self.sockets.send(self.connection, data)

    async def asend(self, data: Any) -> None:
        """See :meth:`send`."""
        self._check_there()
        await self.sockets.asend(self.connection, data)

    def _check_there(self) -> None:
        if self.kind != "message":
            from portable.errors import ConfigError

            raise ConfigError(
                f"nothing can be sent to a connection on its {self.kind} event: it is there when the handler of its "
                "connect event has returned, and until it is closed"
            )

    def __repr__(self) -> str:
        return f"<SocketEvent {self.kind} {self.connection}>"
