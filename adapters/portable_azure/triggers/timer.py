"""Schedules: ``azure.functions.TimerRequest``."""

from __future__ import annotations

from portable.events import Tick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["TimerTrigger"]


def _read_due(tick: Tick) -> datetime:
    """``ScheduleStatus.Next``: the host updates it after the invocation, so during it that is what is due now.

    A timer without a monitor, or one that never ran, has none: then it is now.
    """
    from datetime import UTC, datetime

    due = (tick.native.schedule_status or {}).get("Next") or ""
    if not due or due.startswith("0001"):
        return datetime.now(UTC)
    time = datetime.fromisoformat(due)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class AzureTick(Tick):
    """A tick whose time is read on first use."""

    __slots__ = ()
    _lazy = {"scheduled_at": _read_due}

    def __init__(self, native: Any) -> None:
        self.native = native


class TimerTrigger:
    """``timerTrigger``."""

    @staticmethod
    def decode(native: Any) -> Tick:
        """A tick is due. A malformed time raises ValueError when it is read."""
        return AzureTick(native)
