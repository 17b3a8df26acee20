"""Files ready for a bundle: hashed, compressed, and kept from one build to the next.

A layer is a folder: ``files/`` as they go into the bundle, ``entries``, their zip entries one after another, and
``index.json``. A zip is the entries of its layers and a directory, so that what did not change is not compressed
again. The files of a bundle are links to those of the layer where the file system has them; every file has one fixed
time, so a file that was edited through such a link is seen, and the layer made again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from portable.build.caches import user_cache
from portable.errors import BuildError

__all__ = ["Entry", "Layer", "keep_layer", "layer_folder", "link_files", "write_zip"]

FIXED_TIME = 315532800  # 1980-01-01 UTC, the first instant a zip can say
_DOS_TIME = (0, 33)  # the same as a zip says it
_UNUSED_DAYS = 30
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


class Entry(msgspec.Struct, array_like=True):
    """A file: its size and hash, and where its zip entry lies in ``entries``."""

    size: int
    sha256: str
    mode: int
    crc: int
    packed: int
    method: int
    offset: int


class _Index(msgspec.Struct):
    key: str
    zlib: str
    files: dict[str, Entry]
    notes: list[list[str]]


class Layer:
    """See the module. ``notes`` is what its maker had to say, kept with it."""

    def __init__(
        self, folder: Path, files: Mapping[str, Entry], notes: list[list[str]], *, is_whole: bool = True
    ) -> None:
        self.folder = folder
        self.files = files
        self.notes = notes
        self.is_whole = is_whole

    def __repr__(self) -> str:
        return f"Layer({self.folder.name}, {len(self.files)} files)"

    def only(self, paths: Iterable[str]) -> Layer:
        """The same with these of its files."""
        kept = {path: self.files[path] for path in paths}
        return self if len(kept) == len(self.files) else Layer(self.folder, kept, self.notes, is_whole=False)


def layer_folder(key: str) -> Path:
    """Where a layer that any project may use is kept."""
    return user_cache() / "build" / "layers" / key


def keep_layer(folder: Path, key: str, make: Callable[[Path], list[list[str]]]) -> Layer:
    """The layer in ``folder`` if it was made for ``key`` and is intact, else a new one.

    ``make`` writes the files into the folder it is given and answers with its notes. Atomic: another process sees all
    of a layer or none of it.
    """
    if layer := _open(folder, key):
        return layer
    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_unused(layer_folder(key).parent)
    _forget_killed(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent, ignore_cleanup_errors=True) as scratch:
        fresh = Path(scratch) / "layer"
        (fresh / "files").mkdir(parents=True)
        notes = make(fresh / "files")
        _finish(fresh, key, notes)
        if layer := _open(folder, key):  # another process was faster, with an equal one
            return layer
        if folder.exists():
            folder.replace(Path(scratch) / "old")
        with suppress(OSError):  # faster still
            fresh.rename(folder)
        made = _open(folder, key)
    if made is None:
        raise BuildError(f"{folder} changes while it is written; is another build of another version running?")
    return made


def link_files(layer: Layer, target: Path) -> None:
    """Put a layer's files into a folder: as links, or as copies where there are no links."""
    for parent in sorted({os.path.dirname(path) for path in layer.files}):
        os.makedirs(target / parent, exist_ok=True)
    source, into = f"{layer.folder}/files/", f"{target}/"
    for path in layer.files:
        try:
            os.link(source + path, into + path)
        except FileExistsError:
            raise BuildError(f"two parts of the bundle hold {path}") from None
        except OSError:
            shutil.copy2(source + path, into + path)


def write_zip(file: Path, layers: Iterable[Layer]) -> str:
    """Write the files of some layers as one zip; answer with its SHA-256. Equal layers give equal bytes."""
    digest = hashlib.sha256()
    directory: list[bytes] = []
    start = 0
    with file.open("wb") as out:
        for layer in layers:
            entries = (layer.folder / "entries").read_bytes()
            files = layer.files
            if not layer.is_whole:
                entries, files = _picked(entries, files)
            out.write(entries)
            digest.update(entries)
            directory += [_central(path, entry, start) for path, entry in files.items()]
            start += len(entries)
        if len(directory) > 0xFFFF or start > 0xFFFFFFFF:
            raise BuildError(
                f"{len(directory)} files of {start} bytes are more than a zip holds that every cloud reads"
            )
        central = b"".join(directory)
        end = _END.pack(b"PK\5\6", 0, 0, len(directory), len(directory), len(central), start, 0)
        out.write(central + end)
        digest.update(central + end)
    return digest.hexdigest()


def _open(folder: Path, key: str) -> Layer | None:
    try:
        index = msgspec.json.decode((folder / "index.json").read_bytes(), type=_Index)
        if (index.key, index.zlib) != (key, zlib.ZLIB_RUNTIME_VERSION):
            return None
        start = f"{folder}/files/"
        for path, entry in index.files.items():
            found = os.stat(start + path)
            if found.st_size != entry.size or found.st_mtime != FIXED_TIME:
                return None
    except (OSError, msgspec.MsgspecError):
        return None
    os.utime(folder / "index.json")
    return Layer(folder, index.files, index.notes)


def _finish(folder: Path, key: str, notes: list[list[str]]) -> None:
    files: dict[str, Entry] = {}
    offset = 0
    root = folder / "files"
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    with (folder / "entries").open("wb") as out:
        for path in paths:
            file = root / path
            data = file.read_bytes()
            mode = 0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644
            file.chmod(mode)
            os.utime(file, (FIXED_TIME, FIXED_TIME))
            packer = zlib.compressobj(6, zlib.DEFLATED, -15)
            packed = packer.compress(data) + packer.flush()
            method = 8
            if len(packed) >= len(data):
                packed, method = data, 0
            digest = hashlib.sha256(data).hexdigest()
            entry = Entry(len(data), digest, mode, zlib.crc32(data), len(packed), method, offset)
            offset += out.write(_local(path, entry) + packed)
            files[path] = entry
    (folder / "index.json").write_bytes(msgspec.json.encode(_Index(key, zlib.ZLIB_RUNTIME_VERSION, files, notes)))


def _picked(entries: bytes, files: Mapping[str, Entry]) -> tuple[bytes, dict[str, Entry]]:
    """Of the entries of a layer those of these files, and where each is among them."""
    parts: list[bytes] = []
    moved: dict[str, Entry] = {}
    offset = 0
    for path, entry in files.items():
        length = _LOCAL.size + len(path.encode()) + entry.packed
        parts.append(entries[entry.offset : entry.offset + length])
        moved[path] = msgspec.structs.replace(entry, offset=offset)
        offset += length
    return b"".join(parts), moved


def _flags(path: str) -> int:
    return 0 if path.isascii() else 0x800  # the name is UTF-8


def _local(path: str, entry: Entry) -> bytes:
    name = path.encode()
    sizes = (entry.crc, entry.packed, entry.size, len(name), 0)
    return _LOCAL.pack(b"PK\3\4", 20, _flags(path), entry.method, *_DOS_TIME, *sizes) + name


def _central(path: str, entry: Entry, start: int) -> bytes:
    name = path.encode()
    made_by = (3 << 8) | 20  # on Unix: so that the permissions count
    attributes = (stat.S_IFREG | entry.mode) << 16
    sizes = (entry.crc, entry.packed, entry.size, len(name), 0, 0, 0, 0, attributes, start + entry.offset)
    return _CENTRAL.pack(b"PK\1\2", made_by, 20, _flags(path), entry.method, *_DOS_TIME, *sizes) + name


def _forget_unused(folder: Path) -> None:
    """Remove layers no build has used for a month, and what a killed build left behind."""
    limit = time.time() - _UNUSED_DAYS * 86400
    for one in folder.iterdir() if folder.exists() else ():
        index = one / "index.json"
        with suppress(OSError):
            if (index if index.exists() else one).stat().st_mtime < limit:
                shutil.rmtree(one, ignore_errors=True)


def _forget_killed(folder: Path) -> None:
    """Remove what killed builds left half made; a day is longer than any build takes."""
    limit = time.time() - 86400
    for one in folder.glob(".making-*"):
        with suppress(OSError):
            if one.stat().st_mtime < limit:
                shutil.rmtree(one, ignore_errors=True)
