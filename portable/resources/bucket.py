"""Buckets: blobs by key."""

from __future__ import annotations

from itertools import islice

from portable.errors import NotFoundError
from portable.resources import Resource, declared_at, on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
    from datetime import timedelta
    from typing import Any, BinaryIO, Literal, overload

    from portable.drivers import BlobInfo, BucketDriver, Chunks, DeleteFailure, SignedURL
    from portable.resources.blobs import AsyncBlobReader, BlobReader

    Data = bytes | bytearray | memoryview | str | BinaryIO | Iterable[bytes]
    AsyncData = Data | AsyncIterable[bytes]
    Failures = list[DeleteFailure]

__all__ = ["Bucket"]

KEY_BYTES = 1024
PAGE = 256  # rows an async listing takes from its thread at a time
WHOLE_BYTES = 64 * 1024 * 1024  # what is larger is written in parts
DELETE_KEYS = 1000
URL_DAYS = 7  # the longest that S3 and Cloud Storage sign for


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
        cache_control: str | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> BlobInfo:
        """Store ``data`` under ``key``, replacing what is there, atomically.

        A file or an iterator is sent in parts of 8 MiB as it is read, so its length need not be known and memory does
        not grow with it; 80 GB is the most. When it raises, the blob stays as it was, and the error passes through.

        Args:
            data: bytes, a str (as UTF-8), a binary file open for reading, or an iterable of bytes.
            content_type: guessed from the key's ending when left out, else ``application/octet-stream``.
            metadata: str to str; names are lower-case ASCII letters, digits and underscores, as Azure has it.
            cache_control: the ``Cache-Control`` a browser gets with the blob.
            if_absent: write only when the key is not there; else AlreadyExistsError.
            if_match: write only when the stored etag is this one; else PreconditionFailedError.
        """
        from portable.resources.blob_options import write_options

        check_key(self.name, key)
        options = write_options(str(self), key, content_type, metadata, cache_control, if_absent, if_match)
        whole, pieces = self._data(data)
        if whole is not None:
            return self.driver().write(key, whole, **options)
        from portable.resources.blobs import write_stream

        return write_stream(self.driver(), self.name, key, pieces, options)

    async def awrite(
        self,
        key: str,
        data: AsyncData,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        cache_control: str | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> BlobInfo:
        """See :meth:`write`. ``data`` may be an async iterable too; a plain file or iterator is read on a thread."""
        from portable.resources.blob_options import write_options

        check_key(self.name, key)
        options = write_options(str(self), key, content_type, metadata, cache_control, if_absent, if_match)
        if hasattr(data, "__aiter__"):
            from portable.resources.blobs import awrite_stream

            return await awrite_stream(self.driver(), self.name, key, data, options)
        whole, pieces = self._data(data)
        if whole is not None:
            written: BlobInfo = await self._await("write", key, whole, **options)
            return written
        from portable.resources.blobs import write_stream

        written = await on_thread(write_stream, self.driver(), self.name, key, pieces, options)
        return written

    if TYPE_CHECKING:

        @overload
        def read(
            self, key: str, *, start: int | None = None, end: int | None = None, if_match: str | None = None
        ) -> bytes: ...
        @overload
        def read(
            self, key: str, *, start: int | None = None, end: int | None = None, if_none_match: str | None
        ) -> bytes | None: ...

    def read(
        self,
        key: str,
        *,
        start: int | None = None,
        end: int | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """The blob, or its bytes from ``start`` to ``end`` (exclusive). Raises NotFoundError.

        A range past the end of the blob gives what is there, maybe ``b""``. Raises ValueError for a negative range.

        Args:
            if_match: read only while the etag is this one, else PreconditionFailedError: the parts of one version.
            if_none_match: read only when the etag is another; None when it is still this one.
        """
        checked = check_key(self.name, key), *self._range(start, end)
        if if_match is None and if_none_match is None:
            return self.driver().read(*checked)
        self._check_conditions(key, if_match, if_none_match)
        return self.driver().read(*checked, if_match, if_none_match)

    if TYPE_CHECKING:

        @overload
        async def aread(
            self, key: str, *, start: int | None = None, end: int | None = None, if_match: str | None = None
        ) -> bytes: ...
        @overload
        async def aread(
            self, key: str, *, start: int | None = None, end: int | None = None, if_none_match: str | None
        ) -> bytes | None: ...

    async def aread(
        self,
        key: str,
        *,
        start: int | None = None,
        end: int | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """See :meth:`read`."""
        checked: tuple[Any, ...] = check_key(self.name, key), *self._range(start, end)
        if if_match is not None or if_none_match is not None:
            self._check_conditions(key, if_match, if_none_match)
            checked += (if_match, if_none_match)
        data: bytes | None = await self._await("read", *checked)
        return data

    def _check_conditions(self, key: str, if_match: str | None, if_none_match: str | None) -> None:
        if if_match is not None and if_none_match is not None:
            raise ValueError(f"bucket {self.name}, key {key!r}: if_match and if_none_match exclude each other")

    def open(
        self, key: str, *, start: int | None = None, end: int | None = None, if_match: str | None = None
    ) -> BlobReader:
        """The blob as a binary file to read from, in constant memory: ``with bucket.open(key) as blob: blob.read(n)``.

        Raises as :meth:`read`, at once. All that is read is of one version, whose ``blob.info`` is at hand. A
        connection that breaks is opened again where it broke: UnavailableError when that helps no more,
        PreconditionFailedError when the blob has been overwritten since.
        """
        from portable.resources.blobs import BlobReader

        first, end = self._range(start, end)
        driver = self.driver()
        check_key(self.name, key)

        def reopen(position: int, etag: str | None) -> tuple[BlobInfo, Chunks]:
            return driver.open(key, position or None, end, if_match if etag is None else etag)

        return BlobReader(reopen, first or 0)

    def aopen(
        self, key: str, *, start: int | None = None, end: int | None = None, if_match: str | None = None
    ) -> AsyncBlobReader:
        """See :meth:`open`: ``async with bucket.aopen(key) as blob``, ``await blob.read(n)``, ``async for line``."""
        from portable.resources.blobs import AsyncBlobReader

        return AsyncBlobReader(lambda: self.open(key, start=start, end=end, if_match=if_match))

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

    def delete_many(self, keys: Iterable[str]) -> Failures:
        """Remove blobs, a thousand a time, in as few calls as the cloud allows. Returns the keys still there, and why.

        A key that is not there is no failure. ``keys`` may be a generator of any length. Raises what concerns a whole
        call, a missing bucket or lost connection, and ValueError at a bad key: then those before may be gone.
        """
        driver, kept = self.driver(), []
        rest = iter(keys)
        while lot := self._lot(islice(rest, DELETE_KEYS)):
            kept += driver.delete_many(lot)
        return kept

    async def adelete_many(self, keys: Iterable[str] | AsyncIterable[str]) -> Failures:
        """See :meth:`delete_many`. ``keys`` may be async too: ``(row.key async for row in bucket.alist("old/"))``."""
        kept: Failures = []
        if hasattr(keys, "__aiter__"):
            lot: list[str] = []
            async for key in keys:
                lot.append(key)
                if len(lot) == DELETE_KEYS:
                    kept += await self._await("delete_many", self._lot(lot))
                    lot = []
            return kept + (await self._await("delete_many", self._lot(lot)) if lot else [])
        rest = iter(keys)
        while lot := self._lot(islice(rest, DELETE_KEYS)):
            kept += await self._await("delete_many", lot)
        return kept

    def _lot(self, keys: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(check_key(self.name, key) for key in keys))

    def copy(self, source: str, target: str, *, to: Bucket | None = None) -> BlobInfo:
        """Copy a blob in the cloud, with content type, metadata and cache control; the data does not come here.

        Atomic, replacing what is there. Gives what is known of the new blob. Raises NotFoundError.

        Args:
            to: the bucket ``target`` is a key of; this one when left out.
        """
        bucket = self if to is None else to
        check_key(self.name, source), check_key(bucket.name, target)
        if bucket.name == self.name and source == target:
            return self.stat(source)
        return self.driver().copy(source, target, bucket.driver())

    async def acopy(self, source: str, target: str, *, to: Bucket | None = None) -> BlobInfo:
        """See :meth:`copy`."""
        bucket = self if to is None else to
        check_key(self.name, source), check_key(bucket.name, target)
        if bucket.name == self.name and source == target:
            return await self.astat(source)
        copied: BlobInfo = await self._await("copy", source, target, bucket.driver())
        return copied

    def url(
        self, key: str, *, expires: timedelta, method: Literal["GET", "PUT"] = "GET", content_type: str | None = None
    ) -> SignedURL:
        """A URL with which anybody can read (or write) this one blob until it expires; a ``str``.

        Whether the blob is there is not asked. Raises UnsupportedError where these credentials cannot sign.

        Args:
            expires: a second to 7 days from now.
            method: GET, or PUT to write. What a PUT has to carry is in ``url.headers``: send these as they are.
            content_type: the one a PUT has to have; any when left out.
        """
        seconds = expires.total_seconds()
        if not 1 <= seconds <= URL_DAYS * 86400:
            raise ValueError(f"bucket {self.name}: a URL expires after 1 second to {URL_DAYS} days, not {expires}")
        if method not in ("GET", "PUT"):
            raise ValueError(f"bucket {self.name}: a URL is for GET or PUT, not {method!r}")
        if content_type is not None:
            if method != "PUT":
                raise ValueError(f"bucket {self.name}: content_type is what a PUT has to have")
            from portable.resources.blob_options import check_header

            check_header(str(self), key, "content_type", content_type)
        return self.driver().url(check_key(self.name, key), method, expires, content_type)

    async def aurl(
        self, key: str, *, expires: timedelta, method: Literal["GET", "PUT"] = "GET", content_type: str | None = None
    ) -> SignedURL:
        """See :meth:`url`; on a thread, for signing may ask the cloud."""
        signed: SignedURL = await on_thread(self.url, key, expires=expires, method=method, content_type=content_type)
        return signed

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

    def _data(self, data: Any) -> tuple[bytes | None, Iterable[Any]]:
        """The data as bytes, or, where it is a stream or too large for one call, its pieces."""
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, (bytes, bytearray, memoryview)):
            whole = bytes(data)
            if len(whole) <= WHOLE_BYTES:
                return whole, ()
            return None, (whole,)
        from portable.resources.blobs import pieces_of

        pieces = pieces_of(self.name, data)
        if pieces is None:
            raise TypeError(
                f"bucket {self.name}: data is bytes, str, a binary file or an iterator of bytes, "
                f"got {type(data).__name__}"
            )
        return None, pieces
