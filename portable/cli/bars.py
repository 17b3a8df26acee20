"""Sizes as tables with bars, at 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portable.build.budget import Excess
    from portable.build.result import Part

__all__ = ["bar", "excess_lines", "size_lines"]

_BAR = 27


def bar(share: float, dark: float = 1.0, width: int = _BAR) -> str:
    """A bar over ``share`` of the width, ``dark`` of it in full blocks and the rest in light ones."""
    cells = max(1, round(share * width)) if share > 0 else 0
    full = min(cells, round(share * dark * width))
    return "█" * full + "░" * (cells - full)


def size_lines(parts: Mapping[str, Sequence[Part]], most: int | None = None) -> list[str]:
    """A row for each distribution, the app and this framework; the ``most`` largest of each bundle, the rest as one.

    A bar is as long as the size, and full as far as the zip's part of it goes.
    """
    from portable.build.sizes import size

    lines = [f"{'':<24}{'files':>6}{'size':>10}{'zipped':>10}"]
    largest = max((part.size for found in parts.values() for part in found), default=0) or 1
    for name, found in parts.items():
        if name:
            lines.append(f"{name}:")
        rows = list(found)
        if most is not None and len(rows) > most:
            rows = [*rows[:most], _together(f"({len(rows) - most} more)", rows[most:])]
        for part in rows:
            shown = part.name if len(part.name) < 21 else f"{part.name[:19]}…"
            drawn = bar(part.size / largest, part.packed / (part.size or 1))
            row = f"  {shown:<22}{part.files:>6}{size(part.size):>10}{size(part.packed):>10}  {drawn}"
            lines.append(row.rstrip())
        total = _together("", found)
        lines.append(f"  {'':<22}{total.files:>6}{size(total.size):>10}{size(total.packed):>10}")
    return lines


def excess_lines(excesses: Sequence[Excess]) -> list[str]:
    """What is over its budget: how much it is, the most allowed, by how much it is over, and where that stands."""
    lines = [f"{'over the budget':<30}{'is':>12}{'at most':>12}{'over by':>12}"]
    for one in excesses:
        found, most, over = one.cells
        shown = one.of if len(one.of) < 29 else f"{one.of[:27]}…"
        lines.append(f"  {shown:<28}{found:>12}{most:>12}{over:>12}")
        of = f"functions.{one.limit.function}." if one.limit.function else ""
        lines.append(f"    {one.limit.where}: {of}{one.limit.what}")
    return lines


def _together(name: str, parts: Sequence[Part]) -> Part:
    from portable.build.result import Part

    files, size, packed = (sum(getattr(one, key) for one in parts) for key in ("files", "size", "packed"))
    return Part(name, files, size, packed)
