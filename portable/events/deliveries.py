"""What is delivered to handlers: messages, events of blobs, ticks of schedules, changes of tables."""

from __future__ import annotations

from portable.events.lazy import Lazy, check_aware
from portable.generics import Generic, T

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Literal

__all__ = ["BlobEvent", "Change", "Message", "Tick"]


class Message(Lazy, Generic[T]):
    """One message of a queue or topic.

    Attributes:
        id: the cloud's id of the message. body: decoded to the queue's type.
        attributes: strings by name. attempt: 1 on the first delivery, where the cloud counts; else 1.
        sent_at: aware datetime. group: the ordering group, or None. native: the vendor's own record.
    """

    __slots__ = ("_failed", "attempt", "attributes", "body", "group", "id", "native", "sent_at")
    id: str
    body: T
    attributes: dict[str, str]
    attempt: int
    sent_at: datetime | None
    group: str | None
    native: Any
    _failed: BaseException | bool
    _lazy = {"_failed": lambda message: False}

    def __init__(
        self,
        id: str,
        body: T,
        attributes: dict[str, str] | None = None,
        attempt: int = 1,
        sent_at: datetime | None = None,
        group: str | None = None,
        native: object = None,
    ) -> None:
        self.id = id
        self.body = body
        self.attributes = {} if attributes is None else attributes
        self.attempt = attempt
        if sent_at is not None:
            check_aware("sent_at", sent_at)
        self.sent_at = sent_at
        self.group = group
        self.native = native

    def fail(self, error: BaseException | None = None) -> None:
        """Mark this message of a batch for another attempt; the rest of the batch is done.

        ``error`` may be a :class:`~portable.Retry` or :class:`~portable.Reject` to say more.
        """
        self._failed = error if error is not None else True

    @property
    def failed(self) -> BaseException | bool:
        """What :meth:`fail` was given, True without an error, False when it was not called."""
        return self._failed

    def __repr__(self) -> str:
        return f"<Message {self.id}>"


class BlobEvent(Lazy):
    """A blob was created (or overwritten) or deleted.

    Attributes:
        kind: ``"created"`` or ``"deleted"``. bucket: the name declared in the app. key: decoded.
        size: bytes, or None where the cloud does not say (deletions). version: the cloud's version or ETag, or None.
        time: aware datetime. native: the vendor's own event.
    """

    __slots__ = ("bucket", "key", "kind", "native", "size", "time", "version")
    kind: Literal["created", "deleted"]
    bucket: str
    key: str
    size: int | None
    version: str | None
    time: datetime
    native: Any

    def __init__(
        self,
        kind: Literal["created", "deleted"],
        bucket: str,
        key: str,
        size: int | None = None,
        version: str | None = None,
        time: datetime | None = None,
        native: object = None,
    ) -> None:
        self.kind = kind
        self.bucket = bucket
        self.key = key
        self.size = size
        self.version = version
        if time is None:
            from datetime import UTC, datetime

            time = datetime.now(UTC)
        check_aware("time", time)
        self.time = time
        self.native = native

    def __repr__(self) -> str:
        return f"<BlobEvent {self.kind} {self.bucket} {self.key!r}>"


class Tick(Lazy):
    """A schedule is due. ``scheduled_at`` is the aware datetime it was due at, where the cloud says; else now."""

    __slots__ = ("native", "scheduled_at")
    scheduled_at: datetime
    native: Any

    def __init__(self, scheduled_at: datetime, native: object = None) -> None:
        check_aware("scheduled_at", scheduled_at)
        self.scheduled_at = scheduled_at
        self.native = native

    def __repr__(self) -> str:
        return f"<Tick {self.scheduled_at.isoformat()}>"


class Change(Lazy, Generic[T]):
    """An item of a table was inserted, updated or deleted.

    Attributes:
        kind: ``"insert"``, ``"update"`` or ``"delete"``; deletions come only to a handler that asked for ``old=True``.
        table: the name declared in the app. key: the item's key as ``get_many`` takes it: a value, or a pair where the
            table has a sort key. new: the item, None after a deletion. old: the item before, None after an insertion
            and for a handler that did not ask. time: aware datetime. native: the vendor's own record.
    """

    __slots__ = ("key", "kind", "native", "new", "old", "table", "time")
    kind: Literal["insert", "update", "delete"]
    table: str
    key: Any
    old: T | None
    new: T | None
    time: datetime
    native: Any

    def __init__(
        self,
        kind: Literal["insert", "update", "delete"],
        table: str,
        key: Any,
        old: T | None = None,
        new: T | None = None,
        time: datetime | None = None,
        native: object = None,
    ) -> None:
        self.kind = kind
        self.table = table
        self.key = key
        self.old = old
        self.new = new
        if time is None:
            from datetime import UTC, datetime

            time = datetime.now(UTC)
        check_aware("time", time)
        self.time = time
        self.native = native

    def __repr__(self) -> str:
        return f"<Change {self.kind} {self.table} {self.key!r}>"
