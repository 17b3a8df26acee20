"""What each target finds in an app, by what the app declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from portable.build.target import Finding
from portable.manifest import Manifest

__all__ = ["findings_matrix"]

_WORST = ("info", "warning", "error")


def findings_matrix(manifest: Manifest, found: Mapping[str, Sequence[Finding]]) -> dict[str, dict[str, str]]:
    """A row for each function and resource that anything is said of, and one for the rest: by target, the worst of it.

    A target that says nothing of it has no cell.
    """
    declared = dict(_places(manifest))
    rows: dict[str, dict[str, str]] = {name: {} for name in declared.values()}
    rest = "the project"
    for target, findings in found.items():
        for one in findings:
            cells = rows.setdefault(declared.get(one.where, rest), {})
            cells[target] = max(one.severity, cells.get(target, "info"), key=_WORST.index)
    return {name: cells for name, cells in rows.items() if cells} or {rest: {}}


def _places(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """``file:line`` and name of each declaration; a function's come last, so that it has what it brings itself."""
    for resource in manifest.resources:
        yield resource.where, f"{resource.kind} {resource.name}"
    for function in manifest.functions:
        for trigger in function.triggers:
            route = f" {trigger.options['method']} {trigger.options['path']}" if trigger.kind == "http" else ""
            yield trigger.where, f"{function.name}{route}"
