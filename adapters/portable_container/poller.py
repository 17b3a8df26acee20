"""Workers: messages are taken from a queue or a subscription, handed to their function, and the queue is told.

A message is leased for ``lease_seconds``, and again before that ends for as long as its handler runs, so that one whose
process is killed comes back soon, whatever the function's timeout. Where a queue cannot extend a lease, the lease is as
long as the function may take. Messages are received only while there is room for them.

When the process is to stop, nothing more is received; what arrives from a call under way is given back at once, what
is in hand may end, and what does not end in time is given back for another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from datetime import timedelta
from logging import getLogger
from typing import TYPE_CHECKING, Any

from portable.errors import NotFoundError, Reject, Retry, UnsupportedError
from portable.events import Message

if TYPE_CHECKING:
    from portable.drivers import Received
    from portable.serving.invocations import Invoker
    from portable.serving.threads import Threads
    from portable_container.functions import Function
    from portable_container.settings import Settings

__all__ = ["Poller", "backoff"]

MARGIN = 15.0
"""Seconds a lease that cannot be extended outlives the deadline: for the queue to be told the outcome."""

_LONGEST = 60.0
_LONGEST_LEASE = 600.0  # what every cloud takes; Pub/Sub's most


def backoff(attempt: int) -> float:
    """Seconds before the next attempt, after so many have failed: 1, 2, 4 … 60."""
    return float(min(2 ** min(max(attempt, 1) - 1, 10), _LONGEST))


class Poller:
    """What one trigger of one function takes, ``batches`` of it at once.

    Args:
        threads: for drivers, apart from those of handlers: a slow handler must not keep a lease from being extended.
    """

    def __init__(
        self, function: Function, trigger: Any, invoker: Invoker, threads: Threads, settings: Settings
    ) -> None:
        self._function = function
        self._trigger = trigger
        self._invoker = invoker
        self._threads = threads
        self._driver = trigger.driver()
        self._wait = timedelta(seconds=min(settings.wait_seconds, max(settings.shutdown_seconds / 2, 0.1)))
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._extends = True
        self._most = settings.batches
        self._ended_one = asyncio.Event()
        self._stopping = asyncio.Event()
        self._deliveries: dict[asyncio.Task[None], list[Received]] = {}
        self._finding: asyncio.Task[None] | None = None
        self.name = f"{function.name}, {trigger.key}"

    def start(self) -> None:
        """Begin to take messages."""
        self._finding = asyncio.get_running_loop().create_task(self._find())

    def stop(self) -> None:
        """Take no more."""
        self._stopping.set()
        self._ended_one.set()

    async def ended(self) -> None:
        """Wait for a call for messages under way, and for what is in hand."""
        if self._finding is not None:
            await asyncio.wait([self._finding])
        if self._deliveries:
            await asyncio.wait(set(self._deliveries))

    async def give_back(self) -> None:
        """What is still in hand goes to another process: its handlers did not end in time. It counts as an attempt."""
        batches = list(self._deliveries.values())
        for task in self._deliveries:
            task.cancel()
        for batch in batches:
            await self._threads.run(self._return, batch)

    # --- taking

    async def _find(self) -> None:
        failures = 0
        while await self._room():
            batch: list[Received] = []
            try:
                batch = await self._threads.run(self._receive)
                failures = 0
            except Exception as error:
                failures += 1
                pause = backoff(failures) * random.uniform(0.5, 1.0)  # noqa: S311 - so that not all of them come at once
                getLogger("portable").warning(
                    "%s: taking messages failed, again in %.0f s: %s: %s", self.name, pause, type(error).__name__, error
                )
                await self._pause(pause)
            if batch and self._stopping.is_set():
                await self._threads.run(self._return, batch)
            elif batch:
                self._begin(batch)

    async def _room(self) -> bool:
        """Wait until one more may be taken; False when nothing more is to be."""
        while len(self._deliveries) >= self._most and not self._stopping.is_set():
            self._ended_one.clear()
            await self._ended_one.wait()
        return not self._stopping.is_set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _receive(self) -> list[Received]:
        lease = self._lease
        if not self._extends:
            lease = timedelta(seconds=min(self._function.timeout + MARGIN, _LONGEST_LEASE))
        received: list[Received] = self._driver.receive(self._trigger.batch_size, self._wait, lease)
        return received

    def _begin(self, batch: list[Received]) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(batch))
        self._deliveries[task] = batch
        task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._deliveries.pop(task, None)
        self._ended_one.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # What the queue was not told of comes back when its lease ends.
            getLogger("portable").error("%s: a delivery failed", self.name, exc_info=error)

    # --- handing over

    async def _deliver(self, batch: list[Received]) -> None:
        function, trigger = self._function, self._trigger
        messages = [
            Message(one.id, one.body, one.attributes, one.attempt, one.sent_at, one.group, one) for one in batch
        ]
        over = asyncio.Event()
        holding = asyncio.ensure_future(self._hold(batch, over))
        try:
            context = self._invoker.context_of(function)
            call = self._invoker.invoke(function, context, function.call, trigger.is_async, messages, trigger.key)
            outcomes: Sequence[BaseException | None] = await call
        except Exception as error:
            getLogger("portable").exception("%s failed on a batch of %d", self.name, len(batch))
            outcomes = [error] * len(batch)
        finally:
            over.set()
            await asyncio.wait([holding])  # a lease under way may come with another receipt, which is to be told with
        await asyncio.shield(asyncio.ensure_future(self._threads.run(self._settle, batch, outcomes)))

    async def _hold(self, batch: list[Received], over: asyncio.Event) -> None:
        """Extend the leases until it is over."""
        while self._extends:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._lease.total_seconds() / 3)
            if over.is_set():
                return
            try:
                await self._threads.run(self._extend, batch)
            except UnsupportedError:
                self._extends = False
                getLogger("portable").info("%s: leases cannot be extended; they are longer from here on", self.name)
            except Exception as error:  # there are two more looks before it ends
                getLogger("portable").warning("%s: a lease was not extended: %s", self.name, error)

    def _extend(self, batch: list[Received]) -> None:
        for one in batch:
            try:
                self._driver.extend(one, self._lease)
            except NotFoundError:
                getLogger("portable").warning(
                    "%s: the lease of message %s has ended: it comes again", self.name, one.id
                )

    # --- telling the queue

    def _settle(self, batch: Sequence[Received], outcomes: Sequence[BaseException | None]) -> None:
        done = []
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                done.append(one)
                continue
            try:
                self._tell(one, outcome)
            except Exception as error:  # it comes back when its lease ends; the others are no worse for it
                getLogger("portable").warning("%s: message %s was not given back: %s", self.name, one.id, error)
        if not done:
            return
        acknowledge_many = getattr(self._driver, "acknowledge_many", None)
        if acknowledge_many is not None:
            acknowledge_many(done)
        else:
            for one in done:
                self._driver.acknowledge(one)
        if (large := getattr(self._trigger.source, "large_bodies", None)) is not None:
            for one in done:
                large.drop(one.body)

    def _tell(self, one: Received, outcome: BaseException) -> None:
        if isinstance(outcome, Reject):
            self._driver.dead_letter(one.body, one.attributes)
            self._driver.acknowledge(one)
            return
        wish = outcome.after if isinstance(outcome, Retry) else None
        after = timedelta(seconds=backoff(one.attempt)) if wish is None else wish
        if one.attempt >= self._trigger.source.max_attempts:
            self._driver.retry(one, None)  # the last attempt: it becomes a dead letter
            return
        try:
            self._driver.retry(one, after)
        except UnsupportedError:
            self._driver.retry(one, None)

    def _return(self, batch: Sequence[Received]) -> None:
        for one in batch:
            try:
                self._driver.retry(one, None)
            except Exception as error:
                getLogger("portable").warning("%s: message %s was not given back: %s", self.name, one.id, error)
