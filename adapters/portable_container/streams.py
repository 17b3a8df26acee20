"""Workers that read streams: each partition in order, one batch after the other, from where it was left.

Instances share the partitions out (``portable_container.positions``). What fails comes again from the record it failed
on, after 1 s, 2 s, 4 s … 60 s or after what ``Retry(after=…)`` says, and nothing behind it in its partition meanwhile;
after ``max_attempts`` that record is given up. When the process is to stop, what is in hand may end, and partitions are
let go of for another process; so are those whose handlers do not end in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from logging import getLogger
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from portable.drivers.stream import HandledStream
from portable.errors import ConfigError, Reject, Retry
from portable.events import StreamRecord
from portable.invoke.loops import step
from portable.invoke.streams import first_failures, give_up
from portable_container.poller import backoff
from portable_container.positions import Held, LostError, Positions

if TYPE_CHECKING:
    from portable.drivers import StoredRecord
    from portable.serving.invocations import Invoker
    from portable.serving.threads import Threads
    from portable_container.functions import Function
    from portable_container.settings import Settings

__all__ = ["StreamPoller"]

LOOK = 1.0
"""Seconds between two looks at a partition that has nothing new, as Lambda has it."""

Record = StreamRecord[Any]


class StreamPoller:
    """What one trigger of one function reads. See ``portable_container.poller.Poller`` for its methods.

    Raises ConfigError where the table of positions has no address.
    """

    def __init__(
        self, function: Function, trigger: Any, invoker: Invoker, threads: Threads, settings: Settings
    ) -> None:
        self._function = function
        self._trigger = trigger
        self._invoker = invoker
        self._threads = threads
        self._driver = trigger.stream.driver()
        if isinstance(self._driver, HandledStream):
            raise ConfigError(f"{trigger.stream}: a container reads no stream of this address")
        self._lease = settings.lease_seconds
        name = trigger.stream.name
        self._positions = Positions(function.name, name, uuid4().hex[:16], self._lease, trigger.start)
        self._positions.open()
        self._stopping = asyncio.Event()
        self._readers: dict[asyncio.Task[None], Held] = {}
        self._keeping: asyncio.Task[None] | None = None
        self.name = f"{function.name}, stream {name}"

    def start(self) -> None:
        """Begin to read."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def stop(self) -> None:
        """Read no more."""
        self._stopping.set()

    async def ended(self) -> None:
        """Wait for what is in hand."""
        if self._readers:
            await asyncio.wait(set(self._readers))
        if self._keeping is not None:
            await asyncio.wait([self._keeping])

    async def give_back(self) -> None:
        """Let go of partitions whose handlers have not ended, which counts as an attempt."""
        left = dict(self._readers)
        for task in left:
            task.cancel()
        for held in left.values():
            with contextlib.suppress(Exception):
                await self._threads.run(lambda one=held: one.release(attempt=one.attempt + 1))
        with contextlib.suppress(Exception):
            await self._threads.run(self._positions.leave)

    # --- sharing partitions out

    async def _keep(self) -> None:
        failures = 0
        while not (self._stopping.is_set() and not self._readers):
            pause = self._lease / 4
            try:
                await self._threads.run(self._share)
                failures = 0
            except Exception as error:
                failures += 1
                pause = min(backoff(failures), pause) * random.uniform(0.5, 1.0)  # noqa: S311 - so that not all of them come at once
                self._warn("sharing its partitions out failed", error, pause)
            self._begin_new()
            if not self._stopping.is_set():
                await self._pause(pause)
            elif self._readers:
                await asyncio.wait(set(self._readers), timeout=pause)
        with contextlib.suppress(Exception):
            await self._threads.run(self._positions.leave)

    def _share(self) -> None:
        if self._stopping.is_set():  # what is in hand is held on to, and nothing else
            for held in self._positions.held.values():
                with contextlib.suppress(LostError):
                    held.write()
            return
        parents = getattr(self._driver, "parents", None)
        known: Mapping[str, Sequence[str]] = {} if parents is None else parents()
        self._positions.share(list(known) or self._driver.partitions(), known)

    def _begin_new(self) -> None:
        """Read what is held and nobody reads yet: sharing out may have failed after some were taken."""
        read = set(self._readers.values())
        for held in self._positions.held.values():
            if held not in read and not held.lost:
                task = asyncio.get_running_loop().create_task(self._read_on(held))
                self._readers[task] = held
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        held = self._readers.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            held.lost = True  # its item is anybody's once it has not been written for long enough
            getLogger("portable").error("%s: reading %s ended", self.name, held.partition, exc_info=error)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _warn(self, what: str, error: BaseException, pause: float) -> None:
        words = "%s: %s, again in %.0f s: %s: %s"
        getLogger("portable").warning(words, self.name, what, pause, type(error).__name__, error)

    # --- one partition

    async def _read_on(self, held: Held) -> None:
        """Read a partition for as long as it is this instance's."""
        size, failures = self._trigger.batch_size, 0
        with contextlib.suppress(LostError):
            while not (self._stopping.is_set() or held.surplus or held.lost):
                if monotonic() - held.written > self._lease * 0.7:  # somebody else may be about to take it
                    await self._pause(LOOK)
                    continue
                try:
                    batch = await self._batch(held, 1 if held.alone else size)
                    failures = 0
                except Exception as error:
                    failures += 1
                    self._warn(f"reading {held.partition} failed", error, backoff(failures))
                    await self._pause(backoff(failures))
                    continue
                if not batch:
                    if await self._is_over(held):
                        await self._write(held, owner="", over=True)
                        held.lost = True
                        return
                    await self._pause(LOOK)
                    continue
                size = await self._deliver(held, batch)
            await self._threads.run(held.release)

    async def _batch(self, held: Held, size: int) -> list[Record]:
        found = await self._threads.run(self._read, held, size)
        window = self._trigger.window
        if window is not None and 0 < len(found) < size:
            await self._pause(window.total_seconds())
            found = await self._threads.run(self._read, held, size)
        stream = self._trigger.stream.name
        return [
            StreamRecord(stream, one.partition, one.offset, one.data, one.key, one.time, one.headers, attempt, one)
            for one, attempt in zip(found, [held.attempt, *[1] * len(found)], strict=False)
        ]

    def _read(self, held: Held, size: int) -> list[StoredRecord]:
        after = held.after
        if after.startswith("@"):
            found: list[StoredRecord] = self._driver.read_since(held.partition, datetime.fromisoformat(after[1:]), size)
        else:
            found = self._driver.read(held.partition, after or None, size)
        return found

    async def _is_over(self, held: Held) -> bool:
        is_over = getattr(self._driver, "is_over", None)
        if is_over is None or held.after.startswith("@"):
            return False
        try:
            return bool(await self._threads.run(is_over, held.partition, held.after or None))
        except Exception as error:
            self._warn(f"whether {held.partition} is over is not known", error, LOOK)
            return False

    async def _deliver(self, held: Held, batch: list[Record]) -> int:
        """Hand a batch over, and say how far it is done. Returns how many records the next one may have."""
        trigger, most = self._trigger, self._trigger.max_attempts
        error: BaseException | None = None
        failed: Record | None = batch[0]
        if most is not None and held.attempt > most:  # it has ended whoever tried
            error = Reject(f"it was in hand when its reader ended, {held.attempt - 1} times")
        else:
            failed, error = await self._call(batch)
        if failed is not None and (isinstance(error, Reject) or (most is not None and held.attempt >= most)):
            reason = error if isinstance(error, Reject) else Reject(f"it failed {held.attempt} times: {error}")
            if failed is batch[0] and await self._give_up(failed, reason) is None:
                await self._write(held, after=failed.offset, attempt=1)
                held.alone = False
                return int(trigger.batch_size)
        if failed is None:
            await self._write(held, after=batch[-1].offset, attempt=1)
            held.alone = False
            return int(trigger.batch_size)
        position = batch.index(failed)
        if position:
            await self._write(held, after=batch[position - 1].offset, attempt=2)
        else:
            await self._write(held, attempt=held.attempt + 1)
        wish = error.after if isinstance(error, Retry) else None
        await self._pause(backoff(held.attempt - 1) if wish is None else wish.total_seconds())
        left = len(batch) - position
        return max(1, left // 2) if trigger.bisect else int(trigger.batch_size)

    async def _call(self, batch: list[Record]) -> tuple[Record | None, BaseException | None]:
        """The record from which on it comes again, and why."""
        function, invoker = self._function, self._invoker
        context, call = invoker.context_of(function), function.call
        try:
            outcomes = await invoker.invoke(function, context, call, call.is_async, batch)
        except Exception as error:
            getLogger("portable").exception("%s failed on %d records, from %s on", self.name, len(batch), batch[0].id)
            return batch[0], error
        failures = first_failures(batch, outcomes)
        return (failures[0], outcomes[batch.index(failures[0])]) if failures else (None, None)

    async def _give_up(self, record: Record, reason: Reject) -> BaseException | None:
        """None when it is among the dead letters, or in the log where there are none."""
        given = give_up(self._trigger, record, record.native.data, reason)
        return await given if self._trigger.is_async else await self._threads.run(step, given)

    async def _write(self, held: Held, **changes: Any) -> None:
        """Say how far a partition is done, until that is said. Raises LostError."""
        failures = 0
        while True:
            try:
                await self._threads.run(lambda: held.write(**changes))
                return
            except (LostError, ConfigError):
                raise
            except Exception as error:
                failures += 1
                self._warn(f"how far {held.partition} is done was not written", error, backoff(failures))
                if monotonic() - held.written > self._lease:
                    held.lost = True
                    raise LostError from error
                await asyncio.sleep(min(backoff(failures), self._lease / 5))
