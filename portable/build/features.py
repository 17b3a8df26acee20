"""What an app declares and a target's drivers refuse, from what adapters say of themselves as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from portable.build.target import BuildTarget, Finding
from portable.capabilities import ASKS, FEATURES, TRIGGER_ASKS, Capabilities, Capability, Naming
from portable.http.mounts import ANY
from portable.manifest import Manifest, ResourceRecord, TriggerRecord

_SOURCED = ("message", "stream", "blob", "change", "socket")
"""Kinds of triggers that have a resource."""

__all__ = ["check_features", "check_mounts", "check_physical_names", "served"]


def check_features(manifest: Manifest, target: BuildTarget) -> Iterator[Finding]:
    """An error for each declared option and trigger, and each kind of resource, that the target has no driver for.

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
            instead: Mapping[str, str] = getattr(target, "instead", {})
            way_out = instead.get(resource.kind, "choose another target, or do without it")
            yield Finding("error", resource.where, message, way_out)
            continue
        for option, feature in ASKS.get(resource.kind, {}).items():
            value = resource.options.get(option)
            capability = given.get(feature)
            if not value or (capability is not None and capability.given):
                continue
            message = f"{_named(resource)}, {option}={value!r}: target {target.name} has none: "
            message += _why(resource.kind, feature, capability)
            way_out = capability.way_out if capability is not None else ""
            yield Finding("error", resource.where, message, way_out or f"leave {option}= out, or choose another target")
    for function in manifest.functions:
        for trigger in function.triggers:
            yield from _check_trigger(function.name, trigger, target, capabilities)


def _check_trigger(
    function: str, trigger: TriggerRecord, target: BuildTarget, capabilities: Capabilities
) -> Iterator[Finding]:
    """The first thing its resource's driver does not give."""
    for option, features in TRIGGER_ASKS.get(trigger.kind, {}).items():
        kind, name = ("http", trigger.options["path"]) if trigger.kind == "http" else trigger.source
        given = capabilities.get(kind)
        if given is None or not trigger.options.get(option):
            continue
        for feature in features:
            capability = given.get(feature)
            if capability is not None and capability.given:
                continue
            what = f"{kind} {name!r}" if trigger.kind == kind else f"a {trigger.kind} of {kind} {name!r}"
            if option == "background":
                what, option = f"{what} with a parameter of BackgroundTasks", kind
            asked = what + (f" with {option}=True" if option != kind else "")
            why = _why(kind, feature, capability)
            message = f"function {function!r} takes {asked}; target {target.name} has none: {why}"
            way_out = capability.way_out if capability is not None else ""
            otherwise = "choose another target" if option == kind else f"leave {option}= out, or choose another target"
            yield Finding("error", trigger.where, message, way_out or otherwise)
            return


def check_mounts(manifest: Manifest) -> Iterator[Finding]:
    """What a mount widens: nobody can see what an application of another framework uses."""
    for function in manifest.functions:
        mount = next((one for one in function.triggers if one.kind == "http" and one.options["method"] == ANY), None)
        if mount is not None and function.uses:
            beside = len([one for one in function.triggers if one.options["method"] != ANY])
            message = (
                f"function {function.name!r} holds the mount of {mount.options['path']}, so it may use every resource"
            )
            message += f", its {beside} route{'s' if beside > 1 else ''} too" if beside else ""
            yield Finding("info", mount.where, message, "function='…' keeps a mount to itself" if beside else "")


def served(manifest: Manifest, target: BuildTarget) -> Manifest:
    """Without the functions that the target has said it cannot call: it need not know their kinds."""
    capabilities: Capabilities | None = getattr(target, "capabilities", None)
    if capabilities is None:
        return manifest
    kept = []
    for function in manifest.functions:
        sources = [one.source[0] for one in function.triggers if one.kind in _SOURCED]
        asked = any(True for one in function.triggers for _ in _check_trigger("", one, target, capabilities))
        if not asked and all(kind in capabilities for kind in sources):
            kept.append(function.name)
    return manifest if len(kept) == len(manifest.functions) else manifest.only(kept)


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


def _why(kind: str, feature: str, capability: Capability | None) -> str:
    if capability is not None:
        return capability.note
    return f"it does not say that it has {FEATURES.get(kind, {}).get(feature, feature)}"
