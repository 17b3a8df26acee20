"""Dependencies for the artifact's Python and machine, never this one's: wheels only, by uv where it is, else by pip."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from portable.build.pythons import uv_command
from portable.build.requirements import canonical
from portable.errors import BuildError

__all__ = ["ARCHITECTURES", "Place", "install", "resolve"]

ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
GLIBC = 28
"""Wheels may ask for glibc 2.28, unless a target says less. With ``manylinux2014`` an installer silently takes old
releases of what has newer ones for newer systems alone."""

_OLDER = ("manylinux2014", "manylinux2010", "manylinux1")
# What an installer writes about itself and this machine: it would differ from one build to the next.
_INSTALLERS = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")


class Place(msgspec.Struct, frozen=True):
    """Where the dependencies will run: a Python version, and an architecture of Linux; None means this machine.

    ``glibc``: 28 for 2.28, the newest that wheels may ask for.
    """

    python: str
    arch: str | None
    glibc: int = GLIBC

    def __str__(self) -> str:
        return f"Python {self.python} on {f'Linux {self.arch}' if self.arch else 'this machine'}"

    @property
    def platform(self) -> str:
        """What wheels are chosen for: ``manylinux_2_28``."""
        if self.arch is None:
            return "this machine"
        return f"manylinux_2_{self.glibc}"


def resolve(requirements: Sequence[str], place: Place, project: Path) -> list[str]:
    """The exact versions of ``requirements`` and of all these require, as pins, sorted.

    ``project`` is the folder relative paths start from. Raises BuildError holding the resolver's own words, which name
    the requirement that has no release or no wheel for this place.
    """
    if uv := uv_command():
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable]
        command += [*_uv_place(place), "--only-binary", ":all:", "-"]
        said = _run(command, requirements, place, project)
        return sorted(line.strip() for line in said.splitlines() if line.strip())
    with _listed(requirements) as (file, nowhere):
        command = [*_pip_install(place, nowhere, file), "--dry-run", "--ignore-installed", "--report", "-"]
        report = json.loads(_run(command, (), place, project))
    return sorted(_pin_of(found) for found in report["install"])


def install(pins: Sequence[str], place: Place, into: Path, project: Path) -> None:
    """Install exactly ``pins``. Raises BuildError."""
    into.mkdir(parents=True, exist_ok=True)
    if uv := uv_command():
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, *_uv_place(place)]
        command += ["--link-mode", "copy", "--no-compile-bytecode", "--only-binary", ":all:"]
        _run([*command, "--no-deps", "--target", str(into), "-r", "-"], pins, place, project)
    else:
        with _listed(pins) as (file, _):
            _run([*_pip_install(place, into, file), "--no-deps"], (), place, project)
    _clean(into)


def _uv_place(place: Place) -> list[str]:
    found = ["--python-version", place.python]
    if place.arch:
        # uv knows these two of what a cloud may have.
        name = "manylinux_2_28" if place.glibc >= 28 else "manylinux2014"
        found += ["--python-platform", f"{ARCHITECTURES[place.arch]}-{name}"]
    return found


def _pip_install(place: Place, into: Path, listed: Path) -> list[str]:
    if find_spec("pip") is None:
        raise BuildError("neither uv nor pip is here to get the dependencies: `pip install uv`")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--python-version", place.python, "--implementation", "cp", "--only-binary", ":all:"]
    if place.arch:
        machine = ARCHITECTURES[place.arch]
        for tag in (*(f"manylinux_2_{minor}" for minor in range(place.glibc, 4, -1)), *_OLDER):
            command += ["--platform", f"{tag}_{machine}"]
    return [*command, "--target", str(into), "-r", str(listed)]


@contextmanager
def _listed(requirements: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """A file of requirements, for pip, which reads none from its input; and an empty folder."""
    with tempfile.TemporaryDirectory(prefix="portable-", ignore_cleanup_errors=True) as scratch:
        file, empty = Path(scratch) / "requirements.txt", Path(scratch) / "empty"
        file.write_text("\n".join(requirements) + "\n", "utf-8")
        empty.mkdir()
        yield file, empty


def _run(command: Sequence[str], requirements: Sequence[str], place: Place, project: Path) -> str:
    listed = "\n".join(requirements) + "\n"
    done = subprocess.run(
        command, input=listed, cwd=project, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise BuildError(_explain(done.stderr or done.stdout, place))
    return done.stdout


def _pin_of(found: dict[str, Any]) -> str:
    metadata, name = found["metadata"], canonical(found["metadata"]["name"])
    return f"{name} @ {found['download_info']['url']}" if found["is_direct"] else f"{name}=={metadata['version']}"


def _explain(said: str, place: Place) -> str:
    """An installer's words without its colours, progress and advice about itself."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", said)
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith(("Using ", "warning"))]
    return (
        f"the dependencies cannot be had for {place}:\n"
        + "\n".join(f"  {line}" for line in lines)
        + "\nA dependency needs a wheel for that machine: choose a version that has one, another --python or --arch, "
        "or build the wheel and name its folder in UV_FIND_LINKS."
    )


def _clean(folder: Path) -> None:
    """Take away what only this machine's installation is about. What ``importlib.metadata`` reads stays."""
    for scripts in ("bin", "Scripts"):
        shutil.rmtree(folder / scripts, ignore_errors=True)
    (folder / ".lock").unlink(missing_ok=True)
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    for info in folder.glob("*.dist-info"):
        for name in _INSTALLERS:
            (info / name).unlink(missing_ok=True)
        record = info / "RECORD"
        if record.is_file():
            rows = [row for row in csv.reader(io.StringIO(record.read_text("utf-8"))) if (folder / row[0]).is_file()]
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(sorted(rows))
            record.write_text(out.getvalue(), "utf-8")
