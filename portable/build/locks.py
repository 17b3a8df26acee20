"""Exact versions of a project's dependencies, from the lock file it keeps.

The first that is there, unless ``[tool.portable] lock`` names one: ``uv.lock``, ``pylock.toml`` (PEP 751), and
``requirements.txt`` where its lines have ``--hash``. A lock says which version of a distribution is taken if it is
needed, and which files of it; what is needed at all the requirements say, for the target's Python and machine.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.project import Project
from portable.build.requirements import OWN, Requirement, canonical, read_lines
from portable.build.vendor import Pin
from portable.errors import BuildError, ConfigError

__all__ = ["Locked", "check_locked", "find_lock"]

NONE = "none"
"""``[tool.portable] lock``: no file locks, and the versions chosen first are kept."""


class Locked(msgspec.Struct, frozen=True):
    """What a lock file says.

    Attributes:
        file: its name in the project. sha256: of its content. renew: the command that brings it up to date.
        constraints: lines that pin every distribution. hashes: of each file, by canonical name and version.
    """

    file: str
    sha256: str
    renew: str
    constraints: tuple[str, ...]
    hashes: Mapping[tuple[str, str], tuple[str, ...]]

    @property
    def names(self) -> frozenset[str]:
        """Canonical names of all it holds."""
        return frozenset(name for name, _ in self.hashes)


_Entry = tuple[str, str, str, tuple[str, ...]]  # name, version, marker, hashes


def find_lock(project: Project) -> Locked | None:
    """The lock of a project, None where it has none. Raises ConfigError naming the file when it cannot be used."""
    asked = project.lock
    if asked == NONE:
        return None
    if asked is not None:
        reader = _reader(Path(asked).name)
        if reader is None or not (project.root / asked).is_file():
            why = (
                "there is no such file"
                if reader
                else "locks are uv.lock, pylock.toml, pylock.NAME.toml, requirements.txt"
            )
            raise ConfigError(f'{project.where("lock")}: lock = "{asked}": {why}; "{NONE}" does without')
        found = _read(project, asked)
        if found is None:
            raise ConfigError(f'{asked} locks nothing: none of its lines has a --hash; lock = "{NONE}" does without')
        return found
    for name in ("uv.lock", "pylock.toml", "requirements.txt"):
        if (project.root / name).is_file() and (found := _read(project, name)):
            return found
    return None


def check_locked(locked: Locked, pins: Sequence[Pin], outside: Iterable[str]) -> list[Pin]:
    """The pins, each with the hashes the lock has for it; uv's has none of what it found in a folder.

    ``outside``: canonical names of what the target asks for beside the project; the lock need not hold these, nor what
    only they require. Raises BuildError for a lock that lacks something else: it is older than the requirements.
    """
    needed = _needed(pins, frozenset(outside))
    checked = []
    for pin in pins:
        hashes = locked.hashes.get((pin.name, pin.version))
        if hashes is None and pin.name in needed and "==" in pin.text:
            users = [one or "the project" for one in pin.needed_by]
            raise BuildError(
                f"{locked.file} is out of date: it does not hold {pin.text}, which {' and '.join(users)} asks for; "
                f"{locked.renew}"
            )
        checked.append(msgspec.structs.replace(pin, hashes=hashes) if hashes else pin)
    return checked


def _needed(pins: Sequence[Pin], outside: frozenset[str]) -> set[str]:
    """What the project's own requirements lead to."""
    needed = {pin.name for pin in pins if "" in pin.needed_by and pin.name not in outside}
    grown = True
    while grown:
        more = {pin.name for pin in pins if needed & set(pin.needed_by)} - needed
        needed |= more
        grown = bool(more)
    return needed


def _reader(name: str) -> tuple[Callable[[Mapping[str, Any]], Iterator[_Entry]] | None, str] | None:
    """How a file of this name is read (None: line by line), and the command that makes it anew."""
    if name == "uv.lock":
        return _uv_entries, "`uv lock` brings it up to date"
    if name == "pylock.toml" or (name.startswith("pylock.") and name.endswith(".toml")):
        return _pylock_entries, f"`uv export --format pylock.toml -o {name}` (or `pip lock`) makes it anew"
    if name.startswith("requirements") and name.endswith(".txt"):
        return None, f"`uv pip compile --generate-hashes … -o {name}` makes it anew"
    return None


def _read(project: Project, name: str) -> Locked | None:
    file = project.root / name
    found = _reader(file.name)
    assert found is not None
    reader, renew = found
    try:
        content = file.read_bytes()
        if reader is None:
            entries = list(_line_entries(read_lines(file, project.root), renew))
            if not entries:
                return None
        else:
            entries = list(reader(tomllib.loads(content.decode())))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{name} cannot be read: {error}; {renew}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{name} is malformed: {type(error).__name__}: {error}; {renew}") from error
    kept = [entry for entry in entries if entry[0] != OWN]
    lines = [f"{one}=={version}{f' ; {marker}' if marker else ''}" for one, version, marker, _ in kept if version]
    hashes: dict[tuple[str, str], tuple[str, ...]] = {}
    for one, version, _, values in kept:
        hashes[one, version] = tuple(sorted({*hashes.get((one, version), ()), *values}))
    return Locked(name, hashlib.sha256(content).hexdigest(), renew, tuple(sorted(set(lines))), hashes)


def _uv_entries(document: Mapping[str, Any]) -> Iterator[_Entry]:
    """``[[package]]`` of ``uv.lock``: markers say which of two versions of a distribution is whose."""
    if document.get("version") != 1:
        raise ValueError(f"version {document.get('version')!r} of its format; 1 is known")
    for package in document.get("package", ()):
        version = package.get("version", "") if "registry" in package["source"] else ""
        markers = [f"({one})" for one in package.get("resolution-markers", ())]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        yield canonical(package["name"]), version, " or ".join(markers), _hashes(one.get("hash", "") for one in files)


def _pylock_entries(document: Mapping[str, Any]) -> Iterator[_Entry]:
    """``[[packages]]`` of a file of PEP 751."""
    said = document["lock-version"]
    if not str(said).startswith("1."):
        raise ValueError(f"lock-version {said!r}; 1.0 is known")
    for package in document["packages"]:
        marker = package.get("marker", "")
        if "dependency_groups" in marker or "extras" in marker:
            marker = ""  # who needs it is said by the requirements
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        values = (f"{kind}:{value}" for one in files for kind, value in one["hashes"].items())
        yield canonical(package["name"]), package.get("version", "") if files else "", marker, _hashes(values)


def _line_entries(lines: Iterable[Requirement], renew: str) -> Iterator[_Entry]:
    """Lines of a requirements file with hashes; nothing where none has any."""
    found = list(lines)
    if not any(line.hashes for line in found):
        return
    for line in found:
        text, _, marker = line.text.partition(";")
        _, _, version = text.partition("==")
        if line.name == OWN:
            continue
        if not line.hashes and line.is_address:
            continue
        if not line.hashes or (not version and not line.is_address):
            what = "is not pinned by ==" if line.hashes else "has no --hash, while others have"
            raise ConfigError(f"{line.where}: {text.strip()} {what}; {renew}")
        yield line.name, version.strip().partition(" ")[0], marker.strip(), _hashes(line.hashes)


def _hashes(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(value for value in values if value.partition(":")[0] in ("sha256", "sha384", "sha512"))
