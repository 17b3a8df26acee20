"""What hangs near its deadline is seen before the cloud ends the process: its stack is logged.

One thread looks at the running invocations, rarely; entering and leaving costs an invocation a dictionary entry. A
stack is written by this thread, or, where the handler keeps the interpreter to itself (a long call into C), by
``faulthandler``, which needs no interpreter. A sync handler in the main thread is interrupted with a
:class:`DeadlineExceededError`, where the entry asks for that.
"""

from __future__ import annotations

from _thread import get_ident, start_new_thread
from time import sleep, time

from portable.errors import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Context

__all__ = ["SIGTERM", "attend", "before_deadline", "enter", "leave", "margin", "on_signal"]

_running: dict[Context, int] = {}  # the invocations that run, and the thread each was entered on
_awaited: dict[int, tuple[Context, Any, Any, int]] = {}
"""What async handlers gave and is awaited: its invocation, itself, its loop and that one's thread, by its id."""
_single: list[Context | None] = [None]  # the one that runs in the main thread of a process that serves one at a time
_running_loop: Callable[[], Any] | None = None
_PARKED = 60
"""Looks at nothing running before the thread ends; the next invocation starts another."""

SIGTERM = 15
_SIGALRM = 14  # the numbers of Linux and macOS; `signal` itself costs an import of enum

_alive = False
_interrupted: Context | None = None
_signal_number = 0
_main_ident = 0


def margin(timeout: float) -> float:
    """Seconds before its deadline at which an invocation of ``timeout`` seconds is ended: a tenth, 1 s at most."""
    return min(1.0, timeout / 10)


def enter(context: Context) -> None:
    """Watch an invocation that begins in this thread, until :func:`leave`."""
    global _alive
    _running[context] = get_ident()
    if not _alive:
        _alive = True
        start_new_thread(_watch, ())


def attend() -> list[Context | None]:
    """Watch a process that serves one invocation at a time, in this thread, its main one: what the list holds, None
    between invocations. It costs an invocation less than :func:`enter`, and a frozen process nothing. Its sync handlers
    are interrupted by ``SIGALRM``, where the app has no use of its own for that, and no Windows is under it.
    """
    global _alive, _main_ident
    _interrupt_main()
    _main_ident = get_ident()
    if not _alive:
        _alive = True
        start_new_thread(_watch, ())
    return _single


def leave(context: Context) -> None:
    """Watch it no longer: it is over."""
    _running.pop(context, None)


def _watch() -> None:
    global _alive
    seen: dict[Context, float] = {}  # the timeout of each, or up to a pause more: when it was entered is not known
    told: set[Context] = set()
    armed: Context | None = None
    empty = 0
    slept = 0.0
    while empty < _PARKED:
        pause = 1.0
        now = list(_running.items())
        single = _single[0]
        if single is not None:
            now.append((single, _main_ident))
        empty = 0 if now or _main_ident else empty + 1
        for context, ident in now:
            deadline = _deadline_of(context)
            if deadline is None or context in told:
                continue
            left = deadline - time()
            first = context not in seen
            timeout = seen.setdefault(context, max(left, 0.0) + slept)
            telling = margin(timeout) * 1.5  # before an async handler is cancelled: its stack is gone then
            if left <= telling:
                told.add(context)
                _tell_surely(context, ident, left)
                continue
            pause = min(pause, timeout / 10, left - telling)
            if not first and armed is None:
                armed = context
                _arm(left - margin(timeout) / 2)
        alive = {context for context, _ in now}
        if armed is not None and (armed not in alive or armed in told):
            _disarm()
            armed = None
        told &= alive
        seen = {context: left for context, left in seen.items() if context in alive}
        slept = max(pause, 0.01)
        sleep(slept)
    _alive = False
    if _running:  # entered meanwhile, by one that saw the thread alive
        _alive = True
        start_new_thread(_watch, ())


def _deadline_of(context: Context) -> float | None:
    """None also where it cannot be read: a test gives no native context, and this thread must not end of that."""
    try:
        return context.deadline_at
    except (AttributeError, TypeError, ValueError):
        return None


def _arm(seconds: float) -> None:
    """Have the stacks written even if this thread gets no turn until then."""
    from faulthandler import dump_traceback_later
    from sys import __stderr__

    if __stderr__ is not None:
        dump_traceback_later(max(seconds, 0.01), exit=False, file=__stderr__)


def _disarm() -> None:
    from faulthandler import cancel_dump_traceback_later

    cancel_dump_traceback_later()


def _tell_surely(context: Context, ident: int, left: float) -> None:
    """In the words of the log, or, where they fail, as ``faulthandler`` does; this thread goes on."""
    try:
        _tell(context, ident, left)
    except Exception:
        from faulthandler import dump_traceback

        dump_traceback()


def _tell(context: Context, ident: int, left: float) -> None:
    from logging import getLogger
    from sys import _current_frames
    from traceback import format_stack

    frame = _current_frames().get(ident)
    stack = "".join(format_stack(frame)) if frame is not None else "its thread is gone"
    getLogger("portable").error(
        "%s nears its deadline: %.1f s are left to invocation %s, which is at\n%s",
        context.function,
        left,
        context.request_id,
        stack + _waits(context),
    )
    _interrupt(context, ident)


def _waits(context: Context) -> str:
    """Where the coroutines of an invocation are, and its tasks where these say whose they are (Python 3.12)."""
    held = [one for one in list(_awaited.values()) if one[0] is context]
    if not held:
        return ""
    from asyncio import all_tasks
    from sys import _current_frames
    from traceback import StackSummary, format_stack

    from portable.events import current_context

    try:
        chains = [_chain(awaited) for _, awaited, _, _ in held]
        for loop in {id(loop): loop for _, _, loop, _ in held}.values():
            tasks = [task for task in all_tasks(loop) if hasattr(task, "get_context")]
            own = [task for task in tasks if task.get_context().get(current_context) is context]
            chains += [_chain(task.get_coro()) for task in own]
        if any(running for _, running in chains):  # it holds up its loop: what it called is on that thread alone
            frame = _current_frames().get(held[0][3])
            return "and on its loop's thread at\n" + "".join(format_stack(frame))
        ends = {frames[-1]: frames for frames, _ in sorted(chains, key=lambda chain: len(chain[0])) if frames}
        stacks = [StackSummary.extract((frame, frame.f_lineno) for frame in frames) for frames in ends.values()]
        return "".join("and waits at\n" + "".join(stack.format()) for stack in stacks)
    except RuntimeError:  # it went on meanwhile
        return ""


def _chain(awaited: Any) -> tuple[list[Any], bool]:
    """The frames of a coroutine and of what it awaits, the innermost last, and whether it runs at this moment."""
    frames = []
    running = False
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        running = running or getattr(awaited, "cr_running", False)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return frames, running


def _interrupt(context: Context, ident: int) -> None:
    """Raise in a sync handler that runs in the main thread; an async one is cancelled by its own clock."""
    global _interrupted
    if not _signal_number or ident != _main_ident:
        return
    from sys import modules

    loops = modules.get("portable.invoke.loops")
    if loops is not None and loops._own_loop is not None and loops._own_loop.is_running():
        return
    from _signal import getsignal, pthread_kill  # type: ignore[import-not-found]

    if getsignal(_signal_number) is _raise:
        _interrupted = context
        pthread_kill(ident, _signal_number)


def _interrupt_main() -> None:
    global _signal_number
    from sys import platform

    if platform != "win32" and on_signal(_SIGALRM, _raise):  # which has no such signal
        _signal_number = _SIGALRM


def on_signal(number: int, handler: Callable[[int, Any], None]) -> bool:
    """Handle a signal that nobody handles yet. False where the app does, and outside of the main thread."""
    from _signal import SIG_DFL, getsignal, signal

    if getsignal(number) != SIG_DFL:
        return False
    try:
        signal(number, handler)
    except ValueError:
        return False
    return True


def _raise(_number: int, _frame: object) -> None:
    context = _interrupted
    if context is not None and (context in _running or context is _single[0]):
        raise DeadlineExceededError(f"{context.function} was interrupted: its deadline is near")


async def before_deadline(awaitable: Any) -> Any:
    """Await what an async handler gave, cancelled a margin before the invocation's deadline.

    Raises DeadlineExceededError then, and what the handler raised otherwise.
    """
    from portable.events import current_context

    context = current_context.get()
    deadline = None if context is None else context.deadline_at
    if context is None or deadline is None:
        return await awaitable
    global _running_loop
    if _running_loop is None:
        from asyncio import get_running_loop

        _running_loop = get_running_loop
    key = id(awaitable)
    _awaited[key] = context, awaitable, _running_loop(), get_ident()
    try:
        if hasattr(awaitable, "send"):  # a handler that waits for nothing needs no clock
            try:
                first = awaitable.send(None)
            except StopIteration as end:
                return end.value
            awaitable = _Begun(awaitable, first)
        return await _before(awaitable, context, deadline)
    finally:
        _awaited.pop(key, None)


class _Begun:
    """A coroutine that has waited for the first time: ``first`` is what for."""

    __slots__ = ("coroutine", "first")

    def __init__(self, coroutine: Any, first: Any) -> None:
        self.coroutine = coroutine
        self.first = first

    def __await__(self) -> Any:
        coroutine, waits = self.coroutine, self.first
        self.first = None
        try:
            while True:
                try:
                    sent = yield waits
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as error:
                    waits = coroutine.throw(error)
                else:
                    waits = coroutine.send(sent)
        except StopIteration as end:
            return end.value


async def _before(awaitable: Any, context: Context, deadline: float) -> Any:
    from asyncio import timeout

    left = deadline - time()
    clock = timeout(max(left - margin(left), 0.0))
    try:
        async with clock:
            return await awaitable
    except TimeoutError as error:
        if clock.expired():
            raise DeadlineExceededError(f"{context.function} was cancelled: its deadline is near") from error
        raise
