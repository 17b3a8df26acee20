"""Blob events, from a bucket's log of changes to the functions that want them: at least once, over restarts too.

A change is first noted in the state and only then marked as handled in the bucket's log. A function that fails gets it
again after 1 s, 2 s, 4 s …; after ``ATTEMPTS`` it is parked: kept, shown, and delivered again when somebody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from portable.dev.application import DevFunction
from portable.dev.delivery import Desk, Part, backoff
from portable.dev.state import BlobTask
from portable.resources.bucket import Bucket
from portable.triggers import BlobTrigger

__all__ = ["ATTEMPTS", "BlobDelivery", "ChangeReader", "forget_watchers"]

ATTEMPTS = 5
"""Attempts before a blob event is parked."""

WATCHER = "dev:"
"""Before a function's name: what it is called in a bucket's log."""

_LOOK = 0.05
"""Seconds between two looks at a log of changes."""

_DUE = 0.5
"""Seconds between two looks at whether a retry is due."""


class ChangeReader(Part):
    """Reads one bucket's changes for one function."""

    def __init__(self, desk: Desk, delivery: BlobDelivery, bucket: Bucket) -> None:
        super().__init__(desk)
        function = delivery.function
        self._delivery = delivery
        self._function = function
        self._bucket = bucket.name
        self._watcher = f"{WATCHER}{function.name}"
        self._driver = desk.application.driver(desk.platform, "bucket", bucket.name)
        self._triggers = [
            trigger
            for trigger in function.triggers
            if isinstance(trigger, BlobTrigger) and trigger.bucket.name == bucket.name
        ]

    def prepare(self) -> None:
        """From now on the log keeps every change for this function. Blocks."""
        self._driver.watch(self._watcher)

    async def find(self) -> None:
        """See ``Part.find``."""
        if await self.desk.threads.run(self._read):
            self._delivery.wake()
        else:
            await self.desk.pause(_LOOK)

    def _read(self) -> int:
        changes = self._driver.changes(self._watcher)
        if changes:
            wanted = [one for one in changes if any(trigger.wants(one.kind, one.key) for trigger in self._triggers)]
            if wanted:
                self.desk.state.add_blob_events(self._function.name, self._bucket, wanted)
            self._driver.handled(self._watcher, changes[-1].id)
        return len(changes)


class BlobDelivery(Part):
    """Hands one function its blob events."""

    def __init__(self, desk: Desk, function: DevFunction) -> None:
        super().__init__(desk)
        self.function = function
        self._fresh = asyncio.Event()
        self._running: set[int] = set()

    def wake(self) -> None:
        """See ``Part.wake``."""
        self._fresh.set()

    async def find(self) -> None:
        """See ``Part.find``."""
        self._fresh.clear()
        due = await self.desk.threads.run(self.desk.state.due_blob_events, self.function.name, time.time())
        fresh = [task for task in due if task.id not in self._running]
        for task in fresh:
            await self.free()
            if self.desk.stopping.is_set():
                self.give_back()
                return
            self._running.add(task.id)
            self.begin(self._deliver(task))
        if not fresh:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), _DUE)

    async def _deliver(self, task: BlobTask) -> None:
        try:
            await self._attempt(task)
        finally:
            self._running.discard(task.id)

    async def _attempt(self, task: BlobTask) -> None:
        desk, function = self.desk, self.function
        attempt = task.attempt + 1
        await desk.threads.run(desk.state.begin_blob_event, task.id)
        invocation = await desk.invoke(function, function.call, function.call.is_async, task.event())
        subject = f"{task.kind} {task.bucket}/{task.key}" + (f", attempt {attempt}" if attempt > 1 else "")
        if invocation.error is None:
            await desk.threads.run(desk.state.end_blob_event, task.id)
            desk.note(invocation, subject, "ok")
            return
        wait = backoff(attempt)
        park = attempt >= ATTEMPTS
        error = f"{type(invocation.error).__name__}: {invocation.error}"
        await desk.threads.run(desk.state.retry_blob_event, task.id, time.time() + wait, error, park)
        desk.note(invocation, subject, "parked" if park else f"retry in {wait:g} s")


def forget_watchers(desk: Desk) -> None:
    """A function that is gone, or listens to a bucket no more, has no place in its log: nothing is kept for it."""
    listening = {(bucket.name, f"{WATCHER}{function.name}") for function, bucket in desk.application.buckets()}
    for record in desk.application.manifest.of_kind("bucket"):
        driver = desk.application.driver(desk.platform, "bucket", record.name)
        for watcher in driver.watchers():
            if watcher.startswith(WATCHER) and (record.name, watcher) not in listening:
                driver.unwatch(watcher)
