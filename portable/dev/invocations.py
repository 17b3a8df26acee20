"""Calling a function: its context, its deadline, the thread or the loop it runs on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from logging import getLogger
from typing import Any

from portable.app import App
from portable.dev.application import DevFunction
from portable.dev.threads import Threads
from portable.errors import DeadlineExceededError, PortableError
from portable.events import Context, current_context
from portable.http.mounts import Mounts
from portable.watchdog import enter as watch
from portable.watchdog import leave as unwatch

__all__ = ["THREADS", "HandlerExitError", "Invoker", "StartError"]

THREADS = 40
"""Sync handlers that run at once."""


class HandlerExitError(PortableError):
    """A handler raised SystemExit or KeyboardInterrupt, which would end the server."""


class StartError(PortableError):
    """An ``on_start`` hook failed; the next invocation tries again."""


async def _guarded(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise HandlerExitError(f"the handler raised {type(error).__name__}") from error


class _ThreadCall:
    """A sync handler's call on a thread, and the future that waits for it as long as its deadline allows."""

    __slots__ = ("call", "context", "events", "future", "loop", "over")

    def __init__(
        self,
        call: Callable[..., Any],
        events: tuple[Any, ...],
        context: Context,
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.call = call
        self.events = events
        self.context = context
        self.future = future
        self.loop = loop
        self.over = False

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

    def finish(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():
            _log_late(self.context)
        elif error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)

    def expire(self, timeout: float) -> None:
        self.over = True
        if not self.future.done():
            self.future.set_exception(_exceeded(self.context, timeout))


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


def _drop(done: asyncio.Task[Any], context: Context) -> None:
    if not done.cancelled():
        done.exception()  # looked at, so that asyncio does not report it as forgotten
        _log_late(context)


class Invoker:
    """Calls the functions of one app, on one event loop. ``mounts``: what is started after its hooks."""

    def __init__(self, app: App, mounts: Mounts | None = None) -> None:
        self._app = app
        self._mounts = mounts
        self._loop = asyncio.get_running_loop()
        self._handlers = Threads(THREADS, "handler")
        self._stage = os.environ.get("PORTABLE_STAGE", "")
        self._started = False
        self._starting = asyncio.Lock()

    def context_of(self, function: DevFunction) -> Context:
        """The context of a new invocation."""
        cold, function.cold = function.cold, False
        return Context(
            function.name,
            os.urandom(8).hex(),
            deadline_at=time.time() + function.timeout,
            cold_start=cold,
            target="local",
            stage=self._stage,
        )

    async def invoke(
        self, function: DevFunction, context: Context, call: Callable[..., Any], is_async: bool, *events: Any
    ) -> Any:
        """What ``call`` gives for these events.

        Raises DeadlineExceededError, StartError for an ``on_start`` hook, and what the call raised.
        """
        if not self._started:
            await self._start()
        if is_async:
            return await self._on_loop(function, context, call, events)
        loop = self._loop
        future: asyncio.Future[Any] = loop.create_future()
        job = _ThreadCall(call, events, context, future, loop)
        timer = loop.call_later(function.timeout, job.expire, function.timeout)
        self._handlers.submit(job)
        try:
            return await future
        finally:
            timer.cancel()

    async def on_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        """What ``call`` gives, on one of the handlers' threads. Raises HandlerExitError where it would end those."""

        def guarded() -> Any:
            try:
                return call(*args)
            except (SystemExit, KeyboardInterrupt, StopIteration) as error:
                raise HandlerExitError(f"the handler raised {type(error).__name__}") from error

        return await self._handlers.run(guarded)

    async def _on_loop(
        self, function: DevFunction, context: Context, call: Callable[..., Any], events: tuple[Any, ...]
    ) -> Any:
        token = current_context.set(context)
        try:
            result = call(*events)
            if not hasattr(result, "send"):
                return result
            task = self._loop.create_task(_guarded(result))
        except (SystemExit, KeyboardInterrupt) as error:
            raise HandlerExitError(f"the handler raised {type(error).__name__}") from error
        finally:
            current_context.reset(token)
        watch(context)
        try:
            await asyncio.wait((task,), timeout=function.timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            unwatch(context)
        if task.done():
            return task.result()
        task.add_done_callback(lambda done: _drop(done, context))
        task.cancel()
        raise _exceeded(context, function.timeout)

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end on the loop, from a thread."""
        return asyncio.run_coroutine_threadsafe(_guarded(coroutine), self._loop).result()

    async def stop(self) -> None:
        """Stop what is mounted, and call the ``on_stop`` hooks, if it was started."""
        if self._started and self._mounts is not None:
            await self._handlers.run(self._mounts.stop, self._run)
        await self._handlers.run(self._app.life.stop, self._run)

    async def _start(self) -> None:
        """Call the ``on_start`` hooks: sync ones on a thread, async ones on the loop that handlers run on."""
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
