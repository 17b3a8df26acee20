"""Where a TOML file says something: tomllib reads values, not lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["find_line"]

_HEADER = re.compile(r"\s*(\[\[?)(.+?)\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def find_line(file: Path, keys: Sequence[str]) -> int:
    """The line, from 1, of a key of a TOML file, else of the table nearest around it, else 1."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 1
    table: tuple[str, ...] = ()
    best, depth = 1, 0
    for number, line in enumerate(lines, 1):
        if header := _HEADER.match(line):
            table = _path(header.group(2))
            found = table
        elif key := _KEY.match(line):
            found = (*table, *_path(key.group(1)))
        else:
            continue
        common = min(len(found), len(keys))  # a line may say more than what is looked for
        if common > depth and tuple(keys[:common]) == found[:common]:
            best, depth = number, common
    return best


def _path(dotted: str) -> tuple[str, ...]:
    """``a."b.c"`` as its parts."""
    try:
        value: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts = []
    while isinstance(value, dict):
        [(name, value)] = value.items()
        parts.append(name)
    return tuple(parts)
