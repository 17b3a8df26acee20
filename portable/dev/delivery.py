"""Handing events to functions: what queues, blob events and schedules share, and their beginning and end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from logging import getLogger
from typing import Any

from portable.dev.application import Application, DevFunction
from portable.dev.journal import Entry, Journal
from portable.dev.state import State
from portable.dev.traces import summarize
from portable.drivers import Platform
from portable.errors import DeadlineExceededError
from portable.serving.invocations import Invoker
from portable.serving.threads import Threads

__all__ = ["CONCURRENCY", "Desk", "Part", "backoff"]

CONCURRENCY = 4
"""Invocations at once, a trigger."""

_THREADS = 64
_LONGEST = 60.0


def backoff(attempt: int) -> float:
    """Seconds before the next attempt, after so many have failed: 1, 2, 4 … 60."""
    return float(min(2 ** min(attempt - 1, 10), _LONGEST))


class Desk:
    """What every delivery works with, and how it invokes.

    Attributes:
        application, platform, state, invoker, journal. threads: for drivers, apart from those of handlers.
        stopping: set when nothing new is to be begun.
    """

    def __init__(
        self, application: Application, platform: Platform, state: State, invoker: Invoker, journal: Journal
    ) -> None:
        self.application = application
        self.platform = platform
        self.state = state
        self.invoker = invoker
        self.journal = journal
        self.threads = Threads(_THREADS, "delivery")
        self.stopping = asyncio.Event()

    async def invoke(self, function: DevFunction, call: Callable[..., Any], is_async: bool, *events: Any) -> Invocation:
        """Invoke a function with an event. Never raises what the function raised: that is in the invocation."""
        context = self.invoker.context_of(function)
        begun = time.perf_counter()
        try:
            value = await self.invoker.invoke(function, context, call, is_async, *events)
            error: Exception | None = None
        except Exception as raised:
            value, error = None, raised
        return Invocation(function, context.request_id, value, error, (time.perf_counter() - begun) * 1000)

    def note(self, invocation: Invocation, subject: str, outcome: str, error: BaseException | None = None) -> None:
        """Write an invocation's line; with a traceback, when it failed as a whole."""
        failed = invocation.error or error
        if invocation.error is not None:
            name, root = invocation.function.name, self.application.root
            if isinstance(invocation.error, DeadlineExceededError):
                getLogger("portable").warning("%s failed on %s: %s", name, subject, summarize(invocation.error, root))
            else:
                getLogger("portable").error("%s failed on %s", name, subject, exc_info=invocation.error)
        self.journal.add(
            Entry(
                time.time(),
                invocation.function.name,
                subject,
                outcome,
                invocation.milliseconds,
                invocation.request_id,
                summarize(failed, self.application.root) if failed is not None else "",
            )
        )

    async def pause(self, seconds: float) -> None:
        """Wait, or until the server is stopping."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


class Invocation:
    """One call of a function: what it gave, or what it raised, and how long it took."""

    __slots__ = ("error", "function", "milliseconds", "request_id", "value")

    def __init__(
        self, function: DevFunction, request_id: str, value: Any, error: Exception | None, milliseconds: float
    ) -> None:
        self.function = function
        self.request_id = request_id
        self.value = value
        self.error = error
        self.milliseconds = milliseconds


class Part:
    """One delivery: a task that finds events, and the tasks that hand them over, ``CONCURRENCY`` at once."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._tasks: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """What must be in place before the first request is taken. Blocks; may be called beside an older worker."""

    def recover(self) -> None:
        """Take up what a worker before this one left. Blocks; called once, before ``run``."""

    async def find(self) -> None:
        """Find events and ``begin`` to deliver each, until ``desk.stopping`` is set."""
        raise NotImplementedError

    def wake(self) -> None:
        """Look again at once: there may be something, or the server is stopping."""

    async def free(self) -> None:
        """Wait until one more may be begun, and take its place; ``begin`` or ``give_back`` follows."""
        await self._slots.acquire()

    def give_back(self) -> None:
        """Nothing was begun after all."""
        self._slots.release()

    def begin(self, delivery: Coroutine[Any, Any, None]) -> None:
        """Deliver in a task of its own, in the place that was taken."""
        task = asyncio.get_running_loop().create_task(delivery)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The platform failed, not the handler: what was in hand comes back when its lease ends, or at a restart.
            getLogger("portable").error("a delivery failed", exc_info=error)

    async def run(self) -> None:
        """Find and deliver until the server is stopping, and end what is in hand."""
        while not self.desk.stopping.is_set():
            try:
                await self.find()
            except Exception:
                getLogger("portable").exception("%s: looking for events failed; again in 5 s", type(self).__name__)
                await self.desk.pause(5)
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def abandon(self) -> None:
        """End what is in hand without its outcome: it comes back."""
        for task in self._tasks:
            task.cancel()
