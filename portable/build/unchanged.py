"""Whether a build would write what is there already: then it writes nothing.

Compared is all a build reads: the project's files and settings, its lock, the manifest of the imported app, what was
wanted, the interpreter that compiles, and this framework's own code by the times and sizes of its files. What a build
came to is kept in the project, ``.portable/build/<target>/last.json``, with what the artifact's files looked like.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from portable.build.bytecode import Compiler
from portable.build.project import Project
from portable.manifest import Manifest

__all__ = ["Inputs", "recall", "remember"]

_READ_BESIDE = ("pyproject.toml", "uv.lock", "pylock*.toml", "requirements*.txt", "infra/*")


class Inputs(msgspec.Struct, frozen=True):
    """What a build is made from.

    Attributes:
        sources: the files to deploy. listed: requirements. wanted: options, as text. packages: of this framework.
        versions: the file that keeps the versions of dependencies.
    """

    project: Project
    target: str
    manifest: Manifest
    sources: Mapping[str, Path]
    listed: tuple[str, ...]
    wanted: str
    compiler: Compiler | None
    packages: tuple[str, ...]
    versions: Path

    def key(self) -> str:
        """Equal for builds that come to the same."""
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
        yield self.versions.read_bytes() if self.versions.is_file() else b""
        for package in self.packages:
            spec = find_spec(package)
            for root in (spec.submodule_search_locations if spec else None) or ():
                yield _looks(Path(root), skip=("__pycache__",)).encode()


class _Last(msgspec.Struct):
    key: str
    out: str
    looks: str
    result: msgspec.Raw


def recall(file: Path, inputs: Inputs, out: Path) -> Any:
    """What the last build came to, as ``remember`` was given it; None when another one has to be made."""
    try:
        last = msgspec.json.decode(file.read_bytes(), type=_Last)
    except (OSError, msgspec.MsgspecError):
        return None
    if last.out != str(out) or last.key != inputs.key() or last.looks != _looks(out):
        return None
    return msgspec.json.decode(last.result)


def remember(file: Path, inputs: Inputs, out: Path, result: Any) -> None:
    """Keep what a build came to."""
    last = _Last(inputs.key(), str(out), _looks(out), msgspec.Raw(msgspec.json.encode(result)))
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(last))
    fresh.replace(file)


def _looks(root: Path, skip: Iterable[str] = ()) -> str:
    """Names, times, sizes and permissions of all files below a folder."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in skip)
        for name in sorted(names):
            found = os.lstat(f"{folder}/{name}")
            said = (found.st_mtime_ns, found.st_size, found.st_mode)
            digest.update(os.fsencode(os.path.relpath(f"{folder}/{name}", root)) + repr(said).encode())
    return digest.hexdigest()
