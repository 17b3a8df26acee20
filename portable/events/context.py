"""The invocation a handler runs in."""

from __future__ import annotations

from contextvars import ContextVar

from portable.events.lazy import Lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Any

__all__ = ["Context", "current_context", "current_message"]


class Context(Lazy):
    """One invocation, for whoever annotates it, and for the whole call stack through :meth:`current`.

    Attributes:
        function: the function's name. request_id: the cloud's id of this invocation.
        deadline: aware datetime at which the cloud ends it, or None where it sets none.
        cold_start: True for the first invocation of an instance. target: ``aws``, ``gcp``, ``azure``, ``local``.
        stage: ``PORTABLE_STAGE``, or "". native: the vendor's own context.
        message: the Message or StreamRecord in hand, in a handler of single ones; None elsewhere.
    """

    __slots__ = (
        "_message",
        "background",
        "cold_start",
        "deadline",
        "deadline_at",
        "function",
        "native",
        "request_id",
        "stage",
        "target",
    )
    _message: Any
    background: Any  # the invocation's BackgroundTasks, where it has any
    function: str
    request_id: str
    deadline: datetime | None
    deadline_at: float | None  # seconds since the epoch: what `deadline` and `remaining` are read from
    cold_start: bool
    target: str
    stage: str
    native: Any

    def __init__(
        self,
        function: str,
        request_id: str,
        *,
        deadline_at: float | None = None,
        cold_start: bool = False,
        target: str = "local",
        stage: str = "",
        native: object = None,
    ) -> None:
        self.function = function
        self.request_id = request_id
        self.deadline_at = deadline_at
        self.cold_start = cold_start
        self.target = target
        self.stage = stage
        self.native = native

    def remaining(self) -> timedelta | None:
        """Time left before the deadline, never negative; None where there is no deadline."""
        if self.deadline_at is None:
            return None
        from datetime import timedelta
        from time import time

        return timedelta(seconds=max(0.0, self.deadline_at - time()))

    @property
    def message(self) -> Any:
        """The message or record in hand. Of several at once, the one that this task is for."""
        own = current_message.get()
        return self._message if own is None else own

    @staticmethod
    def current() -> Context:
        """The context of the invocation under way. Raises ConfigError outside one."""
        context = current_context.get()
        if context is None:
            from portable.errors import ConfigError

            raise ConfigError("Context.current() was called outside an invocation")
        return context

    def __repr__(self) -> str:
        return f"<Context {self.function} {self.request_id}>"


def _read_deadline(context: Context) -> datetime | None:
    if context.deadline_at is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(context.deadline_at, UTC)


Context._lazy = {
    "_message": lambda context: None,
    "background": lambda context: None,
    "deadline": _read_deadline,
}

current_context: ContextVar[Context | None] = ContextVar("portable_context", default=None)
current_message: ContextVar[Any] = ContextVar("portable_message", default=None)
