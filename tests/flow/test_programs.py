"""What a handler may do with each resource, through code of every shape, under every Python that is here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portable.build.pythons import interpreter

sys.path.insert(0, str(Path(__file__).parent))
import programs

WRITTEN = programs.programs()
sys.path.pop(0)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", WRITTEN)
def test_program(name: str, tmp_path: Path) -> None:
    source, expected, unseen = WRITTEN[name]
    assert programs.grants(tmp_path, source) == (expected, unseen)


@pytest.mark.parametrize("name", programs.programs())
def test_what_functions_share_changes_nothing(name: str, tmp_path: Path) -> None:
    alone, together = programs.together(tmp_path, programs.programs()[name][0])
    assert together == alone


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_under_another_python(version: str) -> None:
    python = interpreter(version)
    if python is None or version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        pytest.skip(f"no other Python {version} here")
    done = subprocess.run(
        [str(python), str(ROOT / "tests" / "flow" / "programs.py")],
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
