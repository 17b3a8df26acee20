"""Writes the parts of the documentation that are data: `python tests/docs/generate.py`. A test holds them true.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from portable.build.prices import read_prices
from portable.capabilities import ASKS, FEATURES
from portable.grants import METHODS, TRANSACTION, VERBS

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"
PAGES = (
    REFERENCE / "capabilities.md",
    REFERENCE / "errors.md",
    REFERENCE / "nats.md",
    REFERENCE / "targets.md",
    REFERENCE / "permissions.md",
    REFERENCE / "prices.md",
)
TARGETS = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure", "local": "This machine"}
HOLDERS = TARGETS | {"nats": "NATS"}
"""The targets, and what holds resources without running functions."""
_KINDS = ("http", "message", "stream", "blob", "change", "schedule", "direct", "socket")
_PART = re.compile(r"(<!-- generated: (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str) -> str:
    """A page with its generated parts as they have to be."""
    return _PART.sub(lambda match: f"{match[1]}\n{_part(match['name'])}\n\n{match[3]}", text)


def _part(name: str) -> str:
    kind, _, target = name.partition(" ")
    return "\n".join(
        (
            {"capabilities": _capabilities, "names": _names, "sources": _sources, "limits": _limits, "errors": _errors}
            | {"verbs": _verbs, "permissions": _permissions, "wider": _wider, "prices": _prices}
        )[kind](target)
    )


def _sources(_: str) -> Iterator[str]:
    yield f"| | {' | '.join(TARGETS.values())} |"
    yield f"| --- |{' --- |' * len(TARGETS)}"
    for kind in _KINDS:
        samples = [import_module(f"portable_{target}.samples").SAMPLES for target in TARGETS]
        cells = [", ".join(f"`{source}`" for source in one.sources(kind)) or "none" for one in samples]
        yield f"| {kind} | {' | '.join(cells)} |"


# --- permissions.py: by kind and verb, what each cloud is asked for


def _verbs(_: str) -> Iterator[str]:
    yield "| kind | verb | methods |"
    yield "| --- | --- | --- |"
    for kind, verbs in VERBS.items():
        for verb in verbs:
            methods = [f"`{method}`" for method, needed in METHODS[kind].items() if verb in needed]
            steps = [f"`transaction().{step}`" for step, needed in TRANSACTION.items() if verb in needed]
            yield f"| {kind} | `{verb}` | {', '.join([*methods, *(steps if kind == 'table' else [])])} |"


def _permissions(target: str) -> Iterator[str]:
    module = import_module(f"portable_{target}.permissions")
    custom = getattr(module, "CUSTOM", {})
    yield "| kind | verb | on | |"
    yield "| --- | --- | --- | --- |"
    for kind, verbs in module.ACTIONS.items():
        for verb, parts in verbs.items():
            for part, actions in parts.items():
                names = custom.get(actions, (actions,)) if isinstance(actions, str) else actions
                yield f"| {kind} | `{verb}` | {part} | {', '.join(f'`{name}`' for name in names)} |"
            if not parts:
                yield f"| {kind} | `{verb}` | | nothing |"


def _wider(_: str) -> Iterator[str]:
    yield "| | kind | verbs | wider by | because | written |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for target in ("aws", "gcp", "azure"):
        for one in import_module(f"portable_{target}.permissions").WIDER:
            verbs = ", ".join(f"`{verb}`" for verb in one.verbs)
            written = ", ".join(f"`{said}`" for said in one.written)
            yield f"| {TARGETS[target]} | {one.kind} | {verbs} | {one.what} | {one.why} | {written} |"


# --- prices.toml: by meter, what it costs and who says so


def _prices(target: str) -> Iterator[str]:
    prices = read_prices(import_module(f"portable_{target}.build").TARGET.prices)
    yield f"{prices.region}, in {prices.currency}, looked up {prices.taken}."
    yield ""
    yield "| meter | | price | free each month | sure | leaves out |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, meter in prices.meters.items():
        unit = meter.unit if meter.per == 1 else f"{meter.per:,.0f} {meter.unit}"
        free = f"{meter.free:,.0f} {meter.unit}" if meter.free else ""
        price = f"{meter.price:.10f}".rstrip("0").rstrip(".")
        cells = (f"`{name}`", f"[{meter.title}]({meter.source})", f"{price} for {unit}", free, meter.sure, meter.note)
        yield f"| {' | '.join(cells)} |"


# --- capabilities.py: by kind, what each adapter says of each feature


def _capabilities(_: str) -> Iterator[str]:
    said = {target: import_module(f"portable_{target}.capabilities").CAPABILITIES for target in HOLDERS}
    for kind, features in FEATURES.items():
        yield f"## {kind}"
        yield ""
        having = [target for target in HOLDERS if kind in said[target]]
        lacking = [TARGETS[target] for target in TARGETS if kind not in said[target]]
        if lacking:
            yield f"No driver: {', '.join(lacking)}. A build for it refuses the declaration."
            yield ""
        yield f"| feature | what it is | {' | '.join(HOLDERS[target] for target in having)} |"
        yield f"| --- | --- |{' --- |' * len(having)}"
        for feature, meaning in features.items():
            cells = [_capability(said[target][kind].get(feature)) for target in having]
            yield f"| `{feature}` | {meaning} | {' | '.join(cells)} |"
        asks = [f"`{option}=` needs `{feature}`" for option, feature in ASKS.get(kind, {}).items()]
        if asks:
            yield ""
            yield f"Refused by a build where it is not given: {', '.join(asks)}."
        yield ""


def _capability(capability: Any) -> str:
    if capability is None:
        return "not said"
    note = "; ".join(part for part in (capability.note, capability.way_out) if part).replace("|", "/")
    source = f" <sub>{capability.source}</sub>" if capability.source else ""
    return f"**{capability.how}**{': ' if note else ''}{note}{source}"


def _names(_: str) -> Iterator[str]:
    yield "| target | kind | is called | has to be | source |"
    yield "| --- | --- | --- | --- | --- |"
    for target in TARGETS:
        for kind, naming in getattr(import_module(f"portable_{target}.capabilities"), "NAMES", {}).items():
            shapes = ", ".join(f"`{shape.replace('{name}', 'NAME')}`" for shape in (naming.shape, *naming.also))
            yield f"| {TARGETS[target]} | {kind} | {shapes} | {naming.says} | {naming.source} |"


# --- limits.py: name, value, and what stands beside it


def _limits(target: str) -> Iterator[str]:
    module = import_module(f"portable_{target}.limits")
    source = Path(module.__file__ or "").read_text("utf-8")
    yield "| name | value | what, and its source |"
    yield "| --- | --- | --- |"
    comments, lines = _comments(source), source.splitlines()
    body = ast.parse(source).body
    for position, node in enumerate(body):
        name = _assigned(node)
        if name is None:
            continue
        after = body[position + 1] if position + 1 < len(body) else None
        above = comments.get(node.lineno - 1, "")
        if above and lines[node.lineno - 2].startswith("#"):
            yield f"| *{above.rstrip('.')}* | | |"
        note = comments.get(node.end_lineno or 0, "")
        if not note and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            note = " ".join(str(after.value.value).split())
        yield f"| `{name}` | {_value(getattr(module, name))} | {note.replace('|', '/').replace('``', '`')} |"


def _assigned(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign):
        target: ast.expr = node.target
    elif isinstance(node, ast.Assign):
        target = node.targets[0]
    else:
        return None
    return target.id if isinstance(target, ast.Name) and target.id.isupper() else None


def _comments(source: str) -> dict[int, str]:
    """Comments by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _value(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():,.0f} s"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_value(one)}" for key, one in value.items())
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (tuple, list)):
        return " / ".join(map(_value, value))
    if value is None:
        return "no limit"
    return f"{value:,}" if isinstance(value, int) else str(value)


# --- errors.py: each class of ours, and what it stands for

_TABLES = ("BY_CODE", "BY_STATUS", "BY_TYPE", "BY_COSMOS", "BY_CLASS", "TABLE", "_BY_SQLITE", "_BY_ERRNO")


def _errors(target: str) -> Iterator[str]:
    module = import_module(f"portable_{target}.errors")
    tables = [getattr(module, name) for name in _TABLES if hasattr(module, name)]
    found: dict[str, list[str]] = {}
    for table in tables:
        for vendor, ours in table.items():
            found.setdefault(ours.__name__, []).append(_vendor_name(module, table, vendor))
    yield "| ours | stands for |"
    yield "| --- | --- |"
    for ours in sorted(found):
        yield f"| `{ours}` | {', '.join(found[ours])} |"


def _vendor_name(module: Any, table: dict[Any, Any], vendor: Any) -> str:
    if table is getattr(module, "_BY_SQLITE", None):
        # By the names in the source: SQLite's codes of results and of actions share their numbers.
        names = re.findall(r"sqlite3\.(SQLITE_\w+):", Path(module.__file__).read_text("utf-8"))
        return next(name for name in names if getattr(module.sqlite3, name) == vendor)
    if table is getattr(module, "_BY_ERRNO", None):
        return str(module.errno.errorcode[vendor])
    return f"HTTP {vendor}" if isinstance(vendor, int) and vendor < 1000 else str(vendor)


def main() -> int:
    for page in PAGES:
        page.write_text(written(page.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
