"""Adapters by reference: what an installed one lacks is said by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from portable.errors import ConfigError
from portable.hookspecs import Adapter
from portable.plugins import adapter, adapters


def test_the_adapters_of_this_distribution() -> None:
    assert list(adapters()) == ["aws", "azure", "container", "gcp", "local", "nats"]
    with pytest.raises(ConfigError, match="no target 'lambda'; there are aws, azure, container, gcp, local"):
        adapter("lambda")


@pytest.mark.parametrize("part", ["build", "run", "samples"])
def test_an_adapter_without_a_part_says_so(part: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"target 'none' cannot do this: its adapter has no module none_there\.{part}"
    ):
        getattr(Adapter("none", "none_there", "None"), part)


def test_an_import_that_fails_inside_a_part_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken_adapter"
    package.mkdir()
    package.joinpath("__init__.py").touch()
    package.joinpath("runtime.py").write_text("import a_module_that_is_not_there\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        Adapter("broken", "broken_adapter", "Broken").platform()
    sys.modules.pop("broken_adapter", None)
