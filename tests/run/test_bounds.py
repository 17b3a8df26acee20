"""Bodies beyond what a cloud hands to a function are refused before the function, as its gateway does."""

from __future__ import annotations

from typing import Any

import pytest

from portable.events import Request
from portable.manifest import FunctionRecord
from portable.plugins import adapter

MIB = 1024 * 1024
HTTP = FunctionRecord("http", "http", [], None, None, [], [], False)


def bound(target: str, body: bytes, source: str) -> Any:
    samples = adapter(target).samples
    kind = "application/octet-stream" if body[:1] == b"\xff" else "text/plain"
    request = Request("POST", "/upload", headers={"content-type": kind}, body=body)
    return samples.too_large(samples.native(HTTP, request, source=source), source=source)


@pytest.mark.parametrize(
    ("target", "source", "fits", "too_much", "most"),
    [
        ("aws", "http-api", b"x" * (6 * MIB - 65_536), b"x" * (6 * MIB), 6 * MIB),
        ("aws", "http-api", b"\xff" * (4 * MIB), b"\xff" * (5 * MIB), 6 * MIB),  # in base64 it grows by a third
        ("aws", "rest-api", b"x" * (6 * MIB - 65_536), b"x" * (6 * MIB), 6 * MIB),
        ("aws", "alb", b"x" * MIB, b"x" * (MIB + 1), MIB),
        ("gcp", "http", b"x" * (32 * MIB), b"x" * (32 * MIB + 1), 32 * MIB),
        ("gcp", "http", b"\xff" * (32 * MIB), b"\xff" * (32 * MIB + 1), 32 * MIB),
        ("azure", "http", b"x" * (100 * MIB), b"x" * (100 * MIB + 1), 100 * MIB),
    ],
)
def test_what_a_target_hands_to_a_function(target: str, source: str, fits: bytes, too_much: bytes, most: int) -> None:
    assert bound(target, b"", source) is None
    assert bound(target, fits, source) is None
    assert bound(target, too_much, source) == most
