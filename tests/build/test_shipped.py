"""The one file that a bundle's own modules are found in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import portable.shipped
from portable.build.bytecode import compile_files, find_compiler, ship

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGE = Path(portable.shipped.__file__).parent
RUN = """
import sys
sys.path.insert(0, {root!r})
from portable.shipped import install
print(install(), install.__globals__["__file__"].startswith({root!r}))
from portable import one
from portable.inner import two
print(one.VALUE, two.VALUE, one.__file__, two.__spec__.origin, __import__("portable.inner").inner.__path__)
try:
    one.fail()
except RuntimeError:
    import traceback
    traceback.print_exc(file=sys.stdout)
try:
    import portable.three
except ImportError as error:
    print(error)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    package = tmp_path / "portable"
    (package / "inner").mkdir(parents=True)
    shutil.copy(PACKAGE / "shipped.py", package)
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text('VALUE = 1\n\n\ndef fail():\n    raise RuntimeError("here")\n')
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "two.py").write_text("from portable.one import VALUE as ONE\nVALUE = ONE + 1\n")
    return tmp_path


def make(bundle: Path) -> bytes:
    compiler = find_compiler(VERSION)
    assert compiler is not None
    assert compile_files(compiler, bundle) == []
    ship(bundle)
    return (bundle / "portable" / portable.shipped.FILE).read_bytes()


def run(bundle: Path) -> list[str]:
    command = [sys.executable, "-B", "-I", "-c", RUN.format(root=str(bundle))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=bundle)
    return done.stdout.splitlines()


def test_modules_are_found_in_it(bundle: Path) -> None:
    make(bundle)
    left = sorted(file.relative_to(bundle).as_posix().partition(".")[0] for file in bundle.rglob("*.pyc"))
    assert left == ["portable/__pycache__/__init__", "portable/__pycache__/shipped"]
    lines = run(bundle)
    inner = bundle / "portable" / "inner"
    assert lines[:2] == [
        "True True",
        f"1 2 {bundle / 'portable' / 'one.py'} {inner / 'two.py'} ['{inner}']",
    ]
    assert "raise RuntimeError" in "\n".join(lines)  # a traceback has its lines
    assert lines[-1] == "No module named 'portable.three'"


def test_another_interpreters_file_is_left_alone(bundle: Path) -> None:
    data = make(bundle)
    (bundle / "portable" / portable.shipped.FILE).write_bytes(b"\0\0\r\n" + data[4:])
    assert run(bundle)[:1] == ["False True"]
    assert run(bundle)[1].startswith("1 2 ")


def test_without_it_modules_are_found_as_ever(bundle: Path) -> None:
    assert run(bundle)[:1] == ["False True"]
    assert run(bundle)[1].startswith("1 2 ")


def test_equal_sources_give_equal_bytes(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(bundle, other, dirs_exist_ok=True)
    assert make(bundle) == make(other)
