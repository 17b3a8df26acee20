"""What changes for an app that moves from one target to another, in meaning, names, limits and cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from portable.build.bounds import bounds_of
from portable.build.target import BuildTarget, Finding
from portable.capabilities import BOUNDS, FEATURES, Bound, Capability, Naming
from portable.manifest import Manifest

__all__ = ["Difference", "Move", "compare_targets"]

_SIZES = {"B": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")), "s": ((3600, "h"), (60, "min"))}
_DATA = ("bucket", "table", "secret", "config", "queue")
"""Kinds that hold something, and do not move by themselves."""


class Difference(msgspec.Struct, frozen=True):
    """Something that is one way on the old target and another way on the new one."""

    what: str
    before: str
    after: str


class Move(msgspec.Struct, frozen=True):
    """See the module.

    Attributes:
        lost: what the new target cannot give and the old one could: the build refuses it there.
        gained: what only the old one refused.
        meaning: features of the resources in use that are done in another way. sources: what calls each function.
        names: of resources in each cloud. limits: of what the app has. cost: calls that are paid for.
        data: resources whose contents have to be carried over.
    """

    lost: Sequence[Finding]
    gained: Sequence[Finding]
    meaning: Sequence[Difference]
    sources: Sequence[Difference]
    names: Sequence[Difference]
    limits: Sequence[Difference]
    cost: Sequence[Difference]
    data: Sequence[str]


def compare_targets(
    manifest: Manifest,
    before: tuple[BuildTarget, Sequence[Finding], Mapping[str, str]],
    after: tuple[BuildTarget, Sequence[Finding], Mapping[str, str]],
) -> Move:
    """The differences of two targets for one app. Each: the target, what it finds in the app, and the event source of
    each function there.
    """
    (old, said, sources), (new, says, new_sources) = before, after
    known, ahead = {_key(one) for one in said}, {_key(one) for one in says}
    return Move(
        lost=[one for one in says if one.severity != "info" and _key(one) not in known],
        gained=[one for one in said if one.severity == "error" and _key(one) not in ahead],
        meaning=list(_meanings(manifest, old, new)),
        sources=[
            Difference(name, source, new_sources.get(name, "nothing"))
            for name, source in sources.items()
            if new_sources.get(name) != source
        ],
        names=list(_names(manifest, old, new)),
        limits=list(_limits(manifest, old, new)),
        cost=list(_costs(manifest, old, new)),
        data=[f"{one.kind} {one.name}" for one in manifest.resources if one.kind in _DATA],
    )


def _key(finding: Finding) -> tuple[str, str]:
    """Two targets say the same thing in words of their own: where and how grave is what they have in common."""
    return finding.severity, finding.where


def _meanings(manifest: Manifest, old: BuildTarget, new: BuildTarget) -> Iterator[Difference]:
    one: Any = getattr(old, "capabilities", {})
    other: Any = getattr(new, "capabilities", {})
    kinds = {record.kind for record in manifest.resources}
    kinds |= {"http"} if any(function.kind == "http" for function in manifest.functions) else set()
    for kind in sorted(kinds & FEATURES.keys()):
        for feature, words in FEATURES[kind].items():
            was, becomes = one.get(kind, {}).get(feature), other.get(kind, {}).get(feature)
            if _how(was) != _how(becomes):
                yield Difference(f"{kind}: {words}", _told(was), _told(becomes))


def _how(capability: Capability | None) -> str:
    return "refused" if capability is None else capability.how


def _told(capability: Capability | None) -> str:
    if capability is None:
        return "none"
    words = {"native": "yes", "portable": "yes, by this framework", "refused": "no"}[capability.how]
    return f"{words} ({capability.note})" if capability.note else words


def _names(manifest: Manifest, old: BuildTarget, new: BuildTarget) -> Iterator[Difference]:
    one: Mapping[str, Naming] = getattr(old, "naming", {})
    other: Mapping[str, Naming] = getattr(new, "naming", {})
    for record in manifest.resources:
        was = one[record.kind].physical(record.name) if record.kind in one else record.name
        becomes = other[record.kind].physical(record.name) if record.kind in other else record.name
        if was != becomes:
            yield Difference(f"{record.kind} {record.name}", was, becomes)


def _limits(manifest: Manifest, old: BuildTarget, new: BuildTarget) -> Iterator[Difference]:
    present = {record.kind for record in manifest.resources} | {function.kind for function in manifest.functions}
    was, becomes = bounds_of(old), bounds_of(new)
    for name, (kinds, unit, words) in BOUNDS.items():
        if kinds and not present.intersection(kinds):
            continue
        one, other = was.get(name), becomes.get(name)
        if one != other:
            yield Difference(words, _amount(one, unit), _amount(other, unit))


def _amount(bound: Bound | None, unit: str) -> str:
    if bound is None:
        return "not known"
    told = "no bound"
    if bound.most is not None:
        amount, shown = bound.most, unit
        for size, name in _SIZES.get(unit, ()):
            if amount >= size and amount % size == 0:
                amount, shown = amount / size, name
                break
        told = f"{amount:,.0f} {shown}".rstrip()
    return f"{told} ({bound.note})" if bound.note else told


def _costs(manifest: Manifest, old: BuildTarget, new: BuildTarget) -> Iterator[Difference]:
    """Calls of a function are what every cloud counts."""
    was, becomes = (bounds_of(one).get("batch", Bound(None)).most for one in (old, new))
    for function in manifest.functions:
        for trigger in function.triggers if function.kind == "message" else ():
            asked = trigger.options["batch_size"]
            one, other = (min(asked, most) if most is not None else asked for most in (was, becomes))
            if one != other:
                what = f"{function.name}: messages for each call that is paid"
                yield Difference(what, f"up to {one:.0f}", f"up to {other:.0f}")
