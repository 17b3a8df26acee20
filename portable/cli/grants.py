"""What each function may do, as a table of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from portable.manifest import FunctionRecord, Manifest

__all__ = ["built_grants", "grant_lines"]


def grant_lines(functions: Sequence[FunctionRecord]) -> list[str]:
    """Function, resource, verbs; nothing where no function may do anything."""
    rows = [(one.name, key, " ".join(verbs)) for one in functions for key, verbs in one.grants.items()]
    if not rows:
        return []
    names = max(len("function"), *(len(name) for name, _, _ in rows))
    keys = max(len("resource"), *(len(key) for _, key, _ in rows))
    lines = [f"{'function':<{names}}  {'resource':<{keys}}  may"]
    before = ""
    for name, key, verbs in rows:
        lines.append(f"{'' if name == before else name:<{names}}  {key:<{keys}}  {verbs}")
        before = name
    return lines


def built_grants(folder: Path) -> list[str]:
    """The table of an artifact."""
    document = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Document)
    return grant_lines(document.app.functions)


class _Document(msgspec.Struct):
    app: Manifest
