"""Running a coroutine from sync code: one event loop is kept a process."""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine
    from typing import Any

__all__ = ["call_apart", "needs_thread", "prefer", "run", "run_shared", "running_loop", "step", "wait"]

_starting = allocate_lock()
_own_loop: AbstractEventLoop | None = None
_shared_loop: AbstractEventLoop | None = None


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in this thread, on the process's kept loop. For one invocation at a time."""
    global _own_loop
    if _own_loop is None or _own_loop.is_closed():
        from asyncio import new_event_loop

        _own_loop = new_event_loop()
    return _own_loop.run_until_complete(coroutine)


def run_shared(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on the process's kept loop in a thread of its own. For invocations on threads."""
    global _shared_loop
    from asyncio import new_event_loop, run_coroutine_threadsafe

    with _starting:
        if _shared_loop is None:
            from threading import Thread

            _shared_loop = new_event_loop()
            Thread(target=_keep_running, args=(_shared_loop,), name="portable-loop", daemon=True).start()
    value, end = run_coroutine_threadsafe(_contain(coroutine), _shared_loop).result()
    if end is not None:
        raise end
    return value


async def _contain(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    """The result, or what would end the process: raised on the shared loop it would end that, and its callers wait."""
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as end:
        return None, end


def _keep_running(loop: AbstractEventLoop) -> None:
    """Run the shared loop, again when a handler's own task stopped it: others wait for it."""
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            from logging import getLogger

            getLogger("portable").exception("a task ended the shared event loop, which goes on")


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that awaits nothing: how a sync handler goes through the same code without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a sync handler's invocation waited for something")


def needs_thread() -> bool:
    """Whether what may block has to leave the event loop that runs here: others share it."""
    from asyncio import get_running_loop

    return get_running_loop() is not _own_loop


async def call_apart(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call what may block on a thread, in the caller's context; what it raises is raised here."""
    from portable.resources import on_thread

    return await on_thread(function, *args, **named)


_run: Callable[[Any], Any] = run_shared


def prefer(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Say how this process runs a coroutine to its end, outside of any event loop: :func:`run_shared` unless said."""
    global _run
    _run = run


def running_loop() -> AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    from sys import modules

    asyncio = modules.get("asyncio")
    loop: AbstractEventLoop | None = None if asyncio is None else asyncio._get_running_loop()
    return loop


def wait(coroutine: Coroutine[Any, Any, Any], loop: AbstractEventLoop | None = None) -> Any:
    """Run a coroutine to its end from a thread without a loop: on ``loop``, which runs in another, or as preferred."""
    if loop is None:
        return _run(coroutine)
    from asyncio import run_coroutine_threadsafe

    return run_coroutine_threadsafe(coroutine, loop).result()
