"""What an app asks, held against the most that a target takes: before a build, and once there is a bundle to weigh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from portable.build.project import Project
from portable.build.settings import FunctionSettings
from portable.build.target import BuildTarget, Finding
from portable.capabilities import Bound
from portable.drivers import address_variable
from portable.manifest import FunctionRecord, Manifest

__all__ = ["bounds_of", "check_bounds", "check_size", "with_settings"]

ADDRESS_BYTES = 100
"""Of an address that is not known before a deployment: a queue's URL on AWS has some 80 characters."""


def bounds_of(target: BuildTarget) -> Mapping[str, Bound]:
    """What the target says of ``portable.capabilities.BOUNDS``."""
    found: Mapping[str, Bound] = getattr(target, "bounds", {})
    return found


def with_settings(manifest: Manifest, settings: Mapping[str, FunctionSettings]) -> Manifest:
    """The manifest with the memory and the timeout that settings ask of each function."""
    functions = [
        msgspec.structs.replace(one, memory=settings[one.name].memory, timeout=settings[one.name].timeout)
        for one in manifest.functions
    ]
    return msgspec.structs.replace(manifest, functions=functions)


def check_bounds(
    manifest: Manifest, settings: Mapping[str, FunctionSettings], target: BuildTarget, project: Project | None = None
) -> Iterator[Finding]:
    """Variables and disk of a function that the target does not give. The rest each adapter says of its own cloud.

    ``project``: tells the line of a setting; left out, it is the handler's.
    """
    for function in manifest.functions:
        yield from _check_environment(function, settings[function.name], target)
        yield from _check_storage(function, settings[function.name], target, project)


def _check_storage(
    function: FunctionRecord, settings: FunctionSettings, target: BuildTarget, project: Project | None
) -> Iterator[Finding]:
    bound = bounds_of(target).get("storage", Bound(None))
    if settings.storage is None or bound.most is None or settings.storage <= bound.most:
        return
    where = function.triggers[0].where if project is None else _place(project, target.name, function.name, "storage")
    has = f"has {bound.most:.0f} at most" if bound.most else "has none of its own"
    note = f": {bound.note}" if bound.note else ""
    message = f"function {function.name}: {settings.storage} MiB of disk are asked; {target.name} {has}{note}"
    way_out = f"storage = {bound.most:.0f}" if bound.most else f"memory = {_with_disk(settings)}, or a bucket"
    yield Finding("error" if bound.most else "warning", where, message, way_out)


def _with_disk(settings: FunctionSettings) -> str:
    return "…" if settings.memory is None else str(settings.memory + (settings.storage or 0))


def _place(project: Project, target: str, function: str, setting: str) -> str:
    """Where a setting of a function is said, the strongest place first."""
    tables: dict[tuple[str, ...], Mapping[str, Any]] = {
        (target, "functions"): project.settings(target).get("functions", {})
    }
    tables[("functions",)] = project.table("functions")
    said = (
        (*keys, name) for keys, table in tables.items() for name in (function, "*") if setting in table.get(name, {})
    )
    return project.where(*next(said, ("functions",)), setting)


def _check_environment(function: FunctionRecord, settings: FunctionSettings, target: BuildTarget) -> Iterator[Finding]:
    most = bounds_of(target).get("environment_bytes", Bound(None)).most
    if most is None:
        return
    own = sum(len(name.encode()) + len(value.encode()) for name, value in settings.environment.items())
    addresses = [address_variable(*key.split(":", 1)) for key in function.uses]
    expected = own + sum(len(name) + ADDRESS_BYTES for name in addresses)
    if max(own, expected) <= most:
        return
    message = (
        f"function {function.name}: its variables come to {own} bytes of settings and some {expected - own} of "
        f"{len(addresses)} addresses; {target.name} takes {most:.0f}"
    )
    way_out = "put values into a config or a secret, which are read when they are used"
    yield Finding("error" if own > most else "warning", function.triggers[0].where, message, way_out)


def check_size(label: str, unpacked: int, packed: int, target: BuildTarget) -> Iterator[Finding]:
    """A bundle that the cloud does not take. ``unpacked``, ``packed``: bytes."""
    for name, count, what in (("unpacked_bytes", unpacked, "unpacked"), ("zip_bytes", packed, "zipped")):
        bound = bounds_of(target).get(name, Bound(None))
        if bound.most is not None and count > bound.most:
            note = f"; {bound.note}" if bound.note else ""
            message = f"{label} is {count / 2**20:.1f} MiB {what}; {target.name} takes {bound.most / 2**20:.0f}{note}"
            yield Finding("error", "", message, "leave dependencies out, or --image")
