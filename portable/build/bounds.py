"""What an app asks, held against the most that a target takes: before a build, and once there is a bundle to weigh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

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
    manifest: Manifest, settings: Mapping[str, FunctionSettings], target: BuildTarget
) -> Iterator[Finding]:
    """Variables of a function that the target does not take. The rest each adapter says of its own cloud."""
    for function in manifest.functions:
        yield from _check_environment(function, settings[function.name], target)


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
