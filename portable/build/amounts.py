"""Amounts as settings and options write them: ``"5 MB"``, ``"300 ms"``, ``"1M"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["BYTES", "COUNTS", "SECONDS", "read_amount"]

BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SECONDS = {"ms": 0.001, "s": 1.0}
COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def read_amount(value: Any, units: Mapping[str, float]) -> float | None:
    """The amount a text says in one of ``units``; None for anything else."""
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if match is None or match[2] not in units else float(match[1]) * units[match[2]]
