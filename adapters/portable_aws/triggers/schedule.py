"""Schedules: EventBridge Scheduler, and EventBridge rules. Both send the same envelope with the instant it was due.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
"""

from __future__ import annotations

from portable.events import Tick
from portable_aws.triggers import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["EventBridgeRule", "Scheduler"]


def _scheduled_at(tick: Tick) -> datetime:
    from datetime import datetime

    return datetime.fromisoformat(tick.native["time"])


class _Tick(Tick):
    __slots__ = ()
    _lazy = {"scheduled_at": _scheduled_at}


class Scheduler:
    """EventBridge Scheduler with the target's default input."""

    source = "scheduler"

    @classmethod
    def decode(cls, event: dict[str, Any]) -> Tick:
        """The tick. Raises ValueError naming what is missing."""
        try:
            tick = _Tick.__new__(_Tick)
            tick.native = event
            if not isinstance(event["time"], str):
                raise TypeError(f"its time is {event['time']!r}")
        except (KeyError, TypeError) as error:
            raise malformed(cls.source, "a scheduled event", error, event) from error
        return tick


class EventBridgeRule(Scheduler):
    """A scheduled rule of the default event bus."""

    source = "eventbridge-rule"
