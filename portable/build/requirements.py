"""What a project asks to be installed beside it, without this framework, which a build brings itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from portable.build.project import Project
from portable.errors import ConfigError

__all__ = ["OWN", "Requirement", "canonical", "distribution", "read_lines", "read_requirements"]

OWN = "portable-functions"
_ADDRESS = re.compile(r"(^|@)\s*[a-z+]+:(//|/)?|^[./]|\.whl\b")
_HASH = re.compile(r"\s--hash[= ](\w+:[0-9A-Fa-f]+)")
_FRAGMENT = re.compile(r"#(?:.*&)?(sha256=[0-9a-f]{64})\b")
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:$|[\[<>=!~;@(\s])")


class Requirement(msgspec.Struct, frozen=True):
    """One line of a list of requirements, without its hashes; ``where`` is its ``file:line``."""

    text: str
    where: str
    hashes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The canonical name it starts with; "" for a path or an address alone."""
        return distribution(self.text)

    @property
    def is_address(self) -> bool:
        """Whether it says where one file is, instead of a version."""
        return bool(_ADDRESS.search(self.text))


def read_requirements(project: Project) -> list[str]:
    """The project's requirements, as written: ``[project] dependencies``, else ``requirements.txt``, else all that
    ``pylock.toml`` holds.

    This framework's own distribution is left out. Raises ConfigError for the unrelated distribution ``portable``, for a
    line that cannot be kept, and for an address nothing is known to be at.
    """
    table = project.document.get("project", {})
    listed = table.get("dependencies")
    if listed is not None:
        found = []
        for text in listed:
            if not isinstance(text, str):
                raise ConfigError(f"pyproject.toml: a dependency is text, got {text!r}")
            found.append(Requirement(text, "pyproject.toml"))
    elif (file := project.root / "requirements.txt").is_file():
        found = list(read_lines(file, project.root))
    else:
        found = list(_of_pylock(project.root / "pylock.toml"))
    return list(_without_own(found))


def read_lines(file: Path, root: Path) -> Iterator[Requirement]:
    """The lines of a requirements file and of those it refers to. Raises ConfigError for one that cannot be kept."""
    return _lines(file, root, ())


def distribution(requirement: str) -> str:
    """The canonical name a requirement starts with; "" for a path or an address."""
    match = _NAME.match(requirement)
    return canonical(match.group(1)) if match else ""


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _without_own(found: Iterable[Requirement]) -> Iterator[str]:
    for one in found:
        if one.name == "portable":
            raise ConfigError(
                f"{one.where}: {one.text!r} is an unrelated distribution whose package hides this framework's; "
                f"the one you want is {OWN!r}"
            )
        if one.name != OWN:
            yield _checked(one)


def _checked(one: Requirement) -> str:
    """A requirement that may be installed: what lies at an address has to be known beforehand."""
    if one.name and not one.is_address:
        return one.text
    address = one.text.partition("@")[2].partition(" ;")[0].strip() if one.name else one.text
    if re.match(r"(git|hg|svn|bzr)\+", address):
        raise ConfigError(
            f"{one.where}: {one.text!r} is a repository, and only wheels are installed; build its wheel, and name that"
        )
    if re.match(r"\w+://", address) and not address.startswith("file:"):
        hashes = _FRAGMENT.findall(address) + [value for value in one.hashes if value.startswith("sha256:")]
        if not one.name or not hashes:
            raise ConfigError(
                f"{one.where}: {one.text!r}: whoever answers at that address could put anything into the bundle; "
                "write NAME @ URL#sha256=… with the hash of the wheel, or take it from an index"
            )
        if not _FRAGMENT.search(address):
            return one.text.replace(address, f"{address}#{hashes[0].replace(':', '=')}", 1)
    return one.text


def _of_pylock(file: Path) -> Iterator[Requirement]:
    if file.is_file():
        try:
            packages = tomllib.loads(file.read_text("utf-8")).get("packages", ())
            yield from (Requirement(f"{one['name']}=={one['version']}", file.name) for one in packages)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ConfigError(f"{file.name} cannot be read: {error}; make it anew") from error


def _lines(file: Path, root: Path, within: tuple[Path, ...]) -> Iterator[Requirement]:
    """Each requirement of a file and those it refers to, with its place."""
    if file in within:
        raise ConfigError(f"{file} refers to itself")
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    for number, line in _joined(text):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        where = f"{file.relative_to(root) if file.is_relative_to(root) else file}:{number}"
        option, _, rest = line.replace("=", " ", 1).partition(" ") if line.startswith("-") else ("", "", "")
        if option in ("-r", "--requirement"):
            yield from _lines((file.parent / rest.strip()).resolve(), root, (*within, file))
        elif option in ("-i", "--index-url", "--extra-index-url", "-f", "--find-links"):
            raise ConfigError(
                f"{where}: {option} is not taken from here; set UV_INDEX_URL, UV_EXTRA_INDEX_URL or UV_FIND_LINKS "
                "(for pip, PIP_INDEX_URL …), so that no build depends on where it finds its packages"
            )
        elif option:
            raise ConfigError(f"{where}: {line!r} cannot be kept in a bundle; list what it stands for by name")
        elif line:
            hashes = tuple(_HASH.findall(line))
            yield Requirement(_HASH.sub("", line).strip(), where, hashes)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines, those that end in a backslash with the next, by the number of their first."""
    first, parts = 1, []
    for number, line in enumerate(text.splitlines(), 1):
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            yield first, " ".join(parts)
            first, parts = number + 1, []
    if parts:
        yield first, " ".join(parts)
