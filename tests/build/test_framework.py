"""What is copied into a bundle of this framework and of each adapter: all that it imports there, and no tool."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portable.build.bundle import framework_files
from portable.plugins import adapters

PACKAGES = [adapter.package for adapter in adapters().values()]

# Imported only when a function asks for it, and not before: a script's `app.connect`.
ON_PURPOSE = {"portable.plugins"}

# What a container's server is made of comes with its dependencies.
SERVER = ("httptools", "uvloop")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_of_ours_is_in_the_bundle(package: str) -> None:
    files = framework_files([package])
    here = {module_of(path) for path in files}
    missing = [
        f"{path}: {name}"
        for path, file in files.items()
        for name in imported(file, path)
        if name.partition(".")[0] in ("portable", package) and name not in here | ON_PURPOSE
    ]
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_of_a_bundle_imports_there(package: str, tmp_path: Path) -> None:
    """The core and the adapter alone, without what is installed here: only a vendor's SDK may be missing."""
    files = framework_files([package])
    for path, file in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(file.read_bytes())
    modules = sorted(module_of(path) for path in files)
    script = "import sys, importlib\nsys.path.insert(0, sys.argv[1])\n"
    script += f"""
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {SERVER!r}:
            raise
"""
    python = [getattr(sys, "_base_executable", sys.executable), "-I", "-S"]
    done = subprocess.run([*python, "-c", script, str(tmp_path), *modules], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_no_tool_is_deployed(package: str) -> None:
    names = {module_of(path) for path in framework_files([package])}
    parts = {(name.split(".")[0], name.split(".")[1]) for name in names if "." in name}
    assert not {second for first, second in parts if first == "portable"} & {
        *("build", "cli", "dev", "hookspecs", "manifest", "openapi", "plugins", "run", "samples", "testing"),
    }
    assert not {second for first, second in parts if first == package} & {"build", "plugin", "run", "samples"}
    assert {"portable.app", "portable.instance", f"{package}.runtime"} <= names


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(file: Path, path: str) -> Iterator[str]:
    """Modules a file imports at run time, anywhere in it."""
    waiting: list[ast.AST] = [ast.parse(file.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield str(node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module" and node.args:
            yield from (str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant))
        waiting += ast.iter_child_nodes(node)
