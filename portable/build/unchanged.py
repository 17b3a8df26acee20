"""Whether a build would write what is there already: then it writes nothing.

Compared is all a build reads: the project's files and settings, its lock, the manifest of the imported app, what was
wanted, the interpreter that compiles, and this framework's own code by the times and sizes of its files. What a build
came to is kept in the project, ``.portable/build/<target>/last.json``, with what the artifact's files looked like.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from portable.build import watched
from portable.build.again import looks as _looks
from portable.build.bytecode import Compiler
from portable.build.project import Project
from portable.manifest import Manifest

__all__ = ["Inputs", "recall", "remember"]

_READ_BESIDE = ("pyproject.toml", "uv.lock", "pylock*.toml", "requirements*.txt", "infra/*")


class Inputs(msgspec.Struct, frozen=True):
    """What a build is made from.

    Attributes:
        sources: the files to deploy. listed: requirements. wanted: options, as text. packages: of this framework.
        kept: the files that keep what was chosen once: versions of dependencies, the digest of an image's base.
    """

    project: Project
    target: str
    manifest: Manifest
    sources: Mapping[str, Path]
    listed: tuple[str, ...]
    wanted: str
    compiler: Compiler | None
    packages: tuple[str, ...]
    kept: tuple[Path, ...]

    def key(self) -> str:
        """Equal for builds that come to the same from the same choices. To be asked before anything else is read: what
        changes while a build goes on is then another build's.
        """
        digest = hashlib.sha256()
        for part in self._parts():
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()

    def _parts(self) -> Iterator[bytes]:
        yield repr((self.target, self.wanted, self.compiler, self.listed, zlib.ZLIB_RUNTIME_VERSION)).encode()
        yield repr((self.project.spec, self.project.stage, self.project.root)).encode()
        yield msgspec.json.encode(self.manifest)
        for path, file in self.sources.items():
            yield os.fsencode(path) + bytes([file.stat().st_mode & 0o100 != 0])
            yield file.read_bytes()
        for pattern in _READ_BESIDE:
            for file in sorted(self.project.root.glob(pattern)):
                if file.is_file():
                    yield os.fsencode(file.name)
                    yield file.read_bytes()
        for package in self.packages:
            spec = find_spec(package)
            for root in (spec.submodule_search_locations if spec else None) or ():
                yield _looks(Path(root), skip=("__pycache__",)).encode()
                watched.note(file for file in Path(root).rglob("*") if "__pycache__" not in file.parts)

    def kept_key(self) -> str:
        """Of what is kept of earlier choices, which a build may write."""
        digest = hashlib.sha256()
        for file in self.kept:
            watched.note_made(file)
            digest.update(hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest())
        return digest.hexdigest()


class _Last(msgspec.Struct):
    key: str
    kept: str
    out: str
    looks: str
    result: msgspec.Raw
    seen: list[str] | None


def recall(file: Path, inputs: Inputs, key: str, out: Path) -> Any:
    """What the last build came to, as ``remember`` was given it; None when another one has to be made.

    ``key``: that of the inputs.
    """
    try:
        last = msgspec.json.decode(file.read_bytes(), type=_Last)
    except (OSError, msgspec.MsgspecError):
        return None
    if (last.out, last.key, last.kept) != (str(out), key, inputs.kept_key()) or last.looks != _looks(out):
        return None
    watched.recall(last.seen)
    return msgspec.json.decode(last.result)


def remember(file: Path, inputs: Inputs, key: str, out: Path, result: Any) -> None:
    """Keep what a build came to."""
    kept = msgspec.Raw(msgspec.json.encode(result))
    last = _Last(key, inputs.kept_key(), str(out), _looks(out), kept, watched.seen())
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(last))
    fresh.replace(file)
