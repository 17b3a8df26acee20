"""What stands behind a Bucket."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any, Protocol
else:
    Protocol = object

__all__ = ["BlobInfo", "BucketDriver"]


class BlobInfo:
    """What a bucket knows of one blob.

    Attributes:
        key: as written. size: bytes. etag: changes with every write; opaque, what ``if_match`` takes.
        time: last write, aware datetime. content_type and metadata: None where a listing does not carry them.
        is_prefix: True for a common prefix of a listing with a delimiter; then only ``key`` means anything.
    """

    __slots__ = ("content_type", "etag", "is_prefix", "key", "metadata", "size", "time")

    def __init__(
        self,
        key: str,
        size: int = 0,
        etag: str | None = None,
        time: datetime | None = None,
        content_type: str | None = None,
        metadata: dict[str, str] | None = None,
        *,
        is_prefix: bool = False,
    ) -> None:
        self.key = key
        self.size = size
        self.etag = etag
        self.time = time
        self.content_type = content_type
        self.metadata = metadata
        self.is_prefix = is_prefix

    def __repr__(self) -> str:
        return f"<BlobInfo {self.key!r} {self.size} bytes>"


class BucketDriver(Protocol):
    """Blobs by key. Keys arrive checked: a non-empty str of at most 1,024 bytes in UTF-8, without lone surrogates."""

    def write(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        if_absent: bool,
        if_match: str | None,
    ) -> BlobInfo:
        """Store ``data`` whole: a reader sees the old blob or the new one, never a part.

        ``if_absent`` and ``if_match`` are decided atomically with the write. Raises AlreadyExistsError,
        PreconditionFailedError, NotFoundError (no such bucket; or ``if_match`` and no such key →
        PreconditionFailedError), PermissionDeniedError, UnavailableError.
        """

    def read(self, key: str, start: int | None, end: int | None) -> bytes:
        """The blob, or its bytes ``start`` to ``end`` (exclusive; cut at the end of the blob). Raises NotFoundError.

        ``0 <= start <= end`` where both are given. An empty range is ``b""``.
        """

    def stat(self, key: str) -> BlobInfo:
        """Size, etag, time, content type and metadata, without the data. Raises NotFoundError."""

    def delete(self, key: str) -> None:
        """Remove the blob; a key that is not there is no error."""

    def list(self, prefix: str, delimiter: str | None) -> Iterator[BlobInfo]:
        """Every blob whose key starts with ``prefix``, in order of the keys' UTF-8 bytes, fetched page by page.

        With a delimiter, keys that hold it after the prefix are folded into one ``is_prefix`` row each.
        """

    def native(self) -> Any:
        """The vendor's own client or handle."""
