"""The wide app, and its document."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.openapi import make_document


@pytest.fixture(scope="session")
def wide() -> Iterator[Any]:
    """The module ``wide.py``."""
    spec = importlib.util.spec_from_file_location("openapi_wide", Path(__file__).with_name("wide.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="session")
def document(wide: Any) -> dict[str, Any]:
    """Its document."""
    return make_document(wide.app, {"version": "2.1"})
