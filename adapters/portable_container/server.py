"""The process: it starts the app, listens, polls, and ends in the right order when it is told to.

Told to stop (``SIGTERM``, ``SIGINT``) it says so on ``/-/ready``, takes no more messages, goes on taking requests for
``drain_seconds``, then takes no more connections, and gives what is in hand until ``shutdown_seconds`` have passed.
Messages whose handlers have not ended by then are given back. ``on_stop`` hooks are called last. A second signal ends
it at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from email.utils import formatdate
from logging import getLogger
from typing import TYPE_CHECKING, Any

from portable.errors import ConfigError
from portable.http.mounts import Mounts
from portable.invoke.loops import prefer
from portable.serving.invocations import Invoker
from portable.serving.threads import Threads
from portable_container.control import Control
from portable_container.events import Decoder
from portable_container.front import Front
from portable_container.poller import Poller
from portable_container.protocol import Shared
from portable_container.pushed import guard, reader

if TYPE_CHECKING:
    from portable_container.functions import Functions
    from portable_container.settings import Settings
    from portable_container.streams import StreamPoller

__all__ = ["Server", "serve"]

_POLLED = 2  # threads a delivery may take at once: one tells the queue, one extends leases


class Server:
    """See the module. ``platform``: the name of the one whose drivers are set."""

    def __init__(self, functions: Functions, settings: Settings, platform: str) -> None:
        self._functions = functions
        self._settings = settings
        self._platform = platform
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        mounts: Mounts | None = functions.http.routes.mounts if functions.http is not None else None
        self._invoker = Invoker(functions.app, mounts, target="container", threads=settings.concurrency)
        decoder, check = Decoder(reader(platform)), guard(platform, os.environ)
        self._control = Control(functions, self._invoker, settings, decoder, check)
        self._front = Front(functions, self._invoker, self._control, settings)
        self._shared = Shared(settings, self._front)
        self._pollers: list[Poller | StreamPoller] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve until told to stop. Raises StartError for an ``on_start`` hook, OSError for a port that is taken."""
        prefer(self._run_on_loop)
        self._sweep()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._told)
        await self._invoker.start()
        server = await self._loop.create_server(
            self._shared.connect, self._settings.host, self._settings.port, backlog=2048
        )
        try:
            await self._open_sockets()
            port = server.sockets[0].getsockname()[1]
            self._start_pollers()
            self._control.ready = True
            getLogger("portable").info("serving %s on port %d", ", ".join(self._functions.by_name), port)
            await self._stopping.wait()
            await self._stop(server)
        finally:
            server.close()
            if self._sweeper is not None:
                self._sweeper.cancel()
            for connection in list(self._shared.connections):
                connection.transport.abort()
            await self._invoker.stop()

    # --- beginning

    def _run_on_loop(self, coroutine: Any) -> Any:
        """Run a coroutine to its end on the loop, from a handler's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _start_pollers(self) -> None:
        if not self._settings.polls:
            return
        kinds: dict[str, type[Poller | StreamPoller]] = {"message": Poller}
        if self._functions.of_kind("stream"):
            from portable_container.streams import StreamPoller

            kinds["stream"] = StreamPoller
        found = [(kind, one) for kind in kinds for one in self._functions.of_kind(kind)]
        most = sum(len(function.triggers) for _, function in found) * (1 + _POLLED * self._settings.batches)
        threads = Threads(max(1, most), "poller")
        for kind, function in found:
            for trigger in function.triggers:
                self._pollers.append(kinds[kind](function, trigger, self._invoker, threads, self._settings))
        for poller in self._pollers:
            poller.start()

    async def _open_sockets(self) -> None:
        if not any(one.source == "websocket" for one in self._functions.of_kind("socket")):
            return  # there are none, or somebody else holds them
        from portable_container.sockets import Sockets

        self._front.sockets = await self._invoker.on_thread(Sockets, self._functions, self._invoker, self._settings)
        self._front.sockets.open(self._loop)

    def _sweep(self) -> None:
        """Once a second: end what takes too long, and tell the time."""
        now = self._loop.time()
        self._shared.date = f"date: {formatdate(usegmt=True)}\r\n"
        for connection in [one for one in self._shared.connections if one.due < now]:
            connection.expire()
        shortest = min(self._settings.header_seconds, self._settings.write_seconds)
        self._sweeper = self._loop.call_later(min(1.0, shortest / 2), self._sweep)

    # --- the end

    def _told(self) -> None:
        if self._stopping.is_set():
            getLogger("portable").warning("told to stop twice: ending at once")
            os._exit(1)
        self._stopping.set()

    async def _stop(self, server: asyncio.Server) -> None:
        settings = self._settings
        getLogger("portable").info("stopping")
        self._control.ready = False
        for poller in self._pollers:
            poller.stop()
        polled = asyncio.ensure_future(_all(poller.ended() for poller in self._pollers))
        if settings.drain_seconds:
            await asyncio.sleep(settings.drain_seconds)
        server.close()
        self._shared.draining = True
        self._front.close()
        if self._front.sockets is not None:
            self._front.sockets.close()
        for connection in list(self._shared.connections):
            connection.drain()
        answered = asyncio.ensure_future(self._answered())
        _, late = await asyncio.wait((polled, answered), timeout=settings.shutdown_seconds)
        if late:
            getLogger("portable").warning("what was in hand did not end within %g s", settings.shutdown_seconds)
        for task in late:
            task.cancel()
        for poller in self._pollers:
            await poller.give_back()

    async def _answered(self) -> None:
        await self._front.drained()
        if self._front.sockets is not None:
            await self._front.sockets.ended()
        while self._shared.connections:  # noqa: ASYNC110 - what is written is still on its way; a stop is rare
            await asyncio.sleep(0.02)


async def _all(waits: Any) -> None:
    for wait in list(waits):
        await wait


def serve(functions: Functions, settings: Settings, platform: str) -> None:
    """Serve until told to stop, on uvloop where that is installed. Raises what :meth:`Server.run` does."""

    async def run() -> None:
        await Server(functions, settings, platform).run()

    try:
        import uvloop
    except ImportError:  # Windows; or a bundle somebody made smaller
        factory: Any = None
    else:
        factory = uvloop.new_event_loop
    if sys.platform == "win32":
        raise ConfigError("a container's server runs on Linux and macOS")
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run())
