"""What an app has to do in a month, for its cost: ``[tool.portable.load]``.

``requests`` are the events of each function, whatever they are: requests, messages, blobs, records; a schedule's are
counted. ``duration`` is the time a handler takes for one, ``size`` the bytes of one, ``batch`` how many messages come
together, ``memory`` MiB instead of what is deployed. ``[tool.portable.load.functions.<name>]`` says the same of one
function, ``[tool.portable.load.resources."table:items"]`` how often a resource is read, written, … in the month, and
how much it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from portable.build.amounts import BYTES, COUNTS, SECONDS, read_amount
from portable.build.project import Project, nearest
from portable.build.schedules import schedules_of
from portable.errors import ConfigError
from portable.manifest import FunctionRecord, Manifest
from portable.schedules.due import Due

__all__ = ["DAYS", "HOURS", "OPERATIONS", "Load", "Loads", "read_load"]

HOURS = 730
"""Of a month, as the clouds' own calculators have it."""

DAYS = 30
OPERATIONS = ("read", "write", "delete", "list", "stored")
"""What may be said of a resource: calls in a month, and bytes held."""

_KEYS = ("requests", "duration", "size", "batch", "memory")
_EXAMPLES = {"requests": '"1M"', "duration": '"50 ms"', "size": '"2 kB"', "batch": "10", "memory": "512"}


class Load(msgspec.Struct, frozen=True):
    """Of one function. ``duration``: seconds for an event. ``size``: bytes of one. ``batch``: messages that come
    together where the cloud can. ``memory``: MiB, None for what is deployed.
    """

    requests: float = 1_000_000
    duration: float = 0.1
    size: float = 1000
    batch: int = 1
    memory: int | None = None


class Loads(msgspec.Struct, frozen=True):
    """Of every function by its name, and of resources: by ``kind:name``, what of ``OPERATIONS`` was said."""

    functions: Mapping[str, Load]
    resources: Mapping[str, Mapping[str, float]]


def read_load(project: Project, manifest: Manifest, given: Mapping[str, Any] | None = None) -> Loads:
    """What the settings say, over what ``given`` says of all functions, over the defaults of :class:`Load`.

    ``given``: keys of the settings, as the command line has them. Raises ConfigError that names the line or option.
    """
    table = project.table("load")
    _need_table(project, ("load",), table)
    known = [one.name for one in manifest.functions]
    below = table.get("functions", {})
    _need_table(project, ("load", "functions"), below)
    for name in below:
        if name not in known:
            where = project.where("load", "functions", name)
            raise ConfigError(f"{where}: {name!r} is no function{nearest(name, known)}")
    shared = {
        key: _value(project.where("load", key), key, value)
        for key, value in table.items()
        if key not in ("functions", "resources")
    }
    for key, value in (given or {}).items():
        shared[key] = _value("", key, value, f"--{key}")
    functions = {}
    for function in manifest.functions:
        asked = dict(shared)
        if (count := _due(manifest, function)) is not None:
            asked["requests"] = count
        own = below.get(function.name, {})
        _need_table(project, ("load", "functions", function.name), own)
        for key, value in own.items():
            asked[key] = _value(project.where("load", "functions", function.name, key), key, value)
        functions[function.name] = Load(**asked)
    return Loads(functions, _resources(project, manifest, table.get("resources", {})))


def _resources(project: Project, manifest: Manifest, table: Any) -> dict[str, dict[str, float]]:
    _need_table(project, ("load", "resources"), table)
    known = [f"{one.kind}:{one.name}" for one in manifest.resources]
    found: dict[str, dict[str, float]] = {}
    for key, asked in table.items():
        where = project.where("load", "resources", key)
        if key not in known:
            raise ConfigError(f"{where}: the app declares no resource {key!r}{nearest(key, known)}")
        _need_table(project, ("load", "resources", key), asked)
        for name, value in asked.items():
            if name not in OPERATIONS:
                raise ConfigError(f"{where}: a load has no {name!r} of a resource{nearest(name, OPERATIONS)}")
            kind = "size" if name == "stored" else "requests"
            found.setdefault(key, {})[name] = _value(where, kind, value, f": {name}")
    return found


def _need_table(project: Project, keys: tuple[str, ...], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{project.where(*keys)}: [tool.portable.{'.'.join(keys)}] is a table, got {value!r}")


def _value(where: str, key: str, value: Any, label: str | None = None) -> Any:
    if key not in _KEYS:
        raise ConfigError(f"{where}: a load has no {key!r}{nearest(key, _KEYS)}")
    found: float | None = None
    if key in ("batch", "memory"):
        found = value if type(value) is int else None
    elif key == "requests":
        found = value if type(value) is int else read_amount(str(value).removesuffix("/month"), COUNTS)
    elif key == "duration":
        found = read_amount(value, SECONDS)
    else:
        found = value if type(value) is int else read_amount(value, BYTES)
    if found is None or found < 0 or (found == 0 and key != "requests"):
        raise ConfigError(f"{where}{label or f': {key}'} is like {_EXAMPLES[key]}, got {value!r}")
    return found


def _due(manifest: Manifest, function: FunctionRecord) -> int | None:
    """How often a function's schedules are due in a month of 30 days; None for one that has none."""
    own = [trigger for one, trigger in schedules_of(manifest) if one is function]
    if not own:
        return None
    start = datetime(2025, 6, 1, tzinfo=UTC)
    count = 0
    for trigger in own:
        options = trigger.options
        if options["cron"] is None:
            count += int(timedelta(days=DAYS).total_seconds() // options["every"])
            continue
        due = Due(options["cron"], None, options["timezone"])
        count += sum(due.at(start + timedelta(minutes=minute)) for minute in range(DAYS * 1440))
    return count
