"""A report as one HTML page: no script, nothing from elsewhere, and every figure in a table too."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape

from portable.build.budget import Excess
from portable.build.result import Part
from portable.build.sizes import APP, FRAMEWORK, size
from portable.run.coldstart import ColdStart
from portable.run.imports import Import, Loading
from portable.run.report import Report
from portable.run.treemap import Tile, lay_out

__all__ = ["report_page"]

_WIDTH, _HEIGHT = 960.0, 420.0
_ROWS = 40
_OPEN = 2
"""Functions whose waterfalls are all open; of more, the longest one is."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #ffffff; --line: #d5d9de; --soft: #59626c;
  --app: #a84d0b; --portable: #5b4bc4; --wheel: #23678f; --bar: #3a83ad; --back: #e9edf1; --over: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #15181b; --line: #343a40; --soft: #9aa4ae;
  --bar: #4c97c2; --back: #262b30; --over: #ff8a80; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .2rem; }
p { color: var(--soft); margin: .2rem 0 1rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.2rem 0; }
dl div { border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; min-width: 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
dd small { display: block; font-size: .8rem; color: var(--soft); overflow: hidden; text-overflow: ellipsis; }
.over { border-left: 4px solid var(--over); padding-left: .8rem; } .over h2 { color: var(--over); }
.map { width: 100%; height: 420px; display: block; border-radius: 6px; }
rect { stroke: var(--paper); stroke-width: 2; } .app { fill: var(--app); } .portable { fill: var(--portable); }
.wheel { fill: var(--wheel); } .map svg:hover rect { filter: brightness(1.15); }
.tile { height: 100%; container-type: size; }
.label { padding: .35rem .5rem; color: #ffffff; font-size: 13px; line-height: 1.35; overflow: hidden; height: 100%; }
.label span { display: block; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
@container (max-height: 3.2rem) or (max-width: 4.2rem) { .label span + span { display: none; } }
@container (max-height: 1.7rem) or (max-width: 3rem) { .label { display: none; } }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .5rem 0 1rem; padding: 0; list-style: none;
  font-size: .85rem; color: var(--soft); }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .4rem; }
i.app { background: var(--app); } i.portable { background: var(--portable); } i.wheel { background: var(--wheel); }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; font-weight: 600; } summary small { font-weight: 400; color: var(--soft); }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: .6rem 0; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line);
  font-weight: 400; }
thead th { color: var(--soft); } th:first-child { text-align: left; padding-left: 0; }
td.wide { width: 40%; min-width: 6rem; padding-right: 0; }
code { font: 13px ui-monospace, monospace; display: inline-block; max-width: 24rem; overflow: hidden;
  text-overflow: ellipsis; vertical-align: middle; }
.track { background: var(--back); height: .7rem; border-radius: 2px; }
.bar { background: var(--bar); height: .7rem; border-radius: 2px; min-width: 1px; }
@media (max-width: 40rem) { body { margin: 1rem auto; } .map { height: 320px; } code { max-width: 10.5rem; }
  th, td { padding: .15rem .35rem; } .less { display: none; } td.wide { min-width: 4.5rem; } }
@media print { .map { break-inside: avoid; print-color-adjust: exact; } .bar { print-color-adjust: exact; } }
"""


def report_page(report: Report, excesses: Sequence[Excess] = ()) -> str:
    """The page, with what is over the budget. Names are escaped; equal reports give equal pages."""
    title = f"{report.manifest.app} for {report.target}"
    body = [f"<h1>{_text(title)}</h1>", f"<p>Python {_text(report.python)}</p>", *_summary(report)]
    if excesses:
        body += ['<section class="over">', "<h2>Over the budget</h2>", *_over(excesses), "</section>"]
    body += _sizes(report)
    if report.starts:
        body += _starts(report.starts, report.used)
    body += ["<h2>Imports before the first event</h2>"]
    if report.unknown:
        body.append(f"<p>Not measured: {_text(report.unknown)}</p>")
    body += _waterfalls(report.loadings)
    if report.dropped:
        body += ["<h2>Pruned from the dependencies</h2>", *_dropped(report)]
    head = (
        f'<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{_text(title)}</title><style>{_STYLE}</style>"
    )
    content = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{content}\n</main></body></html>\n'


def _text(said: str) -> str:
    """Escaped, and without what has no place in a page: control characters, and those that turn the direction."""
    return escape("".join("\ufffd" if unicodedata.category(one) in ("Cc", "Cf", "Cs") else one for one in said))


def _summary(report: Report) -> Iterator[str]:
    """The figures that are looked for first."""
    facts = [
        ("zipped", size(sum(report.zips.values())), ""),
        ("unpacked", size(sum(part.size for parts in report.parts.values() for part in parts)), ""),
    ]
    if report.loadings:
        most = max(report.loadings, key=lambda one: one.seconds)
        facts.append(("longest imports", f"{most.seconds * 1000:.0f} ms", f"{most.function}, {most.modules} modules"))
    if report.starts:
        slow = max(report.starts, key=lambda one: one.median)
        facts.append(("slowest cold start", f"{slow.median * 1000:.0f} ms", slow.function))
    yield "<dl>"
    for name, figure, more in facts:
        small = f"<small>{_text(more)}</small>" if more else ""
        yield f"<div><dt>{name}</dt><dd>{figure}{small}</dd></div>"
    yield "</dl>"


def _over(excesses: Sequence[Excess]) -> Iterator[str]:
    rows = [(one.of, *one.cells, one.limit.where) for one in excesses]
    yield from _table("What is over the budget", ("", "is", "at most", "over by", "where"), rows, less=(4,))


def _sizes(report: Report) -> Iterator[str]:
    for name, parts in report.parts.items():
        archive = f"bundle-{name}.zip" if name else "bundle.zip"
        total = sum(part.size for part in parts)
        yield f"<h2>{_text(archive)}</h2>"
        yield f"<p>{size(total)} unpacked, {size(report.zips.get(archive, 0))} zipped</p>"
        yield from _treemap(parts, total)
        rows = [
            (part.name, str(part.files), size(part.size), size(part.packed), _bar(0.0, part.size / (total or 1)))
            for part in parts
        ]
        yield from _table(f"Sizes in {archive}", ("", "files", "unpacked", "zipped", ""), rows, less=(1,))


def _treemap(parts: Sequence[Part], total: int) -> Iterator[str]:
    """Tiles in shares of the whole, so that they fit any width, and letters stay as large as they are elsewhere."""
    shown = [part for part in parts if part.size]
    yield '<svg class="map" role="img" aria-label="Sizes as areas; the table below says the same">'
    for part, tile in zip(shown, lay_out([part.size for part in shown], _WIDTH, _HEIGHT), strict=True):
        kind = part.name if part.name in (APP, FRAMEWORK) else "wheel"
        said = f"{part.name}: {size(part.size)}, {part.size / total:.1%}; {size(part.packed)} zipped"
        yield f"<svg {_place(tile)}><title>{_text(said)}</title>"
        yield f'<rect class="{kind}" width="100%" height="100%"/><foreignObject width="100%" height="100%">'
        label = f"<span>{_text(part.name)}</span><span>{size(part.size)}</span>"
        yield f'<div class="tile"><div class="label">{label}</div></div></foreignObject></svg>'
    yield "</svg>"
    kinds = (("wheel", "dependencies"), (FRAMEWORK, "portable"), (APP, "the app"))
    yield f'<ul class="key">{"".join(f"""<li><i class="{kind}"></i>{words}</li>""" for kind, words in kinds)}</ul>'


def _place(tile: Tile) -> str:
    shares = {
        "x": tile.left / _WIDTH,
        "y": tile.top / _HEIGHT,
        "width": tile.width / _WIDTH,
        "height": tile.height / _HEIGHT,
    }
    return " ".join(f'{name}="{share:.3%}"' for name, share in shares.items())


def _dropped(report: Report) -> Iterator[str]:
    rows = [(name, rule, str(files), size(count)) for name, rule, files, count in report.pruned]
    yield from _table("What pruning took", ("", "rule", "files", "size"), rows)
    for rule, why in report.reasons.items():
        yield f"<p>{_text(rule)}: {_text(why)}</p>"


def _waterfalls(loadings: Sequence[Loading]) -> Iterator[str]:
    longest = max((one.seconds for one in loadings), default=0.0)
    for loading in loadings:
        is_open = len(loadings) <= _OPEN or loading.seconds == longest
        yield '<details open="">' if is_open else "<details>"
        yield from _waterfall(loading)
        yield "</details>"


def _waterfall(loading: Loading) -> Iterator[str]:
    total = loading.seconds or 1.0
    every = list(loading.every())
    order = sorted(range(len(every)), key=lambda at: (-every[at][1].total, at))[:_ROWS]
    shown = f", the {_ROWS} that take longest" if len(every) > _ROWS else ""
    said = f"{loading.modules} modules, {total * 1000:.0f} ms{shown}"
    yield f"<summary><code>{_text(loading.function)}</code> <small>{said}</small></summary>"
    rows = (_row(*every[at], total) for at in sorted(order))
    yield from _table(f"Imports of {loading.function}", ("", "ms", "own", "share", ""), rows, less=(2, 3))


def _row(depth: int, one: Import, total: float) -> tuple[str, ...]:
    indent = "\u2003" * depth
    share = one.total / total
    times = (f"{one.total * 1000:.1f}", f"{one.own * 1000:.1f}", f"{share:.0%}")
    return (f"{indent}{one.name}", *times, _bar(one.start / total, share))


def _starts(starts: Sequence[ColdStart], used: Mapping[str, str]) -> Iterator[str]:
    longest = max(one.median for one in starts) or 1.0
    parts = ", ".join(f"{name} {version}" for name, version in sorted(used.items()))
    yield "<h2>Cold start</h2>"
    yield f"<p>From the start of a process to the first answer, here, under {_text(parts)}</p>"
    yield from _table(
        "Cold starts",
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
        less=(1, 3),
    )
    for one in starts:
        if one.failure:
            yield f"<p>{_text(one.function)} failed on a sample event: {_text(one.failure)}</p>"


class _Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def _bar(start: float, share: float) -> _Markup:
    left, width = min(start, 1.0) * 100, min(share, 1.0 - min(start, 1.0)) * 100
    return _Markup(
        f'<div class="track"><div class="bar" style="margin-left:{left:.2f}%;width:{width:.2f}%"></div></div>'
    )


def _table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], less: Collection[int] = ()
) -> Iterator[str]:
    """A table whose first column names its rows; the columns ``less`` are not there on a narrow screen."""
    marks = ['class="less"' if at in less else "" for at in range(len(heads))]
    yield f'<div class="scroll" role="region" tabindex="0" aria-label="{_text(title)}"><table>'
    yield f"<caption>{_text(title)}</caption><thead><tr>"
    yield "".join(f'<th scope="col" {mark}>{_text(head)}</th>' for head, mark in zip(heads, marks, strict=True))
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = "".join(_cell(text, mark) for text, mark in zip(row[1:], marks[1:], strict=True))
        yield f'<tr><th scope="row"><code title="{_text(row[0].strip())}">{_text(row[0])}</code></th>{cells}</tr>'
    yield "</tbody></table></div>"


def _cell(text: str, mark: str) -> str:
    return f'<td class="wide">{text}</td>' if isinstance(text, _Markup) else f"<td {mark}>{_text(text)}</td>"
