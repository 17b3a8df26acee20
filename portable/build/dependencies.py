"""The dependencies of a bundle as a layer: locked, installed, verified, pruned and compiled."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import msgspec

from portable.build import layers, vendor
from portable.build.bytecode import Compiler, compile_files
from portable.build.compiled import check_compiled
from portable.build.layers import Layer
from portable.build.locks import Locked, check_locked, find_lock
from portable.build.project import Project
from portable.build.pruning import Dropped, Owners, Rules, drop_named, prune, read_rules, test_imports
from portable.build.requirements import OWN, canonical, distribution
from portable.build.target import BuildTarget, Finding
from portable.build.vendor import Pin, Place
from portable.build.withheld import is_plain
from portable.errors import BuildError, ConfigError
from portable.manifest import Manifest

__all__ = ["Dependencies", "Wishes", "check_left_out", "gather", "wanted_requirements"]

_USES_MSGSPEC = re.compile(rb"^\s*(?:import|from)\s+msgspec\b", re.MULTILINE)
_READS_FORMS = re.compile(rb"\.a?form\(")
_VERIFIES_TOKENS = re.compile(rb"\bJWTBearer\b")


class Wishes(msgspec.Struct, frozen=True):
    """What is wanted of a project's dependencies.

    Attributes:
        asked: all requirements. outside: canonical names of those that the target adds to the project's own.
        left_out: canonical names that the cloud brings. rules: what is pruned. locked: the project's lock.
        tests: test modules the project imports.
    """

    asked: tuple[str, ...]
    outside: tuple[str, ...]
    left_out: tuple[str, ...]
    rules: Rules
    locked: Locked | None
    tests: tuple[str, ...]


class Dependencies(msgspec.Struct, frozen=True):
    """The layer, exact versions of what is in it and of what was left out, what was pruned, and whose lock holds."""

    layer: Layer
    pins: Sequence[Pin]
    left_out: Sequence[Pin]
    dropped: Sequence[Dropped]
    locked: Locked | None

    @property
    def lock(self) -> list[str]:
        """Exact versions as text."""
        return [pin.text for pin in self.pins]


class _Memory(msgspec.Struct):
    """What a set of requirements was resolved to, kept in the project so that the next build takes the same."""

    asked: list[str]
    place: str
    lock: str
    pins: list[Pin]


def wanted_requirements(
    project: Project,
    listed: Sequence[str],
    target: Sequence[str],
    manifest: Manifest,
    sources: Mapping[str, Path],
    name: str,
) -> Wishes:
    """The project's requirements and the target's; msgspec too where a model or a module of the app needs it, and what
    reads multipart forms where a parameter or a module does.

    An app may import msgspec without naming it, since it comes with this framework, which a build removes. ``name`` is
    the target's. Raises ConfigError for what the settings say wrongly and a lock that cannot be read.
    """
    more = [*target]
    python = {path: file.read_bytes() for path, file in sources.items() if path.endswith(".py")}
    if manifest.models or any(_USES_MSGSPEC.search(text) for text in python.values()):
        more += _own_requirement("msgspec")
    if manifest.forms or any(_READS_FORMS.search(text) for text in python.values()):
        more += _own_requirement("python-multipart")
    if any(_VERIFIES_TOKENS.search(text) for text in python.values()):
        more += _own_requirement("pyjwt")
    own = {distribution(one) for one in listed}
    outside = {distribution(one) for one in more} - own
    return Wishes(
        tuple(sorted({*listed, *more})),
        tuple(sorted(outside)),
        _left_out_names(project, name),
        read_rules(project),
        find_lock(project),
        tuple(sorted(test_imports(python.items()))),
    )


def check_left_out(project: Project, target: BuildTarget) -> Iterator[Finding]:
    """What leaving a distribution to the cloud risks. ``target.holds`` names what it has at hand."""
    holds = getattr(target, "holds", ())
    for name in _left_out_names(project, target.name):
        where = project.where(target.name, "leave_out")
        if name in holds:
            message = f"{name} is left to {target.name}, whose version changes without a deployment"
            yield Finding("warning", where, message, "take it into the bundle where the version you tested matters")
        else:
            message = f"{name} is left out, and {target.name} is not known to have it: importing it would fail there"
            yield Finding("warning", where, message, "have a layer or the image bring it, or take it into the bundle")


def gather(
    wishes: Wishes,
    place: Place,
    folder: str,
    compiler: Compiler | None,
    project: Path,
    memory: Path,
    data_used: Callable[[list[str]], Mapping[str, Sequence[str]]] = lambda pins: {},
) -> Dependencies:
    """The dependencies, installed from what ``memory`` keeps or the lock says, else chosen anew.

    ``folder``: where in the bundle they go. ``memory``: the file the versions are kept in. ``data_used``: see
    ``BuildTarget``, given the names of all that is in the bundle. Raises BuildError and ConfigError.
    """
    where = f"{place}, {place.platform}"
    every = _pins(wishes, place, where, project, memory)
    left_out = _without(every, wishes.left_out)
    pins = [pin for pin in every if pin not in left_out]
    used = data_used([pin.name for pin in pins])
    # A folder or a file may differ from what was installed from it last time.
    once = [str(time.time_ns())] if any(pin.is_local for pin in pins) else []
    rules = [repr(wishes.rules), *wishes.tests]
    identity = [repr(pin) for pin in pins]
    key = _digest(
        [*identity, where, folder, compiler.version if compiler else "", *once, *rules, repr(sorted(used.items()))]
    )

    def make(files: Path) -> list[list[str]]:
        dropped = _install(pins, place, files / folder, project, wishes, used) if pins else []
        if compiler:
            compile_files(compiler, files)
        return [[one.rule, one.distribution, str(one.files), str(one.size)] for one in dropped]

    layer = layers.keep_layer(layers.layer_folder(key), key, make)
    found = [Dropped(rule, name, int(count), int(size)) for rule, name, count, size in layer.notes]
    return Dependencies(layer, pins, left_out, found, wishes.locked)


def _install(
    pins: Sequence[Pin], place: Place, into: Path, project: Path, wishes: Wishes, used: Mapping[str, Sequence[str]]
) -> list[Dropped]:
    vendor.install(pins, place, into, project)
    owner = Owners(into)
    dropped = drop_named(into, wishes.rules, owner)
    files = [path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()]
    for file in files:
        if not is_plain(file) or (into / file).is_symlink():
            raise BuildError(
                f"{owner(file) or 'a dependency'} brings {file!r}, which no bundle may hold; choose another"
            )
    check_compiled(into, files, place, lambda file: f"distribution {owner(file) or '(no RECORD names it)'}")
    dropped += _leave_out_data(into, used, owner)
    return [*dropped, *prune(into, wishes.rules, owner, wishes.tests)]


def _pins(wishes: Wishes, place: Place, where: str, project: Path, memory: Path) -> list[Pin]:
    if not wishes.asked:
        return []
    locked = wishes.locked
    lock = f"{locked.file} {locked.sha256}" if locked else ""
    known = _recall(memory)
    if known is None or (known.asked, known.place, known.lock) != (list(wishes.asked), where, lock):
        if locked:
            hint = f"\nThe versions are those of {locked.file}. Where the requirements ask for others, {locked.renew}."
            pins = vendor.resolve(wishes.asked, place, project, locked.constraints, hint)
            pins = check_locked(locked, pins, wishes.outside)
        else:
            pins = vendor.resolve(wishes.asked, place, project)
        known = _Memory(list(wishes.asked), where, lock, pins)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.format(msgspec.json.encode(known)))
    return known.pins


def _without(pins: Sequence[Pin], names: Sequence[str]) -> list[Pin]:
    """The pins of these names, and those that nothing but them requires."""
    gone = {pin.name for pin in pins} & set(names)
    grown = True
    while grown:
        more = {pin.name for pin in pins if pin.needed_by and gone.issuperset(pin.needed_by)} - gone
        gone |= more
        grown = bool(more)
    return [pin for pin in pins if pin.name in gone]


def _left_out_names(project: Project, target: str) -> tuple[str, ...]:
    asked: Any = project.settings(target).get("leave_out", [])
    if not isinstance(asked, list) or not all(isinstance(one, str) for one in asked):
        raise ConfigError(f"{project.where(target, 'leave_out')}: leave_out is a list of distributions, got {asked!r}")
    if OWN in map(canonical, asked):
        raise ConfigError(
            f"{project.where(target, 'leave_out')}: {OWN} is what calls the handlers; it cannot be left out"
        )
    return tuple(sorted(map(canonical, asked)))


def _own_requirement(name: str) -> list[str]:
    """What this framework itself, or one of its extras, asks of a distribution."""
    return [one.partition(";")[0].strip() for one in requires(OWN) or () if distribution(one) == name]


def _leave_out_data(installed: Path, used: Mapping[str, Sequence[str]], owner: Callable[[str], str]) -> list[Dropped]:
    """Remove the entries of data folders that nothing reads."""
    found = []
    for folder, entries in sorted(used.items()):
        gone = [entry for entry in sorted((installed / folder).glob("*")) if entry.name not in entries]
        files = [
            file for entry in gone for file in ([entry] if entry.is_file() else entry.rglob("*")) if file.is_file()
        ]
        if files:
            name = owner(files[0].relative_to(installed).as_posix())
            found.append(Dropped("data", name, len(files), sum(file.stat().st_size for file in files)))
        for entry in gone:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return found


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _recall(memory: Path) -> _Memory | None:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=_Memory)
    except (OSError, msgspec.MsgspecError):
        return None
