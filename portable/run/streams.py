"""How far a function has read one partition of a stream: the cloud's part, played on this machine.

A batch that fails comes again from the record it failed on. After the last attempt that record is given up, and the
next one follows: a cloud gives up the rest of its batch with it, unless its entry counts the attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from portable.events.records import StreamRecord

if TYPE_CHECKING:
    from portable.drivers import StreamDriver

__all__ = ["ATTEMPTS", "PartitionReader"]

ATTEMPTS = 5
"""Attempts before a record is given up whose function sets no ``max_attempts``: no stream here waits for a day."""


class PartitionReader:
    """Reads one partition, batch by batch. Not safe under threads.

    Args:
        options: of the trigger's record. after: the offset of the last record that is dealt with, None to begin with
            the oldest.
    """

    def __init__(
        self, driver: StreamDriver, stream: str, partition: str, options: dict[str, Any], after: str | None = None
    ) -> None:
        self._driver = driver
        self._stream = stream
        self.partition = partition
        self._largest: int = options["batch_size"]
        self._bisect: bool = options["bisect"]
        self._attempts: int = options["max_attempts"] or ATTEMPTS
        self._size = self._largest
        self.attempt = 1
        self.after = after

    def read(self) -> list[StreamRecord[bytes]]:
        """The next records. The first says which attempt this is, and those behind it that theirs is the first."""
        return [
            StreamRecord(
                self._stream,
                one.partition,
                one.offset,
                one.data,
                one.key,
                one.time,
                one.headers,
                1 if position else self.attempt,
                one,
            )
            for position, one in enumerate(self._driver.read(self.partition, self.after, self._size))
        ]

    def settle(self, batch: Sequence[StreamRecord[bytes]], failed: str | None) -> StreamRecord[bytes] | None:
        """Go on behind what is done. ``failed``: the offset from which the batch comes again.

        Returns the record that was given up.
        """
        if failed is None:
            self._go_on(batch[-1].offset)
            return None
        position = next(index for index, record in enumerate(batch) if record.offset == failed)
        if position:
            self._go_on(batch[position - 1].offset)
        self.attempt += 1
        if self._bisect:
            self._size = max(1, (len(batch) - position) // 2)
        if self.attempt <= self._attempts:
            return None
        self._go_on(failed)
        return batch[position]

    def _go_on(self, after: str) -> None:
        self.after = after
        self.attempt = 1
        self._size = self._largest
