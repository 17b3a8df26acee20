"""Python interpreters on this machine, by version."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CURRENT", "full_version", "interpreter", "uv_command"]

CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The version this process runs on, as ``3.13``."""

_WINDOWS = sys.platform == "win32"


@functools.cache
def interpreter(version: str) -> Path | None:
    """The interpreter of ``version`` (``3.13``), or None.

    Never a virtual environment's: a built artifact has to work without what is installed there.
    """
    for candidate in _candidates(version):
        found = full_version(candidate)
        if found and (found == version or found.startswith(f"{version}.")):
            return candidate
    return None


@functools.cache
def full_version(python: Path) -> str | None:
    """What ``python`` says its version is, or None when it does not run. A pyenv shim often does not."""
    script = "import platform, sys; print(platform.python_version(), sys.prefix == sys.base_prefix)"
    try:
        done = subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return words[0] if done.returncode == 0 and len(words) == 2 and words[1] == "True" else None


def uv_command() -> str | None:
    """The ``uv`` of this environment, else the one on PATH, else None."""
    try:
        import uv
    except ImportError:
        return shutil.which("uv")
    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError:
        return shutil.which("uv")


def _candidates(version: str) -> Iterator[Path]:
    """Likely interpreters, cheapest to try first."""
    if version == CURRENT:
        yield Path(getattr(sys, "_base_executable", sys.executable))
    for name in (f"python{version}", "python3", "python"):
        if found := shutil.which(name):
            yield Path(found)
    yield from _pyenv(version)
    if (uv := uv_command()) and (found := _answer(uv, "python", "find", "--no-python-downloads", "--system", version)):
        yield Path(found)
    if _WINDOWS and (found := _answer("py", f"-{version}", "-c", "import sys; print(sys.executable)")):
        yield Path(found)


def _pyenv(version: str) -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    executable = "python.exe" if _WINDOWS else "bin/python"
    versions = [folder for folder in root.glob(f"versions/{version}*") if folder.is_dir()]
    for folder in sorted(versions, reverse=True):
        yield folder / executable


def _answer(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
