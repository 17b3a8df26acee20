"""One run of the server: HTTP on a listening socket, the deliveries beside it, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import uvicorn

from portable.dev.application import CONTROL, Application
from portable.dev.blobs import BlobDelivery, ChangeReader, forget_watchers
from portable.dev.delivery import Desk, Part
from portable.dev.front import Front
from portable.dev.journal import Journal
from portable.dev.logs import FailureNotes
from portable.dev.messages import QueueDelivery
from portable.dev.places import delivery_lock, state_folder, url_of
from portable.dev.state import State
from portable.plugins import adapter
from portable.resources import set_platform
from portable.serving.invocations import Invoker
from portable.serving.threads import Threads
from portable.triggers import BlobTrigger, ChangeTrigger, ScheduleTrigger, SocketTrigger, StreamTrigger

__all__ = ["GRACE", "Session"]

GRACE = 5.0
"""Seconds that what is in hand gets to end when the server stops."""

_QUIET = 0.25
"""Seconds a connection that is open when the server stops gets for a request that is on its way."""
_LOOKS = 25


class Server(uvicorn.Server):
    """uvicorn, stopped from outside and at once, and no connection dropped that was accepted before."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are not uvicorn's here."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See ``uvicorn.Server``."""
        await super().startup(sockets)
        self._announce()

    async def main_loop(self) -> None:
        """See ``uvicorn.Server``: the date header once a second, and no wait at the end."""
        while not self.stopping.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See ``uvicorn.Server``. A connection that seems idle may have a request on its way; it is not cut off."""
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        for _ in range(_LOOKS):
            await asyncio.sleep(_QUIET / _LOOKS)
            if not self.server_state.connections:
                break
        await super().shutdown()


class Session:
    """See the module.

    Args:
        application: None when the app does not start; then HTTP alone is served, and answers with ``failure``.
    """

    def __init__(self, root: Path, application: Application | None, failure: str, listener: socket.socket) -> None:
        self.root = root
        self.application = application
        self.failure = failure
        self.url = url_of(listener)
        self.started_at = datetime.now().astimezone()
        self.stopped = False
        self.desk: Desk | None = None
        self.parts: list[Part] = []
        self.state = State(state_folder(root) / "dev" / "events.sqlite")
        self._listener = listener
        self._front: Front | None = None
        self._server: Server | None = None
        self._control: Any = None
        self._opening = threading.Lock()

    async def serve(
        self, on_ready: Callable[[Session], None], announce: Callable[[Session], None] | None = None
    ) -> None:
        """Serve until ``stop``."""
        loop = asyncio.get_running_loop()
        self.journal = Journal(loop)
        self._tools = Threads(4, "tools")
        notes = FailureNotes(self.root)
        logging.getLogger("portable").addHandler(notes)
        invoker = None
        if self.application is not None:
            self.platform = adapter("local").platform()
            set_platform(self.platform)
            invoker = Invoker(self.application.app, self.application.http.routes.mounts)
            self.desk = Desk(self.application, self.platform, self.state, invoker, self.journal)
            self.application.subscribe(self.platform)
            self.parts = _parts(self.desk)
            for part in self.parts:
                part.prepare()
        front = self._front = Front(self.application, self.failure, invoker, self.journal, notes, self._open_control)
        websockets = self.application is not None and any(self.application.triggers(SocketTrigger))
        if websockets:
            assert self.application is not None
            assert invoker is not None
            from portable.dev.sockets import Sockets

            front.sockets = Sockets(self.application, invoker, self.journal, notes)
        config = uvicorn.Config(
            front,
            ws="websockets-sansio" if websockets else "none",
            ws_max_size=1 << 20,  # as portable.live.asgi has it, and no cloud takes more
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(GRACE),
        )
        self._server = Server(config, lambda: (announce or _announce)(self))
        on_ready(self)
        delivering = loop.create_task(self._deliver())
        await self._server.serve(sockets=[self._listener])
        await delivering
        if invoker is not None:
            await invoker.stop()
        self.journal.flush()
        self.state.close()
        if self.application is not None:
            self.platform.close()

    def stop(self) -> None:
        """Begin to end: nothing new, and ``GRACE`` for what is in hand. Called on the loop's thread."""
        self.stopped = True
        if self.desk is not None:
            self.desk.stopping.set()
            for part in self.parts:
                part.wake()
        if self._front is not None:
            self._front.close()
        if self._server is not None:
            self._server.should_exit = True
            self._server.stopping.set()

    async def _deliver(self) -> None:
        """Deliver events while no other worker of this project does."""
        desk = self.desk
        if desk is None:
            return
        lock = delivery_lock(self.root)
        locking = asyncio.get_running_loop().create_task(self._tools.run(lock.__enter__))
        stopping = asyncio.get_running_loop().create_task(desk.stopping.wait())
        await asyncio.wait((locking, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not locking.done():
            locking.cancel()
            return
        stopping.cancel()
        saved = state_folder(self.root) / "dev" / "invocations.json"
        try:
            self.journal.restore(saved)
            await desk.threads.run(forget_watchers, desk)
            for part in self.parts:
                await desk.threads.run(part.recover)
            running = [asyncio.get_running_loop().create_task(part.run()) for part in self.parts]
            await desk.stopping.wait()
            if running:
                _, late = await asyncio.wait(running, timeout=GRACE)
                for part in self.parts if late else ():
                    part.abandon()
                for task in late:
                    task.cancel()
        finally:
            self.journal.save(saved)
            lock.__exit__(None, None, None)

    async def _open_control(self) -> Any:
        """The application of the pages. FastAPI takes longer to import than all the rest: not before it is needed."""
        if self._control is None:
            self._control = await self._tools.run(self._make_control)
        return self._control

    def _make_control(self) -> Any:
        with self._opening:
            if self._control is None:
                from portable.dev.control import make_control

                self._control = make_control(self)
            return self._control

    def banner(self) -> str:
        """What is served, and where."""
        from portable import __version__

        name = self.application.app.name if self.application else "the app, which does not start"
        lines = [
            f"portable dev {__version__}: {name}",
            f"  app    {self.url}",
            f"  pages  {self.url}{CONTROL}/",
            f"  state  {state_folder(self.root)}",
        ]
        if self.application is not None:
            lines += [f"  {text}" for text in _describe(self.application)]
        lines.append("Ctrl-C stops.")
        return "\n".join(lines)

    def reload_line(self, seconds: float) -> str:
        """What is said when a reload is done."""
        if self.application is None:
            return f"not reloaded: {self.failure}"
        return f"reloaded in {seconds:.2f} s" + "".join(f"\n  {text}" for text in self.application.warnings)


def _announce(session: Session) -> None:
    from portable.dev.journal import say

    say(session.banner())


def _parts(desk: Desk) -> list[Part]:
    application = desk.application
    parts: list[Part] = [QueueDelivery(desk, function, trigger) for function, trigger in application.queues()]
    blobs = {name: BlobDelivery(desk, one) for name, one in application.functions.items() if one.kind == "blob"}
    parts += [ChangeReader(desk, blobs[function.name], bucket) for function, bucket in application.buckets()]
    parts += blobs.values()
    if tables := application.tables():
        from portable.dev.changes import ChangeDelivery

        parts += [ChangeDelivery(desk, function, table) for function, table in tables]
    if application.triggers(StreamTrigger):
        from portable.dev.streams import stream_parts

        parts += stream_parts(desk)
    if schedules := application.triggers(ScheduleTrigger):
        from portable.dev.schedules import ScheduleDelivery

        parts += [ScheduleDelivery(desk, function, one) for function, one in schedules]
    return parts


def _describe(application: Application) -> list[str]:
    """A line for each function: what calls it. Then what is odd."""
    lines = []
    width = max((len(name) for name in application.functions), default=0)
    for name, function in application.functions.items():
        lines.append(f"{name:<{width}}  {callers(function)}"[:78])
    return lines + application.warnings


def callers(function: Any) -> str:
    """What calls a function, in words."""
    if function.kind == "http":
        routes = [f"{trigger.method} {trigger.path}" for trigger in function.triggers]
        return ", ".join(routes[:3]) + (f" and {len(routes) - 3} more" if len(routes) > 3 else "")
    if function.kind == "direct":
        return "called by name"
    if function.kind == "socket":
        return f"websocket {function.triggers[0].path}"
    words = []
    for trigger in function.triggers:
        if isinstance(trigger, BlobTrigger):
            pattern = f"{trigger.prefix}*{trigger.suffix}" if trigger.prefix or trigger.suffix else ""
            words.append(f"bucket {trigger.bucket.name} {pattern}".rstrip() + f" {'/'.join(trigger.kinds)}")
        elif isinstance(trigger, ChangeTrigger):
            words.append(f"table {trigger.table.name}{', old items too' if trigger.old else ''}")
        elif isinstance(trigger, StreamTrigger):
            words.append(f"{trigger.stream}, {trigger.batch_size} at a time")
        elif isinstance(trigger, ScheduleTrigger):
            from portable.dev.times import expression

            words.append(f"schedule {expression(trigger)}")
        else:
            words.append(f"{trigger.source}, {trigger.batch_size} at a time")
    return "; ".join(words)
