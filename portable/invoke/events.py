"""The functions of blobs, changes, schedules and direct calls."""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.invoke.calls import event_call, name_of, refuse_coroutine
from portable.invoke.loops import step
from portable.jsontext import ModelError, converter_of_values, to_values
from portable.signatures import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from portable.events import BlobEvent, Change, Tick
    from portable.triggers import BlobTrigger, ChangeTrigger, DirectTrigger, ScheduleTrigger

__all__ = ["BlobFunction", "ChangeFunction", "DirectFunction", "ScheduleFunction"]


class EventFunction:
    """What these functions share: each trigger's plan is made at once, so that it is known what has to be awaited.

    Args:
        middleware: goes around each handler's call, the first outermost.
    """

    def __init__(self, triggers: Sequence[Any], middleware: Sequence[Any] = ()) -> None:
        self.triggers = triggers
        self._middleware = middleware
        for trigger in triggers:
            trigger.plan = self._plan(trigger)
        self.is_async = any(trigger.is_async for trigger in triggers)

    def __call__(self, event: Any) -> Any:
        delivery = self._deliver(event)
        return delivery if self.is_async else step(delivery)

    async def _deliver(self, event: Any) -> Any:
        raise NotImplementedError

    def _plan(self, trigger: Any) -> Any:
        return event_call(trigger, True, self._middleware)[0]

    async def _hand(self, trigger: Any, event: Any) -> None:
        result = trigger.plan(event)
        if result is not None and hasattr(result, "__await__"):
            await result if trigger.is_async else refuse_coroutine(trigger, result)


class BlobFunction(EventFunction):
    """Hands a blob event to each trigger that wants it. Raises what the handler raised: the cloud retries."""

    kind = "blob"

    triggers: Sequence[BlobTrigger]

    async def _deliver(self, event: BlobEvent) -> int:
        """How many handlers took the event. 0: it was not theirs, which is no error."""
        taken = 0
        for trigger in self.triggers:
            if event.bucket == trigger.bucket.name and trigger.wants(event.kind, event.key):
                await self._hand(trigger, event)
                taken += 1
        return taken


class ChangeFunction(EventFunction):
    """Hands a change to each trigger of its table that wants it. Raises what the handler raised: the cloud retries.

    Called with a change whose items are as the table's driver gives them.
    """

    kind = "change"

    triggers: Sequence[ChangeTrigger]

    async def _deliver(self, event: Change[Any]) -> int:
        """How many handlers took the event. 0: it was not theirs, which is no error."""
        taken = 0
        for trigger in self.triggers:
            if event.table == trigger.table.name and trigger.wants(event.kind):
                await self._hand(trigger, trigger.table.decode_change(event, old=trigger.old))
                taken += 1
        return taken


class ScheduleFunction(EventFunction):
    """Calls each handler of the one schedule this function has: a tick does not say which it is of.

    Raises what a handler raised.
    """

    kind = "schedule"

    def __init__(self, triggers: Sequence[ScheduleTrigger], middleware: Sequence[Any] = ()) -> None:
        first = triggers[0]
        for other in triggers:
            if (other.cron, other.every, other.timezone) != (first.cron, first.every, first.timezone):
                raise ConfigError(
                    f"function {first.function!r} has two schedules, {name_of(first)} and {name_of(other)}, and a tick "
                    "does not say which of them is due; give each a function of its own"
                )
        super().__init__(triggers, middleware)

    async def _deliver(self, tick: Tick) -> None:
        for trigger in self.triggers:
            await self._hand(trigger, tick)

    def _plan(self, trigger: ScheduleTrigger) -> Callable[[Any], Any]:
        return event_call(trigger, False, self._middleware)[0]


class DirectFunction(EventFunction):
    """Calls a handler by name with a payload of JSON values, and answers with JSON values.

    Raises HTTPError 422 when the payload does not fit the handler's annotation, and what the handler raised.
    """

    kind = "direct"

    def __init__(self, triggers: Sequence[DirectTrigger], middleware: Sequence[Any] = ()) -> None:
        if len(triggers) != 1:
            raise ConfigError(f"function {triggers[0].function!r}: a direct function has one handler")
        super().__init__(triggers, middleware)

    async def _deliver(self, payload: Any) -> Any:
        (trigger,) = self.triggers
        call, convert = trigger.plan
        try:
            value = convert(payload)
        except ModelError as error:
            field = {"in": "payload", "name": error.field, "detail": error.detail}
            raise HTTPError(422, f"the payload does not fit {trigger.function}: {error}", errors=[field]) from error
        result = call(value)
        return to_values(await result if self.is_async and hasattr(result, "__await__") else result)

    def _plan(self, trigger: DirectTrigger) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
        call, annotation = event_call(trigger, False, self._middleware)
        try:
            return call, converter_of_values(None if annotation is MISSING else annotation)
        except Exception as error:  # whatever msgspec or pydantic has against the type
            raise ConfigError(
                f"{name_of(trigger)}: the payload cannot be read from JSON as {annotation!r}: {error}"
            ) from error
