"""What a project asks to be installed beside it, without this framework, which a build brings itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from portable.build.project import Project
from portable.errors import ConfigError

__all__ = ["canonical", "distribution", "read_requirements"]

OWN = "portable-functions"
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:$|[\[<>=!~;@(\s])")


def read_requirements(project: Project) -> list[str]:
    """The project's requirements, as written: ``[project] dependencies``, else ``requirements.txt``.

    This framework's own distribution is left out. Raises ConfigError for the unrelated distribution ``portable``, and
    for a line that cannot be kept.
    """
    table = project.document.get("project", {})
    listed = table.get("dependencies")
    if listed is None and (project.root / "requirements.txt").is_file():
        found = list(_lines(project.root / "requirements.txt", project.root, ()))
    else:
        found = [(text, "pyproject.toml") for text in listed or ()]
    return list(_without_own(found))


def distribution(requirement: str) -> str:
    """The canonical name a requirement starts with; "" for a path or an address."""
    match = _NAME.match(requirement)
    return canonical(match.group(1)) if match else ""


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _without_own(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    for text, where in found:
        if not isinstance(text, str):
            raise ConfigError(f"{where}: a dependency is text, got {text!r}")
        name = distribution(text)
        if name == "portable":
            raise ConfigError(
                f"{where}: {text!r} is an unrelated distribution whose package hides this framework's; "
                f"the one you want is {OWN!r}"
            )
        if name != OWN:
            yield text


def _lines(file: Path, root: Path, within: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Each requirement of a file and those it refers to, with its place."""
    if file in within:
        raise ConfigError(f"{file} refers to itself")
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), 1):
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
            yield line, where
