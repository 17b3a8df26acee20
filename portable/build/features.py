"""What an app declares and a target's drivers refuse, from what adapters say of themselves as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from portable.build.target import BuildTarget, Finding
from portable.capabilities import ASKS, FEATURES, Capabilities, Naming
from portable.manifest import Manifest, ResourceRecord

__all__ = ["check_features", "check_physical_names"]


def check_features(manifest: Manifest, target: BuildTarget) -> Iterator[Finding]:
    """An error for each declared option, and each kind of resource, that the target has no driver for.

    Nothing where the target says nothing of its capabilities.
    """
    capabilities: Capabilities | None = getattr(target, "capabilities", None)
    if capabilities is None:
        return
    for resource in manifest.resources:
        given = capabilities.get(resource.kind)
        if given is None:
            kinds = ", ".join(capabilities)
            message = f"{_named(resource)}: target {target.name} has no {resource.kind}; it has {kinds}"
            yield Finding("error", resource.where, message, "choose another target, or do without it")
            continue
        for option, feature in ASKS.get(resource.kind, {}).items():
            value = resource.options.get(option)
            capability = given.get(feature)
            if not value or (capability is not None and capability.given):
                continue
            why = (
                capability.note if capability is not None else f"it does not say that it has {_what(resource, feature)}"
            )
            message = f"{_named(resource)}, {option}={value!r}: target {target.name} has none: {why}"
            way_out = capability.way_out if capability is not None else ""
            yield Finding("error", resource.where, message, way_out or f"leave {option}= out, or choose another target")


def check_physical_names(manifest: Manifest, target: BuildTarget) -> Iterator[Finding]:
    """An error for each name the target's cloud does not take, and for two that would be one there."""
    names: Mapping[str, Naming] = getattr(target, "naming", {})
    taken: dict[tuple[str, str], ResourceRecord] = {}
    for resource in manifest.resources:
        naming = names.get(resource.kind)
        if naming is None:
            continue
        if not naming.takes(resource.name):
            physical = naming.physical(resource.name)
            message = f"{_named(resource)} would be called {physical!r}, which {target.name} refuses: {naming.says}"
            yield Finding("error", resource.where, message, "choose another name")
        for physical in naming.every(resource.name):
            other = taken.setdefault((naming.space or resource.kind, physical), resource)
            if other is not resource:
                message = f"{_named(resource)} and {_named(other)} ({other.where}) would both be called {physical!r}"
                yield Finding("error", resource.where, message, "choose another name")


def _named(resource: ResourceRecord) -> str:
    return f"{resource.kind} {resource.name!r}"


def _what(resource: ResourceRecord, feature: str) -> str:
    return FEATURES.get(resource.kind, {}).get(feature, feature)
