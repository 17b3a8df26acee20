"""Work that is done once the answer was handed over, where a target allows it. Imported by apps that have some."""

from __future__ import annotations

from contextvars import copy_context

from portable.errors import ConfigError
from portable.events import current_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextvars import Context as Variables
    from typing import Any

    Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

__all__ = ["BackgroundTasks", "take_tasks", "tasks_of_invocation"]


class BackgroundTasks:
    """What a handler leaves to be done after its answer: a parameter annotated with this class.

    Tasks are run one after the other, in order, in the context of their invocation. One that fails is logged, and the
    next one goes on. None is begun after the invocation's deadline: what is left is logged. Nothing retries a task, and
    one dies with its instance: what must be done belongs in a queue.
    """

    __slots__ = ("_tasks", "_variables")

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._variables: Variables = copy_context()

    def add(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call ``function``, sync or async, with these arguments once the answer is handed over."""
        if not callable(function):
            raise TypeError(f"tasks.add takes a function and its arguments, got {function!r}")
        self._tasks.append((function, args, kwargs))

    def __len__(self) -> int:
        return len(self._tasks)

    def run(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Do all of it, in this thread; ``run`` runs a coroutine to its end. Raises nothing a task raised."""
        while (task := self._next()) is not None:
            function, args, kwargs = task
            try:
                result = self._variables.run(function, *args, **kwargs)
                if hasattr(result, "__await__"):
                    self._variables.run(run, _awaited(result))
            except Exception as error:
                self._failed(function, error)

    async def arun(self, on_thread: Callable[..., Awaitable[Any]]) -> None:
        """Do all of it from an event loop, sync functions by ``on_thread``. Raises nothing a task raised."""
        from asyncio import get_running_loop

        while (task := self._next()) is not None:
            function = task[0]
            try:
                result = await on_thread(self._variables.run, lambda call=task: call[0](*call[1], **call[2]))
                if hasattr(result, "__await__"):
                    await get_running_loop().create_task(_awaited(result), context=self._variables)
            except Exception as error:
                self._failed(function, error)

    def _next(self) -> Task | None:
        if not self._tasks:
            return None
        context = self._variables.get(current_context)
        remaining = None if context is None else context.remaining()
        if remaining is not None and not remaining:
            from logging import getLogger

            names = ", ".join(_name(task[0]) for task in self._tasks)
            getLogger("portable").error("%s: the deadline passed before %s", _of(context), names)
            self._tasks.clear()
            return None
        return self._tasks.pop(0)

    def _failed(self, function: Any, error: Exception) -> None:
        from logging import getLogger

        context = self._variables.get(current_context)
        getLogger("portable").error("%s: the task %s failed", _of(context), _name(function), exc_info=error)


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _of(context: Any) -> str:
    return "" if context is None else f"{context.function}, request {context.request_id}"


def tasks_of_invocation() -> BackgroundTasks:
    """The tasks of the invocation under way, the same for all who ask. Raises ConfigError outside of one."""
    context = current_context.get()
    if context is None:
        raise ConfigError("BackgroundTasks outside of an invocation: in a test, hand one over and call its run")
    if context.background is None:
        context.background = BackgroundTasks()
    found: BackgroundTasks = context.background
    return found


def take_tasks(context: Any) -> BackgroundTasks | None:
    """What an invocation left to be done, once: None where it left nothing."""
    tasks: BackgroundTasks | None = context.background
    context.background = None
    return tasks or None
