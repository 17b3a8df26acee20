"""Buckets: blobs by key."""

from __future__ import annotations

from itertools import islice

from portable.errors import NotFoundError
from portable.resources import Resource, declared_at, on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from mimetypes import MimeTypes
    from typing import Any

    from portable.drivers import BlobInfo, BucketDriver

    Data = bytes | bytearray | memoryview | str

__all__ = ["Bucket"]

KEY_BYTES = 1024
OCTETS = "application/octet-stream"
_types: MimeTypes | None = None
PAGE = 256  # rows an async listing takes from its thread at a time
_METADATA_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def check_key(bucket: str, key: str) -> str:
    """Return ``key``, or raise ValueError: 1 to 1,024 bytes in UTF-8 (the least of the clouds' limits)."""
    if not isinstance(key, str):
        raise TypeError(f"bucket {bucket}: a key is a str, got {type(key).__name__}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"bucket {bucket}: key {key!r} holds a lone surrogate, which no cloud can store") from error
    if not 0 < size <= KEY_BYTES:
        raise ValueError(f"bucket {bucket}: a key has 1 to {KEY_BYTES} bytes in UTF-8, this one has {size}: {key!r}")
    return key


def guess_type(key: str) -> str:
    """The content type a key's ending says, the same on every machine: its own tables of types are not asked."""
    global _types
    if _types is None:
        from mimetypes import MimeTypes

        _types = MimeTypes()
    found, packed = _types.guess_type("/" + key.rpartition("/")[2], strict=False)
    if packed:
        return "application/gzip" if packed == "gzip" else OCTETS
    return found or OCTETS


class Bucket(Resource):
    """Blobs by key. Keys are unicode strings of 1 to 1,024 bytes in UTF-8; ``/`` has no meaning but by convention.

    Every method that does I/O has an async twin with the prefix ``a``. A write is atomic: readers see the old blob or
    the new one. Reads after a write see it, on every cloud. Errors are those of ``portable.errors`` and name the bucket
    and the key: NotFoundError, AlreadyExistsError, PreconditionFailedError, PermissionDeniedError, UnavailableError.
    """

    __slots__ = ()
    kind = "bucket"

    def __init__(self, name: str, *, _depth: int = 0) -> None:
        super().__init__(name, {}, declared_at(_depth + 1))

    if TYPE_CHECKING:

        def driver(self) -> BucketDriver: ...

    def write(
        self,
        key: str,
        data: Data,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> BlobInfo:
        """Store ``data`` (a str as UTF-8) under ``key``, replacing what is there, atomically.

        Args:
            content_type: guessed from the key's ending when left out, else ``application/octet-stream``.
            metadata: str to str; names are lower-case ASCII letters, digits and underscores, as Azure has it.
            if_absent: write only when the key is not there; else AlreadyExistsError.
            if_match: write only when the stored etag is this one; else PreconditionFailedError.
        """
        options = self._write_options(key, content_type, metadata, if_absent, if_match)
        return self.driver().write(check_key(self.name, key), self._bytes(data), **options)

    async def awrite(
        self,
        key: str,
        data: Data,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> BlobInfo:
        """See :meth:`write`."""
        options = self._write_options(key, content_type, metadata, if_absent, if_match)
        written: BlobInfo = await self._await("write", check_key(self.name, key), self._bytes(data), **options)
        return written

    def read(self, key: str, *, start: int | None = None, end: int | None = None) -> bytes:
        """The blob, or its bytes from ``start`` to ``end`` (exclusive). Raises NotFoundError.

        A range past the end of the blob gives what is there, maybe ``b""``. Raises ValueError for a negative range.
        """
        return self.driver().read(check_key(self.name, key), *self._range(start, end))

    async def aread(self, key: str, *, start: int | None = None, end: int | None = None) -> bytes:
        """See :meth:`read`."""
        data: bytes = await self._await("read", check_key(self.name, key), *self._range(start, end))
        return data

    def stat(self, key: str) -> BlobInfo:
        """Size, etag, time, content type and metadata. Raises NotFoundError."""
        return self.driver().stat(check_key(self.name, key))

    async def astat(self, key: str) -> BlobInfo:
        """See :meth:`stat`."""
        info: BlobInfo = await self._await("stat", check_key(self.name, key))
        return info

    def exists(self, key: str) -> bool:
        """Whether the key is there now."""
        try:
            self.stat(key)
        except NotFoundError:
            return False
        return True

    async def aexists(self, key: str) -> bool:
        """See :meth:`exists`."""
        try:
            await self.astat(key)
        except NotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the blob. A key that is not there is no error, so a retry is safe."""
        self.driver().delete(check_key(self.name, key))

    async def adelete(self, key: str) -> None:
        """See :meth:`delete`."""
        await self._await("delete", check_key(self.name, key))

    def list(self, prefix: str = "", *, delimiter: str | None = None) -> Iterator[BlobInfo]:
        """Every blob whose key starts with ``prefix``, lazily, page by page, in order of the keys' UTF-8 bytes.

        With a delimiter, keys that hold it after the prefix are folded into one row each with ``is_prefix`` set.
        """
        return iter(self.driver().list(prefix, delimiter))

    async def alist(self, prefix: str = "", *, delimiter: str | None = None) -> AsyncIterator[BlobInfo]:
        """See :meth:`list`."""
        rows = await on_thread(self.list, prefix, delimiter=delimiter)
        while page := await on_thread(lambda: list(islice(rows, PAGE))):
            for row in page:
                yield row

    @staticmethod
    def _range(start: int | None, end: int | None) -> tuple[int | None, int | None]:
        if (start is not None and start < 0) or (end is not None and end < (start or 0)):
            raise ValueError(f"a range has 0 <= start <= end, got {start} to {end}")
        return start, end

    def _bytes(self, data: Data) -> bytes:
        if isinstance(data, str):
            return data.encode()
        if isinstance(data, (bytes, bytearray, memoryview)):
            return bytes(data)
        raise TypeError(f"bucket {self.name}: data is bytes or str, got {type(data).__name__}")

    def _write_options(
        self,
        key: str,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
    ) -> dict[str, Any]:
        if if_absent and if_match is not None:
            raise ValueError(f"bucket {self.name}, key {key!r}: if_absent and if_match exclude each other")
        for name, value in (metadata or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"metadata is str to str, got {name!r}: {value!r}")
            if not _METADATA_NAME.issuperset(name) or not name or name[0].isdigit():
                raise ValueError(f"metadata name {name!r}: use lower-case ASCII letters, digits and underscores")
            if not value.isascii() or not value.isprintable() or value != value.strip():
                raise ValueError(f"metadata {name!r}: the value holds what a header cannot; encode it first")
        if content_type is None:
            content_type = guess_type(key)
        elif not content_type.isascii() or not content_type.isprintable():
            raise ValueError(f"bucket {self.name}, key {key!r}: content type {content_type!r} is no header's value")
        return {
            "content_type": content_type,
            "metadata": metadata,
            "if_absent": if_absent,
            "if_match": if_match,
        }
