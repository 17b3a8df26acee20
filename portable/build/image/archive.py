"""A layer of an image: the files of a layer of the bundle as a compressed tar, kept beside them.

The tar is POSIX ``ustar``, with a pax header for a name that does not fit one (long, or not ASCII): entries sorted by
name, each folder before what it holds, everything of root's (uid and gid 0), files 0644 or 0755, folders 0755, all of
the fixed time. It is compressed by gzip, level 6, with a header that names no time and no system. Equal files give
equal bytes wherever zlib is the same version.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from portable.build.layers import FIXED_TIME, Layer

__all__ = ["Blob", "layer_blob"]

_FORM = 1  # of the tar; another one makes every kept blob anew
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no time, unknown system


class Blob(msgspec.Struct, frozen=True):
    """A layer as a registry holds it: ``digest`` and ``size`` compressed, ``diff_id`` the digest of the tar itself."""

    digest: str
    size: int
    diff_id: str
    file: Path


class _Kept(msgspec.Struct):
    form: int
    root: str
    zlib: str
    digest: str
    size: int
    diff_id: str


def layer_blob(layer: Layer, root: str) -> Blob:
    """The blob of a layer whose files lie in ``root`` of the image (``"app"``). Made once for a layer.

    Safe among processes: another one sees a whole blob or none.
    """
    file, record = layer.folder / "image.tar.gz", layer.folder / "image.json"
    with suppress(OSError, msgspec.MsgspecError):
        kept = msgspec.json.decode(record.read_bytes(), type=_Kept)
        found = file.stat()
        wanted = (_FORM, root, zlib.ZLIB_RUNTIME_VERSION)
        if (kept.form, kept.root, kept.zlib) == wanted and (found.st_size, found.st_mtime) == (kept.size, FIXED_TIME):
            return Blob(kept.digest, kept.size, kept.diff_id, file)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=layer.folder) as scratch:
        fresh = Path(scratch) / "blob"
        with fresh.open("wb") as out:
            writer = _Writer(out)
            _write_tar(writer, layer, root)
            digest, size, diff_id = writer.finish()
        os.utime(fresh, (FIXED_TIME, FIXED_TIME))
        said = Path(scratch) / "record"
        said.write_bytes(msgspec.json.encode(_Kept(_FORM, root, zlib.ZLIB_RUNTIME_VERSION, digest, size, diff_id)))
        fresh.replace(file)
        said.replace(record)
    return Blob(digest, size, diff_id, file)


class _Writer:
    """Compresses what it is given, and counts and hashes both sides."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._crc = 0
        self._count = 0
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._size = 0
        self._put(_HEADER)

    def write(self, data: bytes) -> int:
        self._plain.update(data)
        self._crc = zlib.crc32(data, self._crc)
        self._count += len(data)
        self._put(self._packer.compress(data))
        return len(data)

    def tell(self) -> int:
        return self._count

    def finish(self) -> tuple[str, int, str]:
        """Digest and size of what was written, and the digest of what went in."""
        self._put(self._packer.flush() + struct.pack("<2L", self._crc, self._count & 0xFFFFFFFF))
        return f"sha256:{self._packed.hexdigest()}", self._size, f"sha256:{self._plain.hexdigest()}"

    def _put(self, data: bytes) -> None:
        self._packed.update(data)
        self._size += self._out.write(data)


def _write_tar(writer: _Writer, layer: Layer, root: str) -> None:
    import tarfile

    names = {f"{root}/{path}": path for path in layer.files}
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents if str(parent) != "."}
    with tarfile.open(fileobj=writer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:  # type: ignore[call-overload]
        for name in sorted({*names, *folders}):
            entry = tarfile.TarInfo(name)
            entry.mtime = FIXED_TIME
            if name in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
                continue
            found = layer.files[names[name]]
            entry.size, entry.mode = found.size, found.mode
            with (layer.folder / "files" / names[name]).open("rb") as content:
                tar.addfile(entry, content)
