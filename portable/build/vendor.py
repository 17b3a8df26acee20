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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from portable.build.pythons import uv_command
from portable.build.requirements import canonical, distribution
from portable.errors import BuildError

__all__ = ["ARCHITECTURES", "Pin", "Place", "install", "resolve"]

ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
GLIBC = 28
"""Wheels may ask for glibc 2.28, unless a target says less. With ``manylinux2014`` an installer silently takes old
releases of what has newer ones for newer systems alone."""

_OLDER = ("manylinux2014", "manylinux2010", "manylinux1")
# What an installer writes about itself and this machine: it would differ from one build to the next.
_INSTALLERS = ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
_HASH = re.compile(r"--hash[= ](sha\d+:[0-9a-f]+)")


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


class Pin(msgspec.Struct, frozen=True):
    """One distribution at one version: ``requests==2.34.2``, or ``name @ URL``.

    ``hashes``: of the files it may be installed from (``sha256:…``); none where it is a file or folder of this machine.
    ``needed_by``: canonical names of the distributions that require it, ``""`` among them where the project does.
    """

    text: str
    hashes: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its canonical name."""
        return distribution(self.text)

    @property
    def version(self) -> str:
        """Its version, "" where an address says it."""
        return self.text.partition("==")[2]

    @property
    def is_local(self) -> bool:
        """Whether it comes from this machine's disk, where it may change from one build to the next."""
        return "file:" in self.text or ("==" not in self.text and "://" not in self.text)


def resolve(
    requirements: Sequence[str], place: Place, project: Path, constraints: Sequence[str] = (), hint: str = ""
) -> list[Pin]:
    """The exact versions of ``requirements`` and of all these require, sorted by name.

    ``constraints``: versions that are taken if the distribution is needed at all. ``project`` is the folder relative
    paths start from. ``hint``: what to say of where the constraints come from. Raises BuildError holding the resolver's
    own words, which name the requirement that has no release or no wheel for this place.
    """
    with _listed(requirements, constraints) as (file, limits, nowhere):
        if uv := uv_command():
            command = [uv, "pip", "compile", "--quiet", "--no-header", "--generate-hashes", "--python", sys.executable]
            command += [*_uv_place(place), "--only-binary", ":all:", "-c", str(limits), "-"]
            said = _run(command, requirements, place, project, hint)
            return sorted(_read_compiled(said, frozenset(map(distribution, requirements))), key=lambda pin: pin.text)
        command = [*_pip_install(place, nowhere, file), "-c", str(limits), "--dry-run", "--ignore-installed"]
        report = json.loads(_run([*command, "--report", "-"], (), place, project, hint))
    return sorted(_read_report(report["install"]), key=lambda pin: pin.text)


def install(pins: Sequence[Pin], place: Place, into: Path, project: Path) -> None:
    """Install exactly ``pins``, each held against its hashes. Raises BuildError."""
    into.mkdir(parents=True, exist_ok=True)
    hashed = all(pin.hashes for pin in pins)
    lines = [" ".join((pin.text, *(f"--hash={one}" for one in pin.hashes if hashed))) for pin in pins]
    strictly = ["--no-deps", *(["--require-hashes"] if hashed else [])]
    if uv := uv_command():
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, *_uv_place(place)]
        command += ["--link-mode", "copy", "--no-compile-bytecode", "--only-binary", ":all:"]
        _run([*command, *strictly, "--target", str(into), "-r", "-"], lines, place, project)
    else:
        with _listed(lines) as (file, _, _):
            _run([*_pip_install(place, into, file), *strictly], (), place, project)
    _clean(into)


def _read_compiled(said: str, asked: frozenset[str]) -> Iterator[Pin]:
    """What ``uv pip compile`` printed: a pin, its hashes, and ``# via`` what needs it besides whoever ``asked``."""
    text, hashes, needed_by = "", [], []
    for line in [*said.splitlines(), "end"]:
        if line[:1].isspace():
            hashes += _HASH.findall(line)
            who = line.strip().removeprefix("#").strip().removeprefix("via").strip()
            if line.strip().startswith("#") and who and not who.startswith("-"):
                needed_by.append(canonical(who))
        elif line.strip():
            if text:
                direct = [""] if not needed_by or distribution(text) in asked else []
                yield _pin(text, hashes, [*direct, *needed_by])
            text, hashes, needed_by = line.removesuffix("\\").strip(), [], []


def _read_report(installed: Sequence[dict[str, Any]]) -> Iterator[Pin]:
    """What ``pip install --report`` says."""
    needs = {canonical(one["metadata"]["name"]): one["metadata"].get("requires_dist", ()) for one in installed}
    for one in installed:
        name = canonical(one["metadata"]["name"])
        archive = one["download_info"].get("archive_info", {})
        hashes = [f"{kind}:{value}" for kind, value in archive.get("hashes", {}).items() if kind.startswith("sha")]
        users = [user for user, required in needs.items() if name in map(distribution, required)]
        yield _pin(_pin_of(one), hashes, [*([""] if one.get("requested") else []), *users])


def _pin(text: str, hashes: Iterable[str], needed_by: Iterable[str]) -> Pin:
    found = Pin(text, tuple(hashes), tuple(sorted(set(needed_by))))
    return msgspec.structs.replace(found, hashes=()) if found.is_local else found


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
def _listed(requirements: Sequence[str], constraints: Sequence[str] = ()) -> Iterator[tuple[Path, Path, Path]]:
    """A file of requirements, for pip, which reads none from its input; one of constraints; and an empty folder."""
    with tempfile.TemporaryDirectory(prefix="portable-", ignore_cleanup_errors=True) as scratch:
        file, limits, empty = Path(scratch) / "requirements.txt", Path(scratch) / "constraints.txt", Path(scratch) / "e"
        file.write_text("\n".join(requirements) + "\n", "utf-8")
        limits.write_text("\n".join(constraints) + "\n", "utf-8")
        empty.mkdir()
        yield file, limits, empty


def _run(command: Sequence[str], requirements: Sequence[str], place: Place, project: Path, hint: str = "") -> str:
    listed = "\n".join(requirements) + "\n"
    done = subprocess.run(
        command, input=listed, cwd=project, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise BuildError(_explain(done.stderr or done.stdout, place) + hint)
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
