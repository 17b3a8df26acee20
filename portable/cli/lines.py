"""What commands print, at 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from portable.cli.bars import size_lines

if TYPE_CHECKING:
    from portable.build.artifact import Built
    from portable.build.moving import Difference
    from portable.build.schedules import Timer
    from portable.build.target import Finding
    from portable.deploy import Change
    from portable.manifest import FunctionRecord

__all__ = [
    "built_lines",
    "change_lines",
    "counted",
    "difference_lines",
    "finding_lines",
    "function_lines",
    "matrix_lines",
    "shown_path",
    "timer_lines",
    "wrapped",
]

WIDTH = 79
_AMOUNT = re.compile(r"(\d) (B|kB|MB|GB|KiB|MiB|GiB|ms|s|min|h|vCPU)\b")
_TIED = "\u00a0"
_FILES = 3
_LARGEST = 10
_NOUNS = {"http": "route", "direct": "direct call", "socket": "websocket"}
_LISTENING = ("message", "stream", "blob", "change")  # their noun is what they listen to


def counted(count: int, noun: str) -> str:
    """``1 function``, ``2 functions``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def finding_lines(findings: Iterable[Finding], indent: str = "") -> list[str]:
    """Findings, the worst first: ``error app.py:12: what``, and below what to do."""
    order = ("error", "warning", "info")
    lines = []
    for one in sorted(findings, key=lambda finding: order.index(finding.severity)):
        where = f"{one.where}: " if one.where else ""
        lines += wrapped(f"{one.severity} {where}{one.message}", indent, f"{indent}    ")
        if one.way_out:
            lines += wrapped(one.way_out, f"{indent}    → ", f"{indent}      ")
    return lines


def function_lines(functions: Iterable[FunctionRecord]) -> list[str]:
    """Each function, with the largest memory and the longest timeout its handlers ask for."""
    lines = []
    for one in functions:
        nouns = [
            trigger.source[0] if one.kind in _LISTENING else _NOUNS.get(one.kind, one.kind) for trigger in one.triggers
        ]
        count = ", ".join(counted(nouns.count(noun), noun) for noun in dict.fromkeys(nouns))
        asks = [f"{one.memory} MiB" if one.memory else "", f"{one.timeout:g} s" if one.timeout else "", *one.uses]
        rest = ", ".join(part for part in (count, *asks) if part)
        lines += wrapped(f"{one.name}: {rest}", "  ", "      ")
    return lines


def timer_lines(timers: Mapping[str, Sequence[Timer]]) -> list[str]:
    """What the cloud is told of each schedule."""
    lines = []
    for name, triggers in timers.items():
        for one in triggers:
            dropped = "; the entry drops some" if one.drops else ""
            lines += wrapped(f"{name} at {one.expression} {one.timezone or 'UTC'}{dropped}", "  ", "      ")
    return lines


def built_lines(built: Built, seconds: str) -> list[str]:
    """What a build wrote: the largest parts first. ``seconds``: how long it took."""
    from portable.build.sizes import size

    lines = size_lines(built.parts, _LARGEST)
    lines += [f"{shown_path(path)}  {size(count)}" for path, count in built.zips.items()]
    lines += _infrastructure_lines(built.folder / "infra")
    if built.dropped:
        lines.append(_pruned_line(built))
    lines.append(f"{counted(built.functions, 'function')}, {built.place}, in {seconds} s")
    if built.is_unchanged:
        lines.append("nothing changed since the last build: the artifact is as it was")
    return lines


def _infrastructure_lines(folder: Path) -> list[str]:
    """The folder, and what is in it."""
    names = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
    more = f" and {len(names) - _FILES} more" if len(names) > _FILES else ""
    return wrapped(f"{shown_path(folder)}  {', '.join(names[:_FILES])}{more}", "", "  ") if names else []


def shown_path(path: Path) -> str:
    """From the working directory on, where it is in it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def difference_lines(differences: Iterable[Difference], old: str, new: str) -> list[str]:
    """What differs, and below it how it is on each of two targets."""
    lines = []
    width = max(len(old), len(new))
    for one in differences:
        lines += wrapped(one.what, "  ", "    ")
        for target, told in ((old, one.before), (new, one.after)):
            lines += wrapped(f"{target:<{width}}  {told}", "    ", " " * (width + 6))
    return lines


def matrix_lines(rows: Mapping[str, Mapping[str, str]], targets: Sequence[str]) -> list[str]:
    """A row for each name, a column for each target; a name that does not fit has a line of its own above its row."""
    first = WIDTH - 10 * len(targets)
    lines = ["".join([" " * first, *(f"{target:<10}" for target in targets)]).rstrip()]
    for name, cells in rows.items():
        shown = name
        if len(name) >= first:
            lines.append(name)
            shown = ""
        lines.append("".join([f"{shown:<{first}}", *(f"{cells.get(target, '-'):<10}" for target in targets)]).rstrip())
    return lines


def _pruned_line(built: Built) -> str:
    from portable.build.sizes import size

    rules: dict[str, int] = {}
    for one in built.dropped:
        rules[one.rule] = rules.get(one.rule, 0) + one.size
    said = ", ".join(f"{rule} {size(count)}" for rule, count in sorted(rules.items()))
    return "\n".join(wrapped(f"pruned from the dependencies: {said}; report/pruned.json says of which", "", "  "))


def change_lines(changes: Iterable[Change]) -> list[str]:
    """Changes of a deployment, by what is done: ``+ AWS::SQS::Queue Emails``. What stays as it is has no line."""
    signs = {"create": "+", "update": "~", "replace": "!", "delete": "-"}
    return [
        f"{signs[one.action]} {one.kind} {one.name}{f': {one.detail}' if one.detail else ''}"
        for one in changes
        if one.action in signs
    ]


def wrapped(text: str, first: str, then: str) -> list[str]:
    """Lines of a text, none of them broken inside a word or before a unit; ``first`` and ``then`` begin them."""
    lines = textwrap.wrap(
        _AMOUNT.sub(f"\\1{_TIED}\\2", text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_TIED, " ") for line in lines]
