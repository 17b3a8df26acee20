"""The page for people: plain HTML, made here, with nothing loaded from elsewhere and no script."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from portable.dev.application import CONTROL
from portable.dev.reports import message_document
from portable.jsontext import encode_text

if TYPE_CHECKING:
    from portable.dev.serving import Session

__all__ = ["render"]

_KEYS = 20
_LETTERS = 10
_INVOCATIONS = 30
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
  --soft: color-mix(in srgb, currentColor 60%, transparent); --bad: #c62828; --good: #2e7d32; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #81c784; } }
body { font: 14px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
.soft { color: var(--soft); } .bad { color: var(--bad); } .good { color: var(--good); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-top: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { font-weight: 600; border-top: 0; white-space: nowrap; } td.number, th.number { text-align: right; }
td.name, td.short { white-space: nowrap; }
code { font: 12.5px ui-monospace, monospace; } form { display: inline; margin: 0; }
button { font: inherit; padding: .1rem .6rem; cursor: pointer; }
pre { white-space: pre-wrap; border: 1px solid var(--line); padding: .8rem; }
details { margin: .2rem 0 .6rem; } summary { cursor: pointer; }
"""


def render(session: Session, status: dict[str, Any]) -> str:
    """The whole page. It touches the disk: keys and dead letters are read for it."""
    name = status.get("app", "an app that does not start")
    parts = [_head(session, name)]
    if session.failure:
        parts.append(f"<h2 class=bad>The app does not start</h2><pre>{escape(session.failure)}</pre>")
    else:
        parts += [
            _functions(status["functions"]),
            _schedules(status["schedules"]),
            _queues(session, status["queues"]),
            _topics(status["topics"]),
            _parked(status["parked"]),
            _buckets(session, status["buckets"]),
            _invocations(status["invocations"][:_INVOCATIONS]),
        ]
    title = escape(f"{name} · portable dev")
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>"
    )


def _head(session: Session, name: str) -> str:
    return (
        f"<header><h1>{escape(name)}</h1><a href=/>{escape(session.url)}</a>"
        f"<a href='{CONTROL}/'>Refresh</a><a href='{CONTROL}/docs'>Routes</a>"
        f"<a href='{CONTROL}/openapi.json'>OpenAPI of these pages</a></header>"
        f"<p class=soft>{escape(str(session.root))} · since {session.started_at:%H:%M:%S}</p>"
    )


def _table(title: str, heads: str, rows: Iterable[str], none: str) -> str:
    """A section. A head that starts with # is a column of numbers."""
    found = list(rows)
    if not found:
        return f"<h2>{title}</h2><p class=soft>{none}</p>"
    cells = "".join(
        f"<th class=number>{head[1:]}</th>" if head.startswith("#") else f"<th>{head}</th>" for head in heads.split("|")
    )
    return f"<h2>{title}</h2><table><tr>{cells}</tr>{''.join(found)}</table>"


def _button(action: str, label: str) -> str:
    return f"<form method=post action='{CONTROL}/{escape(action)}'><button>{label}</button></form>"


def _outcome(entry: dict[str, Any]) -> str:
    bad = entry["outcome"] != "ok" and not (entry["outcome"].isdigit() and int(entry["outcome"]) < 500)
    error = f"<br><span class=bad>{escape(entry['error'])}</span>" if entry["error"] else ""
    kind = "bad" if bad else "good"
    return f"<span class={kind}>{escape(entry['outcome'])}</span>{error}"


def _clock(instant: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone():%H:%M:%S}"


def _functions(functions: list[dict[str, Any]]) -> str:
    rows = []
    for one in functions:
        calls = "<br>".join(f"<code>{escape(route)}</code>" for route in one["routes"][:12]) if "routes" in one else ""
        if len(one.get("routes", ())) > 12:
            calls += f"<br>and {len(one['routes']) - 12} more"
        last = one["last"]
        ended = (
            "<td class=soft>not called yet</td><td></td>"
            if last is None
            else f"<td>{_outcome(last)}</td><td class=short>{_clock(last['at'])}, {last['milliseconds']:.1f} ms</td>"
        )
        rows.append(
            f"<tr><td class=name><b>{escape(one['name'])}</b></td><td>{calls or escape(one['called_by'])}</td>"
            f"{ended}<td class='soft short'><code>{escape(one['where'])}</code></td></tr>"
        )
    return _table("Functions", "Function|Called by|Last outcome||Where", rows, "This app has no functions.")


def _schedules(schedules: list[dict[str, Any]]) -> str:
    rows = (
        f"<tr><td class=name><b>{escape(one['name'])}</b></td><td><code>{escape(one['expression'])}</code></td>"
        f"<td>{datetime.fromisoformat(one['next']):%a %d %b %Y %H:%M %Z}</td>"
        f"<td>{_button('schedules/' + quote(one['name']) + '/run', 'Run now')}</td></tr>"
        for one in schedules
    )
    return _table("Schedules", "Schedule|Expression|Next|", rows, "None.")


def _queues(session: Session, queues: list[dict[str, Any]]) -> str:
    rows = []
    for one in queues:
        dead = one["dead_letters"]
        redrive = _button(f"queues/{quote(one['name'])}/redrive", "Redrive") if dead else ""
        rows.append(
            f"<tr><td class=name><b>{escape(one['name'])}</b></td><td>{escape(', '.join(one['functions']) or 'nobody')}"
            f"</td><td class=number>{one['depth']}</td><td class='number{' bad' if dead else ''}'>{dead}</td>"
            f"<td>{redrive}{_letters(session, one['name']) if dead else ''}</td></tr>"
        )
    return _table("Queues", "Queue|Read by|#Messages|#Dead letters|", rows, "None.")


def _topics(topics: list[dict[str, Any]]) -> str:
    rows = []
    for topic in topics:
        for one in topic["subscriptions"] or [{"function": "nobody", "depth": 0, "dead_letters": 0}]:
            dead, place = one["dead_letters"], f"topics/{quote(topic['name'])}/{quote(one['function'])}"
            rows.append(
                f"<tr><td class=name><b>{escape(topic['name'])}</b></td><td>{escape(one['function'])}</td>"
                f"<td class=number>{one['depth']}</td><td class='number{' bad' if dead else ''}'>{dead}</td>"
                f"<td>{_button(f'{place}/redrive', 'Redrive') if dead else ''}</td></tr>"
            )
    return _table("Topics", "Topic|Function|#Messages|#Dead letters|", rows, "None.") if topics else ""


def _letters(session: Session, queue: str) -> str:
    assert session.application is not None
    driver = session.application.driver(session.platform, "queue", queue)
    items = []
    for one in map(message_document, driver.dead_letters(_LETTERS)):
        attempts = f"{one['attempts']} attempt{'' if one['attempts'] == 1 else 's'}"
        items.append(f"<code>{escape(encode_text(one['body'])[:300])}</code> <span class=soft>{attempts}</span>")
    return f"<details><summary>The oldest</summary>{'<br>'.join(items)}</details>"


def _parked(parked: list[dict[str, Any]]) -> str:
    if not parked:
        return ""
    rows = (
        f"<tr><td class=name><b>{escape(one['function'])}</b></td><td>{escape(one['kind'])} "
        f"<code>{escape(one['bucket'])}/{escape(one['key'])}</code></td><td class=number>{one['attempts']}</td>"
        f"<td class=bad>{escape(one['error'])}</td><td>{_button('parked/' + str(one['id']) + '/retry', 'Try again')}"
        "</td></tr>"
        for one in parked
    )
    return _table("Blob events given up", "Function|Event|#Attempts|Error|", rows, "")


def _buckets(session: Session, buckets: list[dict[str, Any]]) -> str:
    assert session.application is not None
    rows = []
    for one in buckets:
        driver = session.application.driver(session.platform, "bucket", one["name"])
        keys = []
        for info in islice(driver.list("", None), _KEYS):
            query = urlencode({"key": info.key})
            place = f"{CONTROL}/buckets/{quote(one['name'])}/blob?{query}"
            delete = _button(f"buckets/{quote(one['name'])}/delete?{query}", "Delete")
            keys.append(
                f"<tr><td><a href='{escape(place)}'><code>{escape(info.key)}</code></a></td>"
                f"<td class='number short'>{info.size:,} bytes</td><td class=number>{delete}</td></tr>"
            )
        more = one["blobs"] - len(keys)
        rest = f"<p class=soft>and {more:,} more</p>" if more else ""
        blobs = f"{'more than ' if one['more'] else ''}{one['blobs']:,} blob{'' if one['blobs'] == 1 else 's'}"
        count = f"{blobs}, {one['bytes']:,} bytes"
        opened = " open" if len(keys) <= 5 else ""
        body = f"<details{opened}><summary>Keys</summary><table>{''.join(keys)}</table>{rest}</details>"
        rows.append(
            f"<tr><td class=name><b>{escape(one['name'])}</b><br><span class=soft>{count}</span></td>"
            f"<td>{body if keys else '<span class=soft>empty</span>'}</td></tr>"
        )
    return _table("Buckets", "Bucket|", rows, "None.")


def _invocations(entries: list[dict[str, Any]]) -> str:
    rows = (
        f"<tr><td class=short>{_clock(one['at'])}</td><td class=name>{escape(one['function'])}</td>"
        f"<td>{escape(one['subject'])}</td><td>{_outcome(one)}</td>"
        f"<td class='number short'>{one['milliseconds']:.1f} ms</td></tr>"
        for one in entries
    )
    return _table("Last invocations", "At|Function|What|Outcome|#Took", rows, "Nothing was called yet.")
