"""What is wrong with an app on every target: found when it is described, never in production.

A handler that cannot take its event, a body that cannot be read from JSON, routes that answer the same requests, a
schedule that is never due. What one cloud alone cannot give is said by that cloud's adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portable.app import App
from portable.errors import ConfigError
from portable.events import BlobEvent, Change, Message, Request, SocketEvent, Tick
from portable.events.records import StreamRecord
from portable.http.mounts import HTTPMount
from portable.http.parameters import describe, flatten
from portable.http.routing import Routes
from portable.invoke import make_function
from portable.invoke.calls import event_call
from portable.jsontext import is_pydantic, needs_msgspec
from portable.resources.topic import subscription_name
from portable.schedules.due import read_zone
from portable.schedules.expression import parse
from portable.signatures import MISSING, split_optional
from portable.triggers import (
    DirectTrigger,
    HTTPRoute,
    MessageTrigger,
    ScheduleTrigger,
    SocketTrigger,
    StreamTrigger,
    Trigger,
)

__all__ = ["check_functions", "check_type"]

_EVENTS = (BlobEvent, Change, Message, Request, SocketEvent, StreamRecord, Tick)
_TAKES = {
    "message": Message,
    "stream": StreamRecord,
    "blob": BlobEvent,
    "change": Change,
    "schedule": Tick,
    "socket": SocketEvent,
}
_SCALARS = (str, bytes, int, float, bool, dict)


def check_functions(functions: Mapping[str, Sequence[Trigger]], app: App | None = None) -> None:
    """Raise ConfigError for the first thing that is wrong, naming the file and the line.

    ``app`` puts its middleware around the handlers: from here on it is known which of them are awaited.
    """
    for triggers in functions.values():
        for trigger in triggers:
            _check_trigger(trigger)
        function = make_function(triggers, app)
        for trigger in triggers:
            function._plan(trigger)
    every = [trigger for triggers in functions.values() for trigger in triggers]
    Routes(trigger for trigger in every if isinstance(trigger, HTTPRoute))
    _check_sockets([trigger for trigger in every if isinstance(trigger, SocketTrigger)])
    takers: dict[tuple[bool, str], MessageTrigger] = {}
    for trigger in every:
        if isinstance(trigger, MessageTrigger):
            topic = trigger.source.kind == "topic"
            name = subscription_name(trigger.source.name, trigger.function) if topic else trigger.source.name
            other = takers.setdefault((topic, name), trigger)
            if other is not trigger and topic:
                raise ConfigError(
                    f"{_at(other)} and {_at(trigger)}: {other.source} for function {other.function!r} and "
                    f"{trigger.source} for function {trigger.function!r} are both called subscription {name!r}; "
                    "give one of the functions another name"
                )
            if other is not trigger:
                raise ConfigError(
                    f"{_at(other)} and {_at(trigger)} both take the messages of {trigger.source}, and a message goes "
                    "to one of them; make them one handler, or give each a queue of its own"
                )


def _check_sockets(triggers: Sequence[SocketTrigger]) -> None:
    """An endpoint for each websocket, and sockets of its own: an event says neither path nor sockets."""
    for what in ("path", "sockets"):
        takers: dict[str, SocketTrigger] = {}
        for trigger in triggers:
            named = trigger.path if what == "path" else trigger.sockets.name
            other = takers.setdefault(named, trigger)
            if other is not trigger:
                raise ConfigError(
                    f"{_at(other)} and {_at(trigger)} both have the websocket {what} {named!r}; "
                    "a client is connected to one of them: make them one handler, or give each its own"
                )


def check_type(annotation: Any, where: str) -> None:
    """Raise ConfigError for a type of a body that holds a class which cannot be read from JSON."""
    if annotation is MISSING or not needs_msgspec(annotation):
        return
    import msgspec.inspect

    try:
        info = msgspec.inspect.type_info(annotation)
    except (TypeError, NameError) as error:
        raise ConfigError(f"{where}: {annotation!r} cannot be read from JSON: {error}") from error
    for custom in _custom_types(info, set()):
        if custom is not object and not is_pydantic(custom):
            raise ConfigError(
                f"{where}: {getattr(custom, '__name__', custom)} cannot be read from JSON; make it a dataclass, "
                "TypedDict, msgspec Struct or pydantic model"
            )


def _custom_types(info: Any, seen: set[int]) -> Iterator[Any]:
    """Classes msgspec knows nothing of, anywhere in a type."""
    import msgspec.inspect

    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        yield info.cls
    elif isinstance(info, (tuple, list)):
        for part in info:
            yield from _custom_types(part, seen)
    elif isinstance(info, (msgspec.inspect.Type, msgspec.inspect.Field)):
        for name in info.__struct_fields__:
            yield from _custom_types(getattr(info, name), seen)


def _at(trigger: Trigger) -> str:
    name = getattr(trigger.handler, "__name__", repr(trigger.handler))
    return f"{name} at {trigger.where[0]}:{trigger.where[1]}"


def _check_trigger(trigger: Trigger) -> None:
    if isinstance(trigger, HTTPRoute):
        if isinstance(trigger, HTTPMount):
            trigger.load()
        for binding in flatten(describe(trigger)):
            if binding.place == "body":
                check_type(binding.annotation, _at(trigger))
        return
    if isinstance(trigger, ScheduleTrigger):
        _check_schedule(trigger)
    if isinstance(trigger, MessageTrigger):
        check_type(trigger.source.type, f"{trigger.source} at {trigger.source.where[0]}:{trigger.source.where[1]}")
    if isinstance(trigger, StreamTrigger) and trigger.stream.type is not bytes:
        check_type(trigger.stream.type, f"{trigger.stream} at {trigger.stream.where[0]}:{trigger.stream.where[1]}")
    needs_event = trigger.kind in ("message", "stream", "blob", "change", "socket")
    annotation = event_call(trigger, needs_event)[1]
    if annotation is MISSING:
        return
    if isinstance(trigger, DirectTrigger):
        annotation = split_optional(annotation)[0]
        if getattr(annotation, "__origin__", annotation) in _EVENTS:
            raise ConfigError(f"{_at(trigger)}: a direct function takes its payload, not {annotation!r}")
        check_type(annotation, _at(trigger))
        return
    _check_event(trigger, annotation)


def _check_event(trigger: Trigger, annotation: Any) -> None:
    """Refuse what is plainly not the event; what type checkers know better is left to them."""
    taken = _TAKES[trigger.kind]
    origin = getattr(annotation, "__origin__", annotation)
    if trigger.kind in ("message", "stream") and origin is list:
        (origin,) = getattr(annotation, "__args__", ()) or (taken,)
        origin = getattr(origin, "__origin__", origin)
    if origin is not taken and origin in (*_EVENTS, *_SCALARS):
        name = taken.__name__
        wanted = f"{name}[…] or list[{name}[…]]" if taken in (Message, StreamRecord) else name
        raise ConfigError(f"{_at(trigger)}: a {trigger.kind} handler takes {wanted}, not {_name(annotation)}")


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)


def _check_schedule(trigger: ScheduleTrigger) -> None:
    try:
        read_zone(trigger.timezone)
        if trigger.cron is not None:
            parse(trigger.cron)
    except ConfigError as error:
        raise ConfigError(f"{_at(trigger)}: {error}") from error
