"""Calling a function: its context, its deadline, the thread or the loop it runs on."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine
from itertools import count
from logging import getLogger
from typing import TYPE_CHECKING, Any, Protocol

from portable.errors import DeadlineExceededError, PortableError
from portable.events import Context, current_context
from portable.serving.threads import Threads
from portable.watchdog import enter as watch
from portable.watchdog import leave as unwatch

if TYPE_CHECKING:
    from portable.app import App
    from portable.http.mounts import Mounts

__all__ = ["THREADS", "Done", "HandlerExitError", "Invoked", "Invoker", "StartError"]

Done = Callable[[Any, BaseException | None], None]
"""Is given what a call gave, or what it raised, on the loop."""

THREADS = 40
"""Sync handlers that run at once."""


class HandlerExitError(PortableError):
    """A handler raised SystemExit or KeyboardInterrupt, which would end the server."""


class StartError(PortableError):
    """An ``on_start`` hook failed; the next invocation tries again."""


class Invoked(Protocol):
    """A function that is called here. ``timeout`` is seconds; ``cold`` is True until its first invocation."""

    name: str
    timeout: float
    cold: bool


async def _guarded(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise HandlerExitError(f"the handler raised {type(error).__name__}") from error


class _Call:
    """One invocation, and who waits for it as long as its deadline allows."""

    __slots__ = ("clock", "context", "done", "due", "over", "timeout")
    due: float

    def __init__(self, context: Context, done: Done, clock: _Clock, timeout: float) -> None:
        self.context = context
        self.done = done
        self.clock = clock
        self.timeout = timeout
        self.over = False
        clock.watch(self)

    def finish(self, value: Any, error: BaseException | None) -> None:
        if self.over:
            _log_late(self.context)
            return
        self.over = True
        self.clock.running.discard(self)
        self.done(value, error)

    def expire(self) -> None:
        self.over = True
        self.done(None, _exceeded(self.context, self.timeout))

    def abandon(self) -> None:
        """Nobody waits any more."""
        self.over = True
        self.clock.running.discard(self)


class _Clock:
    """One timer for the deadlines of all calls: it is set to the first of them, and most calls end before theirs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._set_to = 0.0
        self.running: set[_Call] = set()

    def watch(self, call: _Call) -> None:
        due = call.due = self._loop.time() + call.timeout
        self.running.add(call)
        if self._timer is None or due < self._set_to:
            if self._timer is not None:
                self._timer.cancel()
            self._set(due)

    def _set(self, due: float) -> None:
        self._set_to = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = [call for call in self.running if call.due <= now]
        self.running.difference_update(late)
        if self.running:
            self._set(min(call.due for call in self.running))
        for call in late:
            call.expire()


class _ThreadCall(_Call):
    """A sync handler's call on a thread."""

    __slots__ = ("call", "events", "loop")

    def __init__(
        self,
        call: Callable[..., Any],
        events: tuple[Any, ...],
        context: Context,
        done: Done,
        loop: asyncio.AbstractEventLoop,
        clock: _Clock,
        timeout: float,
    ) -> None:
        super().__init__(context, done, clock, timeout)
        self.call = call
        self.events = events
        self.loop = loop

    def __call__(self) -> None:
        if self.over:  # its deadline passed before a thread was free
            return
        token = current_context.set(self.context)
        value: Any = None
        failed: BaseException | None = None
        watch(self.context)
        try:
            value = self.call(*self.events)
        except (SystemExit, KeyboardInterrupt, StopIteration) as error:
            failed = HandlerExitError(f"the handler raised {type(error).__name__}")
            failed.__cause__ = error
        except BaseException as error:
            failed = error
        finally:
            unwatch(self.context)
            current_context.reset(token)
        try:
            self.loop.call_soon_threadsafe(self.finish, value, failed)
        except RuntimeError:  # the loop is closed: the server ended meanwhile
            return


class _TaskCall(_Call):
    """An async handler's call, in a task on the loop."""

    __slots__ = ("task",)
    task: asyncio.Task[Any]

    def ended(self, task: asyncio.Task[Any]) -> None:
        unwatch(self.context)
        if self.over:
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it as forgotten
                _log_late(self.context)
        elif task.cancelled():
            self.finish(None, asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.finish(None, error)
        else:
            self.finish(task.result(), None)

    def expire(self) -> None:
        super().expire()
        self.task.cancel()

    def abandon(self) -> None:
        super().abandon()
        self.task.cancel()


def _exceeded(context: Context, timeout: float) -> DeadlineExceededError:
    return DeadlineExceededError(f"function {context.function} took longer than its timeout, {timeout:g} s")


def _log_late(context: Context) -> None:
    late = time.time() - (context.deadline_at or 0)
    getLogger("portable").warning(
        "%s, request %s: ended %.1f s past its deadline; the result is dropped",
        context.function,
        context.request_id,
        late,
    )


class Invoker:
    """Calls the functions of one app, on one event loop.

    Args:
        mounts: what is started after the app's hooks. target: as its contexts say it. threads: sync handlers at once.
    """

    def __init__(
        self, app: App, mounts: Mounts | None = None, *, target: str = "local", threads: int = THREADS
    ) -> None:
        self._app = app
        self._target = target
        self._mounts = mounts
        self._loop = asyncio.get_running_loop()
        self._clock = _Clock(self._loop)
        prefix = os.urandom(6).hex()
        self._ids = (f"{prefix}-{number:x}" for number in count(1))
        self._handlers = Threads(threads, "handler")
        self._stage = os.environ.get("PORTABLE_STAGE", "")
        self._started = False
        self._starting = asyncio.Lock()

    def context_of(self, function: Invoked) -> Context:
        """The context of a new invocation."""
        cold, function.cold = function.cold, False
        return Context(
            function.name,
            next(self._ids),
            deadline_at=time.time() + function.timeout,
            cold_start=cold,
            target=self._target,
            stage=self._stage,
        )

    async def invoke(
        self, function: Invoked, context: Context, call: Callable[..., Any], is_async: bool, *events: Any
    ) -> Any:
        """What ``call`` gives for these events.

        Raises DeadlineExceededError, StartError for an ``on_start`` hook, and what the call raised.
        """
        if not self._started:
            await self.start()
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(value: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        begun = self.begin(function, context, call, is_async, events, done)
        try:
            return await future
        except asyncio.CancelledError:
            if begun is not None and not begun.over:
                begun.abandon()
            raise

    def begin(
        self,
        function: Invoked,
        context: Context,
        call: Callable[..., Any],
        is_async: bool,
        events: tuple[Any, ...],
        done: Done,
    ) -> _Call | None:
        """Begin a call on the loop, once the app is started; ``done`` is told its end, or DeadlineExceededError.

        ``done`` may be called before this returns, which is then None.
        """
        loop = self._loop
        if not is_async:
            job = _ThreadCall(call, events, context, done, loop, self._clock, function.timeout)
            self._handlers.submit(job)
            return job
        token = current_context.set(context)
        try:
            result = call(*events)
            if not hasattr(result, "send"):
                done(result, None)
                return None
            watch(context)
            begun = _TaskCall(context, done, self._clock, function.timeout)
            task = begun.task = _make_task(_guarded(result), loop)
        except (SystemExit, KeyboardInterrupt) as error:
            failed = HandlerExitError(f"the handler raised {type(error).__name__}")
            failed.__cause__ = error
            done(None, failed)
            return None
        except Exception as error:
            done(None, error)
            return None
        finally:
            current_context.reset(token)
        if task.done():
            begun.ended(task)
        else:
            task.add_done_callback(begun.ended)
        return begun

    async def on_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        """What ``call`` gives, on one of the handlers' threads. Raises HandlerExitError where it would end those."""

        def guarded() -> Any:
            try:
                return call(*args)
            except (SystemExit, KeyboardInterrupt, StopIteration) as error:
                raise HandlerExitError(f"the handler raised {type(error).__name__}") from error

        return await self._handlers.run(guarded)

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end on the loop, from a thread."""
        return asyncio.run_coroutine_threadsafe(_guarded(coroutine), self._loop).result()

    async def stop(self) -> None:
        """Stop what is mounted, and call the ``on_stop`` hooks, if it was started."""
        if self._started and self._mounts is not None:
            await self._handlers.run(self._mounts.stop, self._run)
        await self._handlers.run(self._app.life.stop, self._run)

    async def start(self) -> None:
        """Call the ``on_start`` hooks, once: sync ones on a thread, async ones on the loop that handlers run on.

        Raises StartError; the next call tries again.
        """
        async with self._starting:
            if self._started:
                return
            run = self._run

            def start() -> None:
                try:
                    self._app.life.start(run)
                    if self._mounts is not None:
                        self._mounts.start(run)
                except (SystemExit, KeyboardInterrupt) as error:
                    raise HandlerExitError(f"an on_start hook raised {type(error).__name__}") from error

            try:
                await self._handlers.run(start)
            except Exception as error:
                raise StartError("an on_start hook failed") from error
            self._started = True


if sys.version_info >= (3, 12):

    def _make_task(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
        """A task that has begun: one that waits for nothing is over when this returns."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _make_task(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
        return loop.create_task(coroutine)
