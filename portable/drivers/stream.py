"""The driver of a stream: records in partitions, each partition in order."""

from __future__ import annotations

from portable.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any, Protocol

    from portable.drivers.queue import SendFailure
else:
    Protocol = object

__all__ = ["HandledStream", "StoredRecord", "StreamDriver"]


class StoredRecord:
    """A record as a stream keeps it. ``offset`` grows within ``partition``; see ``portable.StreamRecord``."""

    __slots__ = ("data", "headers", "key", "offset", "partition", "time")

    def __init__(
        self,
        partition: str,
        offset: str,
        data: bytes,
        key: str | None,
        time: datetime,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        self.partition = partition
        self.offset = offset
        self.data = data
        self.key = key
        self.time = time
        self.headers = dict(headers or {})


class StreamDriver(Protocol):
    """Safe under threads. Raises the classes of ``portable.errors``."""

    def send_many(self, records: Sequence[tuple[str, bytes]]) -> list[SendFailure]:
        """Accept each record, a key and its data, on its own; those of one key end up in one partition.

        Returns those that were refused, by index; of one key, the order of the others is as given. Raises
        UnsupportedError where a stream can only be handled.
        """

    def partitions(self) -> list[str]:
        """The partitions there are, for who plays a cloud's deliveries on this machine."""

    def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:
        """Up to ``limit`` records behind ``after``, in order; from the oldest that is kept when it is None."""

    def read_since(self, partition: str, since: datetime, limit: int) -> list[StoredRecord]:
        """Up to ``limit`` records accepted at an instant (aware) or later, in order. None may be there yet."""

    def native(self) -> Any:
        """The vendor's own client or handle."""

    def close(self) -> None:
        """Close connections; the driver can be used again."""


class HandledStream:
    """A stream whose records a function is given, and nothing here writes or reads.

    Args:
        name: of the stream. advice: why not, and with what it is written to.
    """

    def __init__(self, name: str, advice: str) -> None:
        self._label = f"stream {name}"
        self._advice = advice

    def _refuse(self) -> UnsupportedError:
        return UnsupportedError(self._advice, resource=self._label)

    def send_many(self, records: Sequence[tuple[str, bytes]]) -> list[SendFailure]:  # noqa: ARG002
        """Raises UnsupportedError."""
        raise self._refuse()

    def partitions(self) -> list[str]:
        """None that could be read here."""
        return []

    def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:  # noqa: ARG002
        """Raises UnsupportedError."""
        raise self._refuse()

    def read_since(self, partition: str, since: datetime, limit: int) -> list[StoredRecord]:  # noqa: ARG002
        """Raises UnsupportedError."""
        raise self._refuse()

    def native(self) -> Any:
        """Raises UnsupportedError."""
        raise self._refuse()

    def close(self) -> None:
        """Nothing is open."""
