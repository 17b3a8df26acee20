"""What an adapter implements: one Protocol a kind of resource, and the Platform that opens them.

A driver does only what its cloud must. Argument checks, encoding of bodies, async twins and the names in error
messages live once, in the portable types of ``portable.resources``. A driver translates its vendor's errors into the
classes of ``portable.errors`` with ``raise … from``, and retries nothing that is not idempotent.

Every driver is safe under threads. An async twin (``aread`` …) is optional: where a driver has none, the portable type
calls the sync method on a bounded thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Protocol

    from portable.resources import Resource
else:
    Protocol = object

__all__ = ["BlobInfo", "BucketDriver", "Platform", "QueueDriver", "Received", "SendFailure"]


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


class Received:
    """A message as a pull gave it. ``receipt`` is what ``acknowledge`` and ``retry`` take; it ends with the lease.

    ``body`` is the text as sent. ``attempt`` is 1 on the first delivery.
    """

    __slots__ = ("attempt", "attributes", "body", "group", "id", "receipt", "sent_at")

    def __init__(
        self,
        id: str,
        body: str,
        receipt: Any,
        attributes: dict[str, str] | None = None,
        attempt: int = 1,
        sent_at: datetime | None = None,
        group: str | None = None,
    ) -> None:
        self.id = id
        self.body = body
        self.receipt = receipt
        self.attributes = {} if attributes is None else attributes
        self.attempt = attempt
        self.sent_at = sent_at
        self.group = group


class SendFailure:
    """One body of a ``send_many`` that was not accepted: its position and why."""

    __slots__ = ("error", "index")

    def __init__(self, index: int, error: Exception) -> None:
        self.index = index
        self.error = error

    def __repr__(self) -> str:
        return f"<SendFailure {self.index}: {self.error}>"


class QueueDriver(Protocol):
    """Messages of text, delivered at least once. A body is JSON in UTF-8; attributes are strings."""

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        """Accept one message and return its id; once this returns the message survives a crash.

        Raises UnsupportedError for an option this queue cannot give, NotFoundError, PermissionDeniedError,
        UnavailableError (the message may have been accepted all the same).
        """

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """Accept each body on its own, in as few calls as the cloud allows; return those that were refused."""

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """Up to ``limit`` messages, waiting up to ``wait`` for the first; each hidden from others for ``lease``."""

    def acknowledge(self, received: Received) -> None:
        """The message is done. After the lease ended this may do nothing, and the message come back."""

    def retry(self, received: Received, after: timedelta | None) -> None:
        """Give the message back for another attempt, now or after a while; the attempt counts."""

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a copy on the dead-letter queue. Raises UnsupportedError where there is none."""

    def dead_letters(self, limit: int) -> list[Received]:
        """Look at dead letters without taking them for good. Raises UnsupportedError where there is none."""

    def native(self) -> Any:
        """The vendor's own client or handle."""


class Platform(Protocol):
    """Opens one cloud's drivers at run time. Made once an instance; safe under threads; opens nothing by itself."""

    target: str

    def open(self, resource: Resource) -> Any:
        """The driver of a declared resource. Raises ConfigError when its address is not in the environment,
        or the extra with the SDK is not installed (the message says what to type).
        """

    def close(self) -> None:
        """Close every client. The platform can be used again: it opens anew."""


def address_variable(kind: str, name: str) -> str:
    """The environment variable that holds a resource's address: ``PORTABLE_BUCKET_UPLOADS``.

    ``kind`` is one word; names have no underscore and no upper case, so two names never share a variable.
    """
    return f"PORTABLE_{kind.upper()}_{name.upper().replace('-', '_')}"


def read_address(kind: str, name: str, environment: Mapping[str, str] | None = None) -> str:
    """The address of a resource from the environment. Raises ConfigError naming the variable."""
    import os

    from portable.errors import ConfigError

    variable = address_variable(kind, name)
    address = (os.environ if environment is None else environment).get(variable)
    if not address:
        raise ConfigError(
            f"{kind} {name!r} has no address: the environment variable {variable} is not set. "
            "A deployment sets it on the functions that use the resource; see docs/reference/addresses.md"
        )
    return address
