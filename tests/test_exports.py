"""What ``from portable import …`` gives: lazily at run time, and by the same names to type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import portable
from portable import errors

SOURCE = Path(portable.__file__).read_text()


@pytest.mark.parametrize("name", portable.__all__)
def test_an_export_comes_from_its_home_and_is_documented(name: str) -> None:
    home = importlib.import_module(portable._WHERE[name])
    found = getattr(portable, name)
    assert found is getattr(home, name)
    assert f"{found.__module__}.".startswith(f"{home.__name__}.")
    assert name in home.__all__
    assert inspect.getdoc(found), f"{name} has no docstring"
    if isinstance(found, type):
        assert vars(found).get("__doc__"), f"{name} has its base's docstring"


@pytest.mark.parametrize("name", [name for name in portable.__all__ if name not in errors.__all__])
def test_what_an_export_offers_is_documented(name: str) -> None:
    found = getattr(portable, name)
    members = [(member, value) for member, value in inspect.getmembers(found) if not member.startswith("_")]
    for member, value in members:
        if inspect.isfunction(value) or isinstance(value, property):
            assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    (block,) = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = []
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        (alias,) = node.names
        assert alias.asname == alias.name, "only `import X as X` is an export to a type checker"
        seen.append((node.module, alias.name))
    assert seen == [(module, name) for module, names in portable._HOME.items() for name in names]


def test_every_error_is_an_export_and_in_the_tree_its_module_draws() -> None:
    for name in errors.__all__:
        assert name in portable.__all__
        assert name in (errors.__doc__ or "")
        assert issubclass(getattr(errors, name), errors.PortableError)


def test_names_are_sorted_and_listed() -> None:
    assert portable.__all__ == sorted(portable.__all__)
    assert dir(portable) == sorted([*portable.__all__, "__version__"])


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="module 'portable' has no attribute 'Nothing'"):
        portable.Nothing  # noqa: B018
    assert not hasattr(portable, "Nothing")


def test_importing_portable_imports_no_part_of_it() -> None:
    script = """
import sys, portable
assert [name for name in sys.modules if name.startswith("portable.")] == []
from portable import ConfigError
assert [name for name in sys.modules if name.startswith("portable.")] == ["portable.errors"]
assert "ConfigError" in vars(portable)  # looked up once
from portable import *
assert App and Bucket and Query.place == "query"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_marker_and_not_the_requests_query_is_exported() -> None:
    from portable.events import Query

    assert portable.Query is not Query
    assert portable.Query().alias is None
