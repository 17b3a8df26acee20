"""The most a project allows its artifact: ``[tool.portable.budget]``.

``zip`` and ``unpacked`` bound each bundle, ``packages`` each distribution (and ``app``, ``portable``) unpacked,
``cold_start`` the median time of a function from process start to first answer, ``imports`` the modules a function has
imported before its first event. ``[tool.portable.budget.functions.<name>]`` says the same of one function, and
``[tool.portable.<target>.budget]`` of one target.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.amounts import BYTES, SECONDS, read_amount
from portable.build.project import Project, nearest
from portable.build.requirements import canonical
from portable.build.result import Part
from portable.build.sizes import size
from portable.build.target import Bundle, Finding
from portable.errors import BuildError, ConfigError
from portable.manifest import Manifest

__all__ = [
    "Budget",
    "BudgetError",
    "Excess",
    "Limit",
    "Measure",
    "Measured",
    "check_measured",
    "check_parts",
    "hold_to_budget",
    "read_budget",
]

Measure = Callable[[Path, Collection[str]], "Measured"]
"""Runs an artifact in a folder, for what limits are of: ``cold_start``, ``imports``."""

_SIZES = ("zip", "unpacked")
_MEASURED = ("cold_start", "imports")
_KEYS = (*_SIZES, "packages", *_MEASURED)


class Limit(msgspec.Struct, frozen=True):
    """The most of one thing. ``what``: a key of the module's; of a package ``packages.<name>``. ``function``: "" for
    all. ``most``: bytes, seconds or a count. ``where``: ``pyproject.toml:12``.
    """

    what: str
    function: str
    most: float
    where: str


class Budget(msgspec.Struct, frozen=True):
    """All limits of a target. Several of the same thing all hold."""

    limits: Sequence[Limit] = ()


class Excess(msgspec.Struct, frozen=True):
    """A limit that is not kept. ``of``: what is too large, for people. ``found``: bytes, seconds or a count."""

    limit: Limit
    of: str
    found: float

    @property
    def cells(self) -> tuple[str, str, str]:
        """What is found, the limit, and the difference, each with its unit."""
        found, most, over = (_shown(self.limit.what, one) for one in (self.found, self.limit.most, self._over))
        return found, most, over

    @property
    def _over(self) -> float:
        return self.found - self.limit.most


class Measured(msgspec.Struct, frozen=True):
    """What a run of a built artifact showed, by function: seconds to the first answer, modules imported.

    ``unknown``: why it could not be measured here, "" where it could.
    """

    cold_start: Mapping[str, float] = {}
    imports: Mapping[str, int] = {}
    unknown: str = ""


class BudgetError(BuildError):
    """The artifact is over its budget, and was not written. ``parts``: sizes by bundle."""

    def __init__(self, excesses: Sequence[Excess], parts: Mapping[str, Sequence[Part]]) -> None:
        lines = [f"{one.limit.where}: {one.of} is {one.cells[0]}, the budget {one.cells[1]}" for one in excesses]
        super().__init__("\n".join(["over the budget:", *lines]))
        self.excesses = excesses
        self.parts = parts


def read_budget(project: Project, target: str, manifest: Manifest) -> Budget:
    """The limits of a project for a target. Raises ConfigError with the line."""
    functions = [function.name for function in manifest.functions]
    found: list[Limit] = []
    for keys, table in (
        (("budget",), project.table("budget")),
        ((target, "budget"), project.settings(target).get("budget", {})),
    ):
        found += _limits(project, keys, table, "")
        below = table.get("functions", {})
        _need_table(project, (*keys, "functions"), below)
        for name, limits in below.items():
            where = (*keys, "functions", name)
            if name not in functions:
                raise ConfigError(f"{project.where(*where)}: {name!r} is no function{nearest(name, functions)}")
            found += _limits(project, where, limits, name)
    return Budget(found)


def check_parts(
    budget: Budget, bundles: Iterable[Bundle], zips: Mapping[str, int], parts: Mapping[str, Sequence[Part]]
) -> Iterator[Excess | Finding]:
    """What is larger than allowed, and a note on each package with a limit that is in no bundle."""
    everywhere = {part.name for found in parts.values() for part in found}
    for limit in budget.limits:
        kind, _, package = limit.what.partition(".")
        if package and package not in everywhere:
            way_out = f"the largest are {', '.join(sorted(everywhere))}" if len(everywhere) < 6 else ""
            yield Finding("info", limit.where, f"the budget is for {package}, which is in no bundle", way_out)
            continue
        if kind not in (*_SIZES, "packages"):
            continue
        for bundle in bundles:
            if limit.function and limit.function not in bundle.sources:
                continue
            found = _weigh(limit, zips[bundle.zip_name], parts[bundle.name])
            if found > limit.most:
                label = package or bundle.zip_name
                yield Excess(limit, label if kind != "unpacked" else f"{label}, unpacked", found)


def hold_to_budget(
    budget: Budget,
    bundles: Sequence[Bundle],
    zips: Mapping[str, int],
    parts: Mapping[str, Sequence[Part]],
    measure: Callable[[Collection[str]], Measured] | None = None,
) -> list[Finding]:
    """Notes and warnings of what keeps to its budget, or cannot be measured here. Raises BudgetError.

    ``zips``: bytes by the zip's name. ``parts``: of each bundle by its name. ``measure`` is called where limits need
    it and the sizes are right, with what they are of: ``cold_start``, ``imports``.
    """
    found = list(check_parts(budget, bundles, zips, parts))
    findings = [one for one in found if isinstance(one, Finding)]
    over = [one for one in found if isinstance(one, Excess)]
    limits = [one for one in budget.limits if one.what in _MEASURED]
    if not over and limits and measure is not None:
        measured = measure({one.what for one in limits})
        over += check_measured(budget, measured)
        if measured.unknown:
            message = f"what the budget says of starting is not checked: {measured.unknown}"
            findings.append(Finding("warning", limits[0].where, message))
    if over:
        raise BudgetError(over, parts)
    return findings


def check_measured(budget: Budget, measured: Measured) -> Iterator[Excess]:
    """What a run showed to be more than allowed."""
    for limit in budget.limits:
        values: Mapping[str, float] = {"cold_start": measured.cold_start, "imports": measured.imports}.get(
            limit.what, {}
        )
        for function, found in values.items():
            if limit.function in ("", function) and found > limit.most:
                yield Excess(limit, f"{function}, {limit.what.replace('_', ' ')}", found)


def _weigh(limit: Limit, packed: int, parts: Sequence[Part]) -> int:
    if limit.what == "zip":
        return packed
    name = limit.what.partition(".")[2]
    return sum(part.size for part in parts if not name or part.name == name)


def _limits(project: Project, keys: tuple[str, ...], table: Any, function: str) -> Iterator[Limit]:
    _need_table(project, keys, table)
    for key, value in table.items():
        if key == "functions" and not function:
            continue
        where = project.where(*keys, key)
        if key not in _KEYS:
            known = _KEYS if function else (*_KEYS, "functions")
            raise ConfigError(f"{where}: a budget has no {key!r}{nearest(key, known)}")
        if key != "packages":
            yield Limit(key, function, _amount(where, key, key, value), where)
            continue
        _need_table(project, (*keys, key), value)
        for name, most in value.items():
            where = project.where(*keys, key, name)
            yield Limit(f"packages.{canonical(name)}", function, _amount(where, name, key, most), where)


def _need_table(project: Project, keys: tuple[str, ...], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{project.where(*keys)}: [tool.portable.{'.'.join(keys)}] is a table, got {value!r}")


def _amount(where: str, label: str, key: str, value: Any) -> float:
    if key == "imports":
        if type(value) is int and value > 0:
            return value
        raise ConfigError(f"{where}: {label} is a number of modules, got {value!r}")
    units: Mapping[str, float] = SECONDS if key == "cold_start" else BYTES
    if key != "cold_start" and type(value) is int and value > 0:
        return value
    amount = read_amount(value, units)
    if amount is None:
        example = '"300 ms"' if key == "cold_start" else '"5 MB"'
        raise ConfigError(f"{where}: {label} is text like {example}, in {', '.join(units)}; got {value!r}")
    return amount


def _shown(what: str, amount: float) -> str:
    if what == "imports":
        return f"{amount:.0f}"
    return f"{amount * 1000:.0f} ms" if what == "cold_start" else size(round(amount))
