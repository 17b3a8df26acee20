"""Calling an event's handler with what it asks for."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Context, Tick, current_context
from portable.signatures import MISSING, parameters_of, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.signatures import Parameter
    from portable.triggers import Trigger

__all__ = ["event_call", "log_failure", "name_of", "refuse_coroutine"]


def name_of(trigger: Trigger) -> str:
    """What an error calls a handler: its name and place."""
    handler = trigger.handler
    return f"{getattr(handler, '__name__', handler)} at {trigger.where[0]}:{trigger.where[1]}"


def event_call(trigger: Trigger, event_required: bool = True) -> tuple[Callable[[Any], Any], Any]:
    """A function of the event that calls the handler with what it asks for, and the event's annotation."""
    handler = trigger.handler
    where = name_of(trigger)
    parameters = parameters_of(handler)
    contexts = [p for p in parameters if split_optional(p.annotation)[0] is Context]
    event = parameters[0] if parameters and _takes_event(trigger, parameters[0]) else None
    if any(p.default is MISSING for p in parameters if p is not event and p not in contexts):
        raise ConfigError(f"{where}: an event handler takes the event first and, if it likes, a Context")
    if event is None and event_required:
        raise ConfigError(f"{where}: the handler takes no event; give it one parameter for it")
    annotation = MISSING if event is None else event.annotation
    if not contexts:
        return (handler if event else lambda event: handler()), annotation
    name = contexts[0].name
    if event:
        return lambda event: handler(event, **{name: current_context.get()}), annotation
    return lambda event: handler(**{name: current_context.get()}), annotation


def _takes_event(trigger: Trigger, first: Parameter) -> bool:
    """Whether a handler's first parameter is for the event. A schedule's may be an option with a default of its own."""
    annotation = split_optional(first.annotation)[0]
    if first.keyword_only or annotation is Context:
        return False
    return first.default is MISSING or trigger.kind != "schedule" or annotation is Tick


def refuse_coroutine(trigger: Trigger, result: Any) -> None:
    """Raise TypeError. A plain function gave a coroutine, which nobody runs here: its work is not done, whatever it may seem."""
    if hasattr(result, "close"):
        result.close()
    raise TypeError(f"{name_of(trigger)} gave {type(result).__name__}, and is no async function; write async def")


def log_failure(trigger: Trigger, what: str, error: BaseException) -> None:
    """One error record with the traceback. ``what`` it failed on."""
    from logging import getLogger

    getLogger("portable").error("%s failed on %s", trigger.function, what, exc_info=error)
