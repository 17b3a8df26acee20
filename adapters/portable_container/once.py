"""One call of one function, in a process that ends with it: what a CronJob starts.

A schedule's function gets a tick of this moment, or of the instant given; a direct function the JSON given, and its
value is printed. The exit status is 1 where the handler failed, so that whoever started the job knows.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from logging import getLogger
from time import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from portable.errors import ConfigError
from portable.events import Context, Tick, current_context
from portable.instance import Instance
from portable.invoke import run
from portable.jsontext import encode_text, load_text
from portable.watchdog import enter, leave

if TYPE_CHECKING:
    from portable_container.functions import Entry
    from portable_container.settings import Settings

__all__ = ["run_once"]


def run_once(spec: str, entries: Mapping[str, Entry], arguments: Sequence[str], settings: Settings) -> int:
    """Call ``arguments[0]`` with ``arguments[1]``; 1 when it failed. Raises ConfigError for what is not called so."""
    name = arguments[0]
    entry = entries.get(name)
    if entry is None:
        raise ConfigError(f"no function is called {name!r}; this bundle has {', '.join(entries)}")
    if entry["kind"] not in ("schedule", "direct"):
        raise ConfigError(
            f"function {name!r} is called by {entry['kind']}; `run` is for schedules and direct functions"
        )
    event = _event(entry["kind"], arguments[1] if len(arguments) > 1 else None)
    instance = Instance(spec, name, entry["modules"])
    timeout = entry["timeout"] or (None if entry["kind"] == "schedule" else settings.timeout)
    deadline = None if timeout is None else time() + timeout
    context = Context(
        name, uuid4().hex, deadline_at=deadline, cold_start=True, target="container", stage=instance.stage
    )
    instance.start(run)
    token = current_context.set(context)
    enter(context)
    try:
        value = instance.call(event)
        if isinstance(value, Coroutine):
            value = run(value)
    except Exception:
        getLogger("portable").exception("%s failed", name)
        return 1
    finally:
        leave(context)
        current_context.reset(token)
        instance.app.life.stop(run)
    if entry["kind"] == "direct":
        sys.stdout.write(f"{encode_text(value)}\n")
    return 0


def _event(kind: str, given: str | None) -> Any:
    if kind == "direct":
        try:
            return None if given is None else load_text(given)
        except ValueError as error:
            raise ConfigError(f"the payload is no JSON: {error}") from error
    if given is None:
        return Tick(datetime.now(UTC), None)
    try:
        instant = datetime.fromisoformat(given)
    except ValueError as error:
        raise ConfigError(f"{given!r} is no instant; write it as 2026-01-31T08:00:00+00:00") from error
    if instant.tzinfo is None:
        raise ConfigError(f"{given!r} has no UTC offset; write it as 2026-01-31T08:00:00+00:00")
    return Tick(instant, None)
