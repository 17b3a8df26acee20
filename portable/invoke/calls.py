"""Calling an event's handler with what it asks for."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Context, Tick, current_context
from portable.signatures import MISSING, parameters_of, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from portable.idempotency import Idempotence
    from portable.signatures import Parameter
    from portable.triggers import Trigger

__all__ = ["event_call", "log_failure", "name_of", "refuse_coroutine"]


def name_of(trigger: Trigger) -> str:
    """What an error calls a handler: its name and place."""
    handler = trigger.handler
    return f"{getattr(handler, '__name__', handler)} at {trigger.where[0]}:{trigger.where[1]}"


def event_call(
    trigger: Trigger, event_required: bool = True, middleware: Sequence[Any] = ()
) -> tuple[Callable[[Any], Any], Any]:
    """A function of the event that calls the handler with what it asks for, and the event's annotation.

    ``middleware`` goes around it, the first outermost. Where something of it has to be awaited, the trigger becomes
    async. Raises ConfigError.
    """
    call, annotation = _handler_call(trigger, event_required)
    settings = getattr(trigger.handler, "__portable_idempotence__", None)
    if settings is not None:
        _check_idempotent(trigger, settings, annotation)
        from portable.invoke.idempotence import once_for_event

        call = once_for_event(trigger, call, settings)
    if trigger.is_async:
        call = _within_deadline(call)
    if middleware:
        from portable.invoke.middleware import around_event

        for one in reversed(middleware):
            call, trigger.is_async = around_event(one, call, trigger.is_async)
    return call, annotation


def _handler_call(trigger: Trigger, event_required: bool) -> tuple[Callable[[Any], Any], Any]:
    handler = trigger.handler
    where = name_of(trigger)
    parameters = parameters_of(handler)
    contexts = [p for p in parameters if split_optional(p.annotation)[0] is Context]
    event = parameters[0] if parameters and _takes_event(trigger, parameters[0]) else None
    dependent = [p for p in parameters if p is not event and getattr(p.annotation, "__metadata__", None)]
    if any(p.default is MISSING for p in parameters if p is not event and p not in contexts and p not in dependent):
        raise ConfigError(
            f"{where}: an event handler takes the event first and, if it likes, a Context and what it Depends on"
        )
    if event is None and event_required:
        raise ConfigError(f"{where}: the handler takes no event; give it one parameter for it")
    annotation = MISSING if event is None else event.annotation
    if dependent:
        from portable.invoke.dependencies import bind_event

        call, awaits = bind_event(where, handler, event, contexts + dependent)
        trigger.is_async = trigger.is_async or awaits
        return call, annotation
    if not contexts:
        return (handler if event else lambda event: handler()), annotation
    name = contexts[0].name
    if event:
        return lambda event: handler(event, **{name: current_context.get()}), annotation
    return lambda event: handler(**{name: current_context.get()}), annotation


def _check_idempotent(trigger: Trigger, settings: Idempotence, annotation: Any) -> None:
    origin = getattr(annotation, "__origin__", annotation)
    if origin is list or getattr(origin, "__module__", "") == "collections.abc":
        raise ConfigError(f"{name_of(trigger)}: an idempotent handler takes one message, not a batch")
    if settings.key is None and trigger.kind not in ("message", "stream", "schedule"):
        raise ConfigError(f"{name_of(trigger)}: a {trigger.kind} event has no id; give idempotent a key=")


def _within_deadline(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    from portable.watchdog import before_deadline

    def within(event: Any) -> Any:
        result = call(event)
        return before_deadline(result) if hasattr(result, "__await__") else result

    return within


def _takes_event(trigger: Trigger, first: Parameter) -> bool:
    """Whether a handler's first parameter is for the event. A schedule's may be an option with a default of its own."""
    annotation = split_optional(first.annotation)[0]
    if first.keyword_only or annotation is Context:
        return False
    if any(getattr(one, "place", None) == "depends" for one in getattr(annotation, "__metadata__", None) or ()):
        return False
    return first.default is MISSING or trigger.kind != "schedule" or annotation is Tick


def refuse_coroutine(trigger: Trigger, result: Any) -> None:
    """Raise TypeError: a plain function gave a coroutine, which nobody runs here, and its work is not done."""
    if hasattr(result, "close"):
        result.close()
    raise TypeError(f"{name_of(trigger)} gave {type(result).__name__}, and is no async function; write async def")


def log_failure(trigger: Trigger, what: str, error: BaseException) -> None:
    """One error record with the traceback. ``what`` it failed on."""
    from logging import getLogger

    getLogger("portable").error("%s failed on %s", trigger.function, what, exc_info=error)
