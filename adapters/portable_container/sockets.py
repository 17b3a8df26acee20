"""Websockets: uvicorn's protocol takes the connection over, and the framework's own ASGI part makes its events."""

from __future__ import annotations

import asyncio
from logging import getLogger
from typing import TYPE_CHECKING, Any

from portable.errors import ConfigError, DeadlineExceededError
from portable.events import Response, SocketEvent
from portable.http.answers import problem
from portable.live.asgi import LONGEST_MESSAGE, Receive, Scope, Send, refuse, serve_socket
from portable_container.reading import too_many

if TYPE_CHECKING:
    from portable.serving.invocations import Invoker
    from portable_container.functions import Function, Functions
    from portable_container.protocol import Connection
    from portable_container.requests import ContainerRequest
    from portable_container.settings import Settings

__all__ = ["Sockets"]


class Sockets:
    """What serves the connections of an app's websockets. Raises ConfigError when uvicorn is not in the bundle."""

    def __init__(self, functions: Functions, invoker: Invoker, settings: Settings) -> None:
        try:
            import uvicorn
            from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
            from uvicorn.server import ServerState
        except ImportError as error:
            raise ConfigError(f"{error.name} is not installed: pip install 'portable-functions[container]'") from error
        self._by_path: dict[str, Function] = {
            trigger.path: function for function in functions.of_kind("socket") for trigger in function.triggers
        }
        self._invoker = invoker
        self._limit = settings.connections
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level="warning",
            ws="websockets-sansio",
            ws_max_size=LONGEST_MESSAGE,
            proxy_headers=False,
        )
        config.load()
        self._config = config
        self._protocol = WebSocketsSansIOProtocol
        self._state = ServerState()
        self._inboxes: list[Any] = []
        for trigger in {
            trigger.sockets.name: trigger for one in self._by_path.values() for trigger in one.triggers
        }.values():
            inbox = getattr(trigger.sockets.driver(), "inbox", None)
            if inbox is not None:
                self._inboxes.append(inbox())

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to hear what other instances send to connections held here."""
        self._loop = loop
        for inbox, _ in self._inboxes:
            inbox.start()

    def take(self, request: ContainerRequest, connection: Connection, rest: bytes) -> bool:
        """Take a request to become a websocket."""
        if len(self._state.connections) >= self._limit:
            request.native.keeps = False
            connection.answer(too_many("websockets"), request)
            return True
        raw = request.native
        client = raw.client()
        transport = connection.hand_over()
        lines = [b"GET ", raw.target, b" HTTP/1.1\r\n"]
        for name, value in raw.headers:
            lines += [name, b": ", value, b"\r\n"]
        protocol = self._protocol(
            config=self._config, server_state=self._state, app_state={"client": client}, _loop=self._loop
        )
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        protocol.data_received(b"".join([*lines, b"\r\n", rest]))
        return True

    def close(self) -> None:
        """The server stops: every connection is closed with 1012."""
        for one in list(self._state.connections):
            one.shutdown()

    async def ended(self) -> None:
        """Wait until every connection has had its disconnect event."""
        while self._state.connections or self._state.tasks:  # noqa: ASYNC110 - uvicorn's own, which has no event
            await asyncio.sleep(0.02)
        for inbox, end in self._inboxes:
            for last in (inbox.stop, end):
                try:
                    await self._invoker.on_thread(last)
                except Exception:
                    getLogger("portable").exception("ending the websockets' inbox")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        function = self._by_path.get(scope["path"])
        if function is None:
            await receive()
            await refuse(scope, send, problem(404, "No websocket is here"))
            return
        found = function
        client = scope["state"].get("client")

        async def call(event: SocketEvent) -> Response:
            return await self._call(found, event)

        binary = function.triggers[0].sockets.options["binary"]
        await serve_socket({**scope, "client": (client, 0) if client else None}, receive, send, call, binary=binary)

    async def _call(self, function: Function, event: SocketEvent) -> Response:
        context = self._invoker.context_of(function)
        try:
            call = function.call
            response: Response = await self._invoker.invoke(function, context, call, call.is_async, event)
        except DeadlineExceededError as error:
            getLogger("portable").warning("%s, %s: %s", function.name, event.kind, error)
            return problem(504, "The handler did not answer in time")
        except Exception:
            getLogger("portable").exception("%s failed on the %s of a websocket", function.name, event.kind)
            return problem(500, "The handler failed")
        return response
