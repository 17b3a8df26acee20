"""Sizes and times as tables with bars, at 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portable.build.budget import Excess
    from portable.build.result import Part
    from portable.run.coldstart import ColdStart
    from portable.run.imports import Loading
    from portable.run.report import Report

__all__ = ["bar", "dropped_lines", "excess_lines", "shortened", "size_lines", "start_lines", "waterfall_lines"]

_BAR = 27
_WATERFALL = 20


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
            shown = shortened(part.name, 21)
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
        shown = shortened(one.of, 28)
        lines.append(f"  {shown:<28}{found:>12}{most:>12}{over:>12}")
        of = f"functions.{one.limit.function}." if one.limit.function else ""
        lines.append(f"    {one.limit.where}: {of}{one.limit.what}")
    return lines


def shortened(name: str, most: int) -> str:
    """A name of ``most`` characters at most, cut in its middle: names that begin alike often end otherwise."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[-end:]}"


def _together(name: str, parts: Sequence[Part]) -> Part:
    from portable.build.result import Part

    files, size, packed = (sum(getattr(one, key) for one in parts) for key in ("files", "size", "packed"))
    return Part(name, files, size, packed)


def waterfall_lines(loading: Loading, most: int = 14) -> list[str]:
    """The imports that took longest, below what imported them, with milliseconds, share, and when each was running."""
    total = loading.seconds or 1.0
    every = list(loading.every())
    order = sorted(range(len(every)), key=lambda at: (-every[at][1].total, at))
    lines = [f"{loading.function}: {loading.modules} modules, {total * 1000:.0f} ms"]
    for at in sorted(order[:most]):
        depth, one = every[at]
        label = f"{'  ' * min(depth, 6)}{one.name}"
        label = label if len(label) < 38 else f"{label[:36]}…"
        before = min(_WATERFALL - 1, int(one.start / total * _WATERFALL))
        drawn = " " * before + bar(one.total / total, 1.0, _WATERFALL)[: _WATERFALL - before]
        lines.append(f"  {label:<38}{one.total * 1000:>8.1f} ms {one.total / total:>5.0%}  {drawn}".rstrip())
    if len(every) > most:
        lines.append(f"  and {len(every) - most} more")
    return lines


def start_lines(starts: Sequence[ColdStart]) -> list[str]:
    """Median, fastest and slowest cold start of each function, in milliseconds."""
    longest = max((one.median for one in starts), default=0.0) or 1.0
    lines = [f"{'':<24}{'median':>10}{'fastest':>10}{'slowest':>10}"]
    for one in starts:
        times = (one.median, min(one.seconds), max(one.seconds))
        shown = "".join(f"{seconds * 1000:>7.0f} ms" for seconds in times)
        lines.append(f"  {shortened(one.function, 21):<22}{shown}  {bar(one.median / longest, width=_BAR - 4)}")
        if one.failure:
            said = " ".join(one.failure.split())
            told = fill(
                f"it failed on a sample event, and is timed until then: {said}", 75, max_lines=2, placeholder=" …"
            )
            lines += [f"    {line}" for line in told.splitlines()]
    return lines


def dropped_lines(report: Report) -> list[str]:
    """What pruning took from which distribution, the most first, and why."""
    from portable.build.sizes import size

    lines = [
        f"  {shortened(name, 21):<22}{files:>6}{size(count):>10}  {rule}" for name, rule, files, count in report.pruned
    ]
    for rule, why in report.reasons.items():
        lines += fill(f"{rule}: {why}", 79, initial_indent="  ", subsequent_indent="    ").splitlines()
    return lines
