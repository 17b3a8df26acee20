"""What stands behind a Bucket."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Protocol, Self

    Infos = Iterator["BlobInfo"]
    Failures = list["DeleteFailure"]

else:
    Protocol = object

__all__ = ["PART_BYTES", "BlobInfo", "BucketDriver", "Chunks", "DeleteFailure", "SignedURL"]

PART_BYTES = 8 * 1024 * 1024
"""Bytes of each part of a stream but its last. S3 takes 10,000 parts of 5 MiB and more, so 80 GB; Cloud Storage counts
in 256 KiB; Azure takes 50,000 blocks."""


class BlobInfo:
    """What a bucket knows of one blob.

    Attributes:
        key: as written. size: bytes. etag: changes with every write; opaque, what ``if_match`` takes.
        time: last write, aware datetime. content_type and metadata: None where a listing does not carry them.
        cache_control: as written; None where there is none, and in a listing.
        is_prefix: True for a common prefix of a listing with a delimiter; then only ``key`` means anything.
    """

    __slots__ = ("cache_control", "content_type", "etag", "is_prefix", "key", "metadata", "size", "time")

    def __init__(
        self,
        key: str,
        size: int = 0,
        etag: str | None = None,
        time: datetime | None = None,
        content_type: str | None = None,
        metadata: dict[str, str] | None = None,
        cache_control: str | None = None,
        *,
        is_prefix: bool = False,
    ) -> None:
        self.key = key
        self.size = size
        self.etag = etag
        self.time = time
        self.content_type = content_type
        self.metadata = metadata
        self.cache_control = cache_control
        self.is_prefix = is_prefix

    def __repr__(self) -> str:
        return f"<BlobInfo {self.key!r} {self.size} bytes>"


class DeleteFailure:
    """One key of a ``delete_many`` that is still there, and why."""

    __slots__ = ("error", "key")

    def __init__(self, key: str, error: Exception) -> None:
        self.key = key
        self.error = error

    def __repr__(self) -> str:
        return f"<DeleteFailure {self.key!r}: {self.error}>"


class SignedURL(str):
    """A URL that whoever has it can use for a while; a ``str``, so that it goes into an answer as it is.

    Attributes:
        method: what it is for, GET or PUT.
        headers: what the request has to carry, with these very values; the cloud refuses it without them.
    """

    __slots__ = ("headers", "method")

    def __new__(cls, url: str, method: str, headers: Mapping[str, str]) -> Self:
        made = super().__new__(cls, url)
        made.method = method
        made.headers = dict(headers)
        return made

    if TYPE_CHECKING:
        method: str
        headers: dict[str, str]


class Chunks(Protocol):
    """The bytes of a blob in pieces, none of them empty. Used by one thread at a time."""

    def __next__(self) -> bytes:
        """The next piece. Raises StopIteration at the end, UnavailableError when the connection breaks."""

    def close(self) -> None:
        """Free what it holds. Any number of times, also before the end."""


class BucketDriver(Protocol):
    """Blobs by key. Keys arrive checked: a non-empty str of at most 1,024 bytes in UTF-8, without lone surrogates.

    A key that a cloud cannot hold as it is gets an escaped name, by a mapping that is one to one and stable. Where that
    name is longer than the cloud takes, every method raises ValueError.
    """

    def write(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
        cache_control: str | None = None,
    ) -> BlobInfo:
        """Store ``data`` whole: a reader sees the old blob or the new one, never a part.

        ``if_absent`` and ``if_match`` are decided atomically with the write. Raises AlreadyExistsError,
        PreconditionFailedError, NotFoundError (no such bucket; or ``if_match`` and no such key →
        PreconditionFailedError), PermissionDeniedError, UnavailableError.
        """

    def write_parts(
        self,
        key: str,
        parts: Iterator[bytes],
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
        cache_control: str | None = None,
    ) -> BlobInfo:
        """Store what the parts make together, as ``write`` does; hold no more than one or two of them at a time.

        Each has PART_BYTES bytes, but for the last, which has 1 to PART_BYTES. There are at least two. When ``parts``
        raises, or a part is refused, the blob is as it was before, and what was uploaded is given up.
        """

    def read(
        self,
        key: str,
        start: int | None,
        end: int | None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes | None:
        """The blob, or its bytes ``start`` to ``end`` (exclusive; cut at the end of the blob). Raises NotFoundError.

        ``0 <= start <= end`` where both are given. An empty range is ``b""``. At most one condition is given:
        ``if_match`` raises PreconditionFailedError when the etag is another, ``if_none_match`` gives None when it is
        this one. They are decided atomically with the read.
        """

    def open(self, key: str, start: int | None, end: int | None, if_match: str | None) -> tuple[BlobInfo, Chunks]:
        """What is known of the blob (``size`` is the whole blob's), and its bytes, as ``read``, in pieces of any size.

        All pieces are of the version whose etag the info bears. Raises as ``read``, at once; UnavailableError also
        between two pieces. Memory does not grow with the blob. The caller closes the chunks.
        """

    def stat(self, key: str) -> BlobInfo:
        """Size, etag, time, content type, metadata and cache control, without the data. Raises NotFoundError."""

    def delete(self, key: str) -> None:
        """Remove the blob; a key that is not there is no error."""

    def delete_many(self, keys: Sequence[str]) -> Failures:
        """Remove up to 1,000 different keys, in as few calls as the cloud allows; return those that are still there.

        Raises what concerns all of them: NotFoundError (no such bucket), PermissionDeniedError, UnavailableError.
        """

    def copy(self, source: str, target: str, to: BucketDriver) -> BlobInfo:
        """Copy a blob to a key of ``to``, a driver of the same platform, with content type, metadata, cache control.

        The data does not pass through this process. Whole or not at all. Source and target differ. Raises NotFoundError
        naming the source, or the bucket that is missing. The info is the target's.
        """

    def list(self, prefix: str, delimiter: str | None) -> Infos:
        """Every blob whose key starts with ``prefix``, in order of the keys' UTF-8 bytes, fetched page by page.

        With a delimiter, keys that hold it after the prefix are folded into one ``is_prefix`` row each.
        """

    def url(self, key: str, method: str, expires: timedelta, content_type: str | None) -> SignedURL:
        """A URL for GET or PUT (``method``) of one key, up to 7 days. ``content_type`` is for PUT alone.

        Signed here where the credentials allow it. Raises UnsupportedError where nothing can sign.
        """

    def native(self) -> Any:
        """The vendor's own client or handle."""
