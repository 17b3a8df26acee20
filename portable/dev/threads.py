"""Threads for what blocks: sync handlers, and the drivers of queues and buckets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from typing import Any

__all__ = ["Threads"]


class Threads:
    """A bounded pool whose results go to an event loop. Used from that loop's thread alone.

    Unlike an executor it hands a result over in one call, and its threads do not keep the process alive: one that hangs
    in a handler past its deadline must not hold up the end.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._count = 0
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = Semaphore(0)

    def submit(self, job: Callable[[], None]) -> None:
        """Call ``job`` on a thread, when one is free. It must not raise."""
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and self._count < self._limit:
            self._count += 1
            Thread(target=self._work, name=f"{self._name}-{self._count}", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                self._idle.release()
                job = self._jobs.get()
            job()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """What ``function`` returns or raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def give(value: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def job() -> None:
            try:
                outcome: tuple[Any, BaseException | None] = function(*args), None
            except Exception as error:
                outcome = None, error
            try:
                loop.call_soon_threadsafe(give, *outcome)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        self.submit(job)
        return await future
