"""Threads for what blocks: sync handlers, and the drivers of queues and buckets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any

__all__ = ["Threads"]


class _Idle:
    """A thread that waits for its next job."""

    __slots__ = ("_job", "_ready")

    def __init__(self) -> None:
        self._ready = Lock()
        self._ready.acquire()
        self._job: Callable[[], None]

    def give(self, job: Callable[[], None]) -> None:
        self._job = job
        self._ready.release()

    def wait(self) -> Callable[[], None]:
        self._ready.acquire()
        return self._job


class Threads:
    """A bounded pool whose results go to an event loop.

    Unlike an executor it hands a job straight to the thread that was idle last, makes one only when none is, and its
    threads do not keep the process alive: one that hangs in a handler past its deadline must not hold up the end.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._count = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._idle: list[_Idle] = []
        self._lock = Lock()

    def submit(self, job: Callable[[], None]) -> None:
        """Call ``job`` on a thread, when one is free. It must not raise."""
        with self._lock:
            if self._idle:
                self._idle.pop().give(job)
                return
            if self._count == self._limit:
                self._waiting.append(job)
                return
            self._count += 1
        Thread(target=self._work, args=(job,), name=f"{self._name}-{self._count}", daemon=True).start()

    def _work(self, job: Callable[[], None]) -> None:
        idle = _Idle()
        while True:
            job()
            with self._lock:
                if self._waiting:
                    job = self._waiting.popleft()
                    continue
                self._idle.append(idle)
            job = idle.wait()

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
