"""What a build came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.image.write import Image
from portable.build.pruning import Dropped
from portable.build.target import Finding
from portable.errors import BuildError

__all__ = ["Built", "FindingsError", "Part"]


class FindingsError(BuildError):
    """The target cannot give what the app asks. ``findings`` holds the errors, and the milder ones too."""

    def __init__(self, target: str, findings: Sequence[Finding]) -> None:
        errors = [one for one in findings if one.severity == "error"]
        lines = [f"{one.where}: {one.message}{f'; {one.way_out}' if one.way_out else ''}" for one in errors]
        super().__init__(f"{target} cannot give what the app asks:\n" + "\n".join(lines))
        self.findings = findings


class Part(msgspec.Struct, frozen=True):
    """A part of a bundle, a distribution, the app or this framework: how many files, and their bytes as they are and as
    the zip holds them.
    """

    name: str
    files: int
    size: int
    packed: int


class Built(msgspec.Struct, frozen=True):
    """What a build wrote.

    Attributes:
        folder: the artifact. zips: path and bytes of each zip. parts: of each bundle by its name.
        findings: warnings and notes. python, place: what it was built for. lock: exact versions of the dependencies.
        image: what ``oci`` asked for. dropped: what was pruned from the dependencies. left_out: pins the cloud brings.
        is_unchanged: everything was there already, and nothing was written. lasts: the same build would find it so.
    """

    folder: Path
    python: str
    place: str
    zips: Mapping[Path, int]
    parts: Mapping[str, Sequence[Part]]
    findings: Sequence[Finding]
    lock: Sequence[str]
    functions: int
    image: Image | None = None
    dropped: Sequence[Dropped] = ()
    left_out: Sequence[str] = ()
    is_unchanged: bool = False
    lasts: bool = False

    def to_kept(self) -> dict[str, Any]:
        """Without the folder, as JSON holds it."""
        names = ("python", "place", "parts", "findings", "lock", "functions", "dropped", "left_out")
        found = {name: getattr(self, name) for name in names}
        image = None if self.image is None else self.image.to_kept()
        return {**found, "zips": {path.name: size for path, size in self.zips.items()}, "image": image}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any], folder: Path) -> Built:
        """What :meth:`to_kept` made, of an artifact that is there already."""
        return cls(
            folder,
            kept["python"],
            kept["place"],
            {folder / name: size for name, size in kept["zips"].items()},
            msgspec.convert(kept["parts"], dict[str, list[Part]]),
            msgspec.convert(kept["findings"], list[Finding]),
            kept["lock"],
            kept["functions"],
            None if kept["image"] is None else Image.from_kept(kept["image"], folder),
            dropped=msgspec.convert(kept["dropped"], list[Dropped]),
            left_out=kept["left_out"],
            is_unchanged=True,
            lasts=True,
        )
