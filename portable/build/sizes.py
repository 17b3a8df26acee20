"""What a bundle weighs: by distribution, the app's own files, and this framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from portable.build.layers import Entry, Layer
from portable.build.pruning import Owners
from portable.build.result import Part
from portable.build.splitting import source_of

__all__ = ["APP", "FRAMEWORK", "UNOWNED", "parts_of", "size", "sizes_document"]

APP = "app"
"""The project's files, and the entry the build wrote."""

FRAMEWORK = "portable"
"""This framework, with the adapters that are in the bundle."""

UNOWNED = "(no RECORD)"
"""Files of the dependencies that no distribution says are its own."""


def parts_of(app: Layer, framework: Layer, dependencies: Layer, folder: str) -> list[Part]:
    """The app, this framework, and each distribution, which its RECORD names the files of; the largest first.

    ``folder``: where in the bundle the dependencies are. A file of bytecode counts to what its source belongs to.
    """
    found = [_part(APP, app.files.values()), _part(FRAMEWORK, framework.files.values())]
    owner = Owners(dependencies.folder / "files" / folder)
    prefix = f"{folder}/" if folder else ""
    groups: dict[str, list[Entry]] = {}
    for path, entry in dependencies.files.items():
        name = owner(source_of(path.removeprefix(prefix))) or UNOWNED
        groups.setdefault(name, []).append(entry)
    found += [_part(name, entries) for name, entries in groups.items()]
    return sorted(found, key=lambda part: (-part.size, part.name))


def sizes_document(parts: Mapping[str, Sequence[Part]]) -> dict[str, dict[str, dict[str, int]]]:
    """By bundle and part: files, bytes as they are, bytes as the zip holds them. For the artifact's manifest."""
    return {
        bundle: {part.name: {"files": part.files, "size": part.size, "packed": part.packed} for part in found}
        for bundle, found in parts.items()
    }


def size(count: int) -> str:
    """Bytes for people, in thousands."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _part(name: str, entries: Iterable[Entry]) -> Part:
    found = list(entries)
    return Part(name, len(found), sum(one.size for one in found), sum(one.packed for one in found))
