"""A report as one HTML page: no script, nothing from elsewhere, and every figure in a table too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from portable.build.result import Part
from portable.build.sizes import APP, FRAMEWORK, size
from portable.run.coldstart import ColdStart
from portable.run.imports import Import, Loading
from portable.run.report import Report
from portable.run.treemap import Tile, lay_out

__all__ = ["report_page"]

_WIDTH, _HEIGHT = 960.0, 420.0
_ROWS = 40
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #ffffff; --line: #d5d9de; --soft: #5d6670;
  --app: #b4530d; --portable: #5b4bc4; --wheel: #23678f; --bar: #3a83ad; --back: #e9edf1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #15181b; --line: #343a40; --soft: #9aa4ae;
  --app: #b4530d; --portable: #5b4bc4; --wheel: #23678f; --bar: #4c97c2; --back: #262b30; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: .3rem; } p { color: var(--soft); margin: .2rem 0 1rem; }
svg { width: 100%; height: auto; display: block; }
rect { stroke: var(--paper); stroke-width: 1.5; } .app { fill: var(--app); } .portable { fill: var(--portable); }
.wheel { fill: var(--wheel); } text { fill: #ffffff; font: 13px system-ui, sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: .6rem 0; }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
td.wide { width: 40%; min-width: 10rem; }
.track { background: var(--back); height: .7rem; border-radius: 2px; }
.bar { background: var(--bar); height: .7rem; border-radius: 2px; min-width: 1px; }
code { font: 13px ui-monospace, monospace; }
"""


def report_page(report: Report) -> str:
    """The page. Names are escaped; equal reports give equal pages."""
    title = f"{report.manifest.app} for {report.target}"
    body = [f"<h1>{escape(title)}</h1>", f"<p>Python {escape(report.python)}</p>", *_sizes(report)]
    if report.dropped:
        body += ["<h2>Pruned from the dependencies</h2>", *_dropped(report)]
    body += ["<h2>Imports before the first event</h2>"]
    if report.unknown:
        body.append(f"<p>Not measured: {escape(report.unknown)}</p>")
    for loading in report.loadings:
        body += _waterfall(loading)
    if report.starts:
        body += _starts(report.starts, report.used)
    head = (
        f'<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    content = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{content}\n</body></html>\n'


def _sizes(report: Report) -> Iterator[str]:
    for name, parts in report.parts.items():
        archive = f"bundle-{name}.zip" if name else "bundle.zip"
        total = sum(part.size for part in parts)
        yield f"<h2>{escape(archive)}</h2>"
        yield f"<p>{size(total)} unpacked, {size(report.zips.get(archive, 0))} zipped</p>"
        yield from _treemap(parts, total)
        rows = [
            (part.name, str(part.files), size(part.size), size(part.packed), _bar(0.0, part.size / (total or 1)))
            for part in parts
        ]
        yield from _table(("", "files", "unpacked", "zipped", ""), rows)


def _treemap(parts: Sequence[Part], total: int) -> Iterator[str]:
    shown = [part for part in parts if part.size]
    yield f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="Sizes; the table below says the same">'
    for part, tile in zip(shown, lay_out([part.size for part in shown], _WIDTH, _HEIGHT), strict=True):
        kind = part.name if part.name in (APP, FRAMEWORK) else "wheel"
        said = f"{part.name}: {size(part.size)}, {part.size / total:.1%}; {size(part.packed)} zipped"
        place = f'x="{tile.left:.1f}" y="{tile.top:.1f}" width="{tile.width:.1f}" height="{tile.height:.1f}"'
        yield f'<g><title>{escape(said)}</title><rect class="{kind}" {place}/>{_label(part, tile)}</g>'
    yield "</svg>"


def _label(part: Part, tile: Tile) -> str:
    """The name, and the size below it, as far as there is room: a letter takes some 8 units, a line 18."""
    room = int((tile.width - 14) / 8)
    if room < 3 or tile.height < 22:
        return ""
    name = part.name if len(part.name) <= room else f"{part.name[: room - 1]}…"
    lines = [name, size(part.size)] if tile.height > 42 and len(size(part.size)) <= room else [name]
    return "".join(
        f'<text x="{tile.left + 7:.1f}" y="{tile.top + 18 + 18 * at:.1f}">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )


def _dropped(report: Report) -> Iterator[str]:
    rows = [(name, rule, str(files), size(count)) for name, rule, files, count in report.pruned]
    yield from _table(("", "rule", "files", "size"), rows)
    for rule, why in report.reasons.items():
        yield f"<p>{escape(rule)}: {escape(why)}</p>"


def _waterfall(loading: Loading) -> Iterator[str]:
    total = loading.seconds or 1.0
    every = list(loading.every())
    order = sorted(range(len(every)), key=lambda at: (-every[at][1].total, at))[:_ROWS]
    shown = f", the {_ROWS} that take longest" if len(every) > _ROWS else ""
    yield f"<h3>{escape(loading.function)}</h3>"
    yield f"<p>{loading.modules} modules, {total * 1000:.0f} ms{shown}</p>"
    yield from _table(("", "ms", "own", "share", ""), (_row(*every[at], total) for at in sorted(order)))


def _row(depth: int, one: Import, total: float) -> tuple[str, ...]:
    indent = "\u2003" * depth
    share = one.total / total
    times = (f"{one.total * 1000:.1f}", f"{one.own * 1000:.1f}", f"{share:.0%}")
    return (f"{indent}{one.name}", *times, _bar(one.start / total, share))


def _starts(starts: Sequence[ColdStart], used: Mapping[str, str]) -> Iterator[str]:
    longest = max(one.median for one in starts) or 1.0
    parts = ", ".join(f"{name} {version}" for name, version in sorted(used.items()))
    yield "<h2>Cold start</h2>"
    yield f"<p>From the start of a process to the first answer, here, under {escape(parts)}</p>"
    yield from _table(
        ("", "runs", "median", "fastest", "slowest", ""),
        [
            (
                one.function,
                str(len(one.seconds)),
                *(f"{seconds * 1000:.0f} ms" for seconds in (one.median, min(one.seconds), max(one.seconds))),
                _bar(0.0, one.median / longest),
            )
            for one in starts
        ],
    )
    for one in starts:
        if one.failure:
            yield f"<p>{escape(one.function)} failed on a sample event: {escape(one.failure)}</p>"


class _Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def _bar(start: float, share: float) -> _Markup:
    left, width = min(start, 1.0) * 100, min(share, 1.0 - min(start, 1.0)) * 100
    return _Markup(
        f'<div class="track"><div class="bar" style="margin-left:{left:.2f}%;width:{width:.2f}%"></div></div>'
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr>'
    yield "".join(f"<th>{escape(head)}</th>" for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        yield f"<tr><td><code>{escape(row[0])}</code></td>{''.join(map(_cell, row[1:]))}</tr>"
    yield "</tbody></table></div>"


def _cell(text: str) -> str:
    return f'<td class="wide">{text}</td>' if isinstance(text, _Markup) else f"<td>{escape(text)}</td>"
