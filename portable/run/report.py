"""What is to be said of a built artifact: sizes, what was pruned, imports and cold starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.budget import Budget, Excess, Measured, check_measured, check_parts
from portable.build.result import Part
from portable.build.sizes import UNOWNED
from portable.build.target import Bundle
from portable.errors import ConfigError
from portable.manifest import Manifest
from portable.plugins import adapter
from portable.run.coldstart import ColdStart, measure_cold_starts
from portable.run.imports import Loading, load_function
from portable.run.target import open_artifact

__all__ = ["Report", "make_report"]


class Report(msgspec.Struct, frozen=True):
    """See the module.

    Attributes:
        parts: sizes by bundle. bundles, zips: functions of each bundle, and bytes of each zip by its name.
        dropped: rows of ``report/pruned.json``. loadings: what each function imports. starts: cold starts, none where
            they were not asked for. used: what they were measured under. unknown: why imports could not be measured.
    """

    target: str
    python: str
    manifest: Manifest
    parts: Mapping[str, Sequence[Part]]
    bundles: Sequence[Bundle]
    zips: Mapping[str, int]
    dropped: Sequence[Mapping[str, Any]]
    loadings: Sequence[Loading]
    starts: Sequence[ColdStart] = ()
    used: Mapping[str, str] = {}
    unknown: str = ""

    @property
    def pruned(self) -> list[tuple[str, str, int, int]]:
        """Distribution, rule, files and bytes, the most first."""
        totals: dict[tuple[str, str], list[int]] = {}
        for one in self.dropped:
            found = totals.setdefault((one["distribution"] or UNOWNED, one["rule"]), [0, 0])
            found[0] += one["files"]
            found[1] += one["size"]
        rows = [(name, rule, files, count) for (name, rule), (files, count) in totals.items()]
        return sorted(rows, key=lambda row: (-row[3], row[:2]))

    @property
    def reasons(self) -> dict[str, str]:
        """Why each rule took something."""
        return dict(sorted({one["rule"]: one["why"] for one in self.dropped}.items()))

    def excesses(self, budget: Budget) -> list[Excess]:
        """What of a budget is not kept."""
        measured = Measured(
            {one.function: one.median for one in self.starts}, {one.function: one.modules for one in self.loadings}
        )
        sizes = check_parts(budget, self.bundles, self.zips, self.parts)
        return [*(one for one in sizes if isinstance(one, Excess)), *check_measured(budget, measured)]


def make_report(folder: Path, runs: int = 0, variables: Mapping[str, str] | None = None) -> Report:
    """The report of ``dist/<target>``, with ``runs`` cold starts of each function; ``variables`` are for the functions,
    over those of their settings.

    Raises ConfigError for what is no artifact, one without sizes, and for a part that cold starts need and is missing.
    """
    artifact = open_artifact(folder)
    document = msgspec.json.decode((artifact.folder / "manifest.json").read_bytes())
    if "sizes" not in document:
        raise ConfigError(f"{folder} says nothing of its sizes: build it again")
    parts = {
        bundle: [Part(name, one["files"], one["size"], one["packed"]) for name, one in found.items()]
        for bundle, found in document["sizes"].items()
    }
    pruned = artifact.folder / "report" / "pruned.json"
    target = adapter(artifact.target).build
    loadings, unknown = [], ""
    try:
        loadings = [
            load_function(artifact, target, one.name, variables=variables) for one in artifact.manifest.functions
        ]
    except ConfigError as error:
        unknown = str(error)
    starts, used = measure_cold_starts(folder, runs, variables) if runs else ([], {})
    return Report(
        artifact.target,
        artifact.python,
        artifact.manifest,
        parts,
        [Bundle(name, one["sources"], {}) for name, one in document["bundles"].items()],
        {name: one["size"] for name, one in document["files"].items() if name.endswith(".zip")},
        msgspec.json.decode(pruned.read_bytes()) if pruned.is_file() else [],
        loadings,
        starts,
        used,
        unknown,
    )
