"""What Google's Terraform provider takes, by a table of its arguments that was recorded from its source.

``provider_arguments.yaml``: for each resource, and each block of it that is used here, every argument with its type,
and ``!`` where it must be given; of a block, ``_`` says ``!`` likewise, and ``1`` where there is one at most. A block
without a table of its own is one that nothing here uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

TABLE: Mapping[str, Mapping[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
_OWN = ("depends_on", "for_each", "lifecycle")
_EXPRESSION = re.compile(r"\$\{(?!\{).+\}", re.DOTALL)


def problems(kind: str, body: Mapping[str, Any]) -> Iterator[str]:
    """What the provider would not take of a resource's body."""
    if kind not in TABLE:
        yield f"{kind}: not in the table"
        return
    yield from _block(kind, TABLE[kind], {name: value for name, value in body.items() if name not in _OWN})


def _block(where: str, known: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        if name == "_" or name not in known:
            yield f"{where}: no argument {name!r}"
        else:
            yield from _value(f"{where}.{name}", known[name], value)
    for name, kind in known.items():
        needed = kind.endswith("!") if isinstance(kind, str) else "!" in kind["_"]
        if name != "_" and needed and name not in body:
            yield f"{where}: {name!r} is missing"


def _value(where: str, kind: Any, value: Any) -> Iterator[str]:
    if isinstance(kind, Mapping):
        blocks = value if isinstance(value, list) else [value]
        if "1" in kind["_"] and len(blocks) > 1:
            yield f"{where}: {len(blocks)} blocks, and one is the most"
        for one in blocks:
            if isinstance(one, Mapping):
                yield from _block(where, kind, one)
            else:
                yield f"{where}: {one!r} is no block"
        return
    plain = kind.rstrip("!")
    if plain.startswith("block"):
        yield f"{where}: a block that the table does not have: record it"
    elif plain.startswith(("list(", "set(")):
        if not isinstance(value, list) and not _is(value, "expression"):
            yield f"{where}: {value!r} is not {plain}"
        for one in value if isinstance(value, list) else ():
            yield from _value(where, plain[plain.index("(") + 1 : -1], one)
    elif plain == "map(string)":
        if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
            yield f"{where}: {value!r} is not {plain}"
    elif not _is(value, plain):
        yield f"{where}: {value!r} is not {plain}"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, str):
        return kind == "string" or _EXPRESSION.fullmatch(value) is not None
    return type(value) in {"bool": (bool,), "number": (int, float)}.get(kind, ())
