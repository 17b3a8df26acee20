"""Records of streams, in the order of each partition: at least once, over restarts too.

The state holds the offset of the last record of a partition that is dealt with. A batch that fails comes again from
the record it failed on after 1 s, 2 s, 4 s …, or after what ``Retry(after=…)`` says, and nothing behind it in its
partition meanwhile; after the last attempt that record is given up and the next one follows. The log keeps a record for
a day.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from portable.dev.application import DevFunction
from portable.dev.delivery import Desk, Invocation, Part, backoff
from portable.errors import Retry
from portable.events.records import StreamRecord
from portable.invoke.streams import first_failures
from portable.run.streams import PartitionReader
from portable.triggers import StreamTrigger

__all__ = ["StreamDelivery", "stream_parts"]

_LOOK = 0.05
"""Seconds between two looks at a stream's log."""


def stream_parts(desk: Desk) -> list[Part]:
    """A delivery for each partition of each stream that a function handles."""
    application = desk.application
    return [
        StreamDelivery(desk, function, trigger, partition)
        for function, trigger in application.triggers(StreamTrigger)
        for partition in application.driver(desk.platform, "stream", trigger.stream.name).partitions()
    ]


class StreamDelivery(Part):
    """Hands one function the records of one partition, one batch after the other."""

    def __init__(self, desk: Desk, function: DevFunction, trigger: StreamTrigger, partition: str) -> None:
        super().__init__(desk)
        self._function = function
        self._trigger = trigger
        name = trigger.stream.name
        self._source = f"stream:{name}/{partition}"  # no table is called so
        self._driver: Any = desk.application.driver(desk.platform, "stream", name)
        options = {"batch_size": trigger.batch_size, "bisect": trigger.bisect, "max_attempts": trigger.max_attempts}
        self._reader = PartitionReader(self._driver, name, partition, options)
        self._begun = False
        self._idle = asyncio.Event()
        self._idle.set()

    def prepare(self) -> None:
        """A function that is new begins where its trigger says. Blocks."""
        first = 0 if self._trigger.start == "trim" else None
        self.desk.state.begin_changes(self._function.name, self._source, self._driver.last(), first)

    async def find(self) -> None:
        """See ``Part.find``."""
        if not self._idle.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _LOOK)
            return
        batch = await self.desk.threads.run(self._read)
        if not batch:
            await self.desk.pause(_LOOK)
            return
        await self.free()
        self._idle.clear()
        self.begin(self._deliver(batch))

    def _read(self) -> list[StreamRecord[bytes]]:
        if not self._begun:
            self._reader.after = str(self.desk.state.last_change(self._function.name, self._source))
            self._begun = True
        return self._reader.read()

    async def _deliver(self, batch: list[StreamRecord[bytes]]) -> None:
        desk, function = self.desk, self._function
        try:
            attempt = self._reader.attempt
            invocation = await desk.invoke(function, function.call, function.call.is_async, batch)
            failed, error = _failure(invocation, batch)
            given_up = self._reader.settle(batch, None if failed is None else failed.offset)
            await desk.threads.run(desk.state.end_change, function.name, self._source, int(self._reader.after or 0))
            again = failed is not None and given_up is None
            wish = error.after if isinstance(error, Retry) else None
            wait = wish.total_seconds() if wish is not None else backoff(max(self._reader.attempt - 1, 1))
            self._note(invocation, batch, failed, error, attempt, f"retry in {wait:g} s" if again else "given up")
            if again:
                await desk.pause(wait)
        finally:
            self._idle.set()

    def _note(
        self,
        invocation: Invocation,
        batch: list[StreamRecord[bytes]],
        failed: StreamRecord[bytes] | None,
        error: BaseException | None,
        attempt: int,
        outcome: str,
    ) -> None:
        """One line for what went well, one for what did not."""
        done = batch if failed is None else batch[: batch.index(failed)]
        name = f"{batch[0].stream}/{batch[0].partition}"
        if done:
            span = done[0].offset if len(done) == 1 else f"{done[0].offset}–{done[-1].offset} ({len(done)})"
            self.desk.note(invocation, f"{name}/{span}", "ok")
        if failed is not None:
            tried = f", attempt {attempt}" if failed is batch[0] and attempt > 1 else ""
            self.desk.note(invocation, f"{name}/{failed.offset}{tried}", outcome, error)


def _failure(
    invocation: Invocation, batch: list[StreamRecord[bytes]]
) -> tuple[StreamRecord[bytes] | None, BaseException | None]:
    """The record from which on the batch comes again, and why."""
    if invocation.error is not None:
        return batch[0], invocation.error
    failed = next(iter(first_failures(batch, invocation.value)), None)
    return failed, None if failed is None else invocation.value[batch.index(failed)]
