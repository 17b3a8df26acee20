"""Blobs of bases, by their digest: in the user's cache, so that each is pulled and checked once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from portable.build.caches import user_cache
from portable.errors import BuildError

__all__ = ["LARGEST_DOCUMENT", "hashed", "is_digest", "kept_blob", "kept_file", "link", "put"]

LARGEST_DOCUMENT = 4 << 20
"""Bytes of a manifest, an index or a configuration: what every registry has to take, so that nobody may count on more.
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests
"""

_UNUSED_DAYS = 30
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def kept_blob(digest: str, size: int, chunks: Callable[[], Iterable[bytes]], where: str) -> Path:
    """The file with a digest (``sha256:…``): the one that is kept, else ``chunks`` written to one.

    Atomic among processes. Raises BuildError, naming ``where`` it came from, for chunks of another size or digest.
    """
    file = _file(digest)
    if (kept := kept_file(digest)) and kept.stat().st_size == size:
        return kept
    file.parent.mkdir(parents=True, exist_ok=True)
    _forget_unused(file.parent)
    with tempfile.NamedTemporaryFile(prefix=".getting-", dir=file.parent, delete=False) as fresh:
        try:
            found, count = hashlib.sha256(), 0
            for chunk in chunks():
                found.update(chunk)
                count += len(chunk)
                if count > size:
                    raise BuildError(f"{where}: {digest} is longer than the {size} bytes it is said to have")
                fresh.write(chunk)
            fresh.close()
            if f"sha256:{found.hexdigest()}" != digest:
                raise BuildError(f"{where}: {digest} is not what it says it is, but sha256:{found.hexdigest()}")
            os.replace(fresh.name, file)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh.name)
            raise
    return file


def kept_file(digest: str) -> Path | None:
    """The file with a digest when it is kept."""
    file = _file(digest)
    try:
        # When it was last used; what is linked to it keeps its time.
        os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))
    except OSError:
        return None
    return file


def is_digest(text: str) -> bool:
    """Whether it is ``sha256:`` and what belongs after it."""
    return _DIGEST.fullmatch(text) is not None


def hashed(data: bytes) -> str:
    """``sha256:…`` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def put(folder: Path, digest: str, content: bytes | Path) -> None:
    """Put a blob into an OCI layout, once."""
    file = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        link(content, file)


def link(source: Path, target: Path) -> None:
    """A link, or a copy where there are none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _file(digest: str) -> Path:
    """A digest comes from a registry or a layout, and is a file's name here."""
    if not is_digest(digest):
        raise BuildError(f"{digest!r} is no SHA-256 digest, and an image's parts are named by theirs")
    return user_cache() / "build" / "images" / "sha256" / digest.removeprefix("sha256:")


def _forget_unused(folder: Path) -> None:
    """Remove what no build has used for a month, and what a killed one left behind."""
    limit = time.time() - _UNUSED_DAYS * 86400
    for one in folder.iterdir():
        with suppress(OSError):
            if max((found := one.stat()).st_atime, found.st_mtime) < limit:
                one.unlink()
