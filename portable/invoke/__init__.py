"""The one seam where a handler is called: sync or async, alone or in a batch.

An adapter's entry decodes the cloud's event, calls the function that :func:`make_function` gave, and encodes what comes
back. What a sync handler gives is there at once; for an async one the call gives a coroutine, which the entry awaits or
runs with :func:`run` (one invocation at a time) or :func:`run_shared` (several, on threads). One event loop is kept a
process. Each kind of function has a module of its own, so that an instance imports the one that it serves.
"""

from __future__ import annotations

from portable.invoke.loops import run, run_shared, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portable.invoke.messages import Outcomes as Outcomes
    from portable.triggers import Trigger

__all__ = ["make_function", "run", "run_shared", "step"]

_HOMES = {
    "http": ("http", "HTTPFunction"),
    "message": ("messages", "MessageFunction"),
    "blob": ("events", "BlobFunction"),
    "change": ("events", "ChangeFunction"),
    "schedule": ("events", "ScheduleFunction"),
    "direct": ("events", "DirectFunction"),
}


def make_function(triggers: Sequence[Trigger]) -> Any:
    """The function that serves these triggers, all of one kind. Raises ConfigError."""
    from sys import modules

    module, name = _HOMES[triggers[0].kind]
    full = f"{__name__}.{module}"
    __import__(full)
    return getattr(modules[full], name)(triggers)
