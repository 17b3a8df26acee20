"""What a handler of a stream receives. Apart from the other events: only those who have a stream import it."""

from __future__ import annotations

from portable.events.lazy import Lazy, check_aware
from portable.generics import Generic, T

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["StreamRecord"]


class StreamRecord(Lazy, Generic[T]):
    """One record of a stream. The records of one partition come in order, one batch after the other.

    Attributes:
        stream: the name declared in the app. partition: of the stream: a shard's id, or a partition's number as text.
        offset: its place in the partition: a sequence number or offset, as text. body: decoded to the stream's type.
        key: what the record was sent under, None where it has none. time: aware datetime it was accepted at, or None.
        headers: by name; some clouds have none. attempt: 1 on the first delivery, None where the cloud does not count.
        native: the vendor's own record.
    """

    __slots__ = ("_failed", "attempt", "body", "headers", "key", "native", "offset", "partition", "stream", "time")
    stream: str
    partition: str
    offset: str
    body: T
    key: str | None
    time: datetime | None
    headers: dict[str, bytes]
    attempt: int | None
    native: Any
    _failed: BaseException | bool
    _lazy = {"_failed": lambda record: False}

    def __init__(
        self,
        stream: str,
        partition: str,
        offset: str,
        body: T,
        key: str | None = None,
        time: datetime | None = None,
        headers: dict[str, bytes] | None = None,
        attempt: int | None = None,
        native: object = None,
    ) -> None:
        self.stream = stream
        self.partition = partition
        self.offset = offset
        self.body = body
        self.key = key
        if time is not None:
            check_aware("time", time)
        self.time = time
        self.headers = {} if headers is None else headers
        self.attempt = attempt
        self.native = native

    @property
    def id(self) -> str:
        """``partition/offset``: one record of its stream."""
        return f"{self.partition}/{self.offset}"

    def fail(self, error: BaseException | None = None) -> None:
        """Stop its partition here: this record and all behind it in the partition come again; those before are done.

        ``error`` may be a :class:`~portable.Reject`: then this record alone is given up, and its partition goes on.
        """
        self._failed = error if error is not None else True

    @property
    def failed(self) -> BaseException | bool:
        """What :meth:`fail` was given, True without an error, False when it was not called."""
        return self._failed

    def __repr__(self) -> str:
        return f"<StreamRecord {self.stream} {self.id}>"
