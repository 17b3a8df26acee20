"""Event Hubs: a batch of one partition, ``azure.functions.EventHubEvent`` with the cardinality ``many``.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-event-hubs-trigger
https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages: a function that fails is called
again with the whole batch, as its retry policy says, in the same instance while that lives. The position in the
partition moves on with the last retry, whatever came of it; without an end to them it stays until the instance ends.

There is no answer that says how far a batch is done. So the entry remembers that, and leaves out of the batch that
comes again what is done; a batch that another instance gets is handed over whole.
"""

from __future__ import annotations

from portable.events.records import StreamRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from portable.invoke.streams import Outcomes

__all__ = ["EventHubTrigger"]


def _headers(rows: Any, position: int) -> dict[str, bytes]:
    """An event's application properties; those that are no text as they are written in JSON."""
    found = rows[position] if isinstance(rows, list) and position < len(rows) else None
    if not isinstance(found, dict):
        return {}
    from json import dumps

    return {name: (one if isinstance(one, str) else dumps(one)).encode() for name, one in found.items()}


def _of_json(value: Any) -> Any:
    if not isinstance(value, (str, bytes)):
        return value
    from json import loads

    return loads(value)


class EventHubTrigger:
    """``eventHubTrigger``. ``partition`` is Event Hubs' partition id, ``offset`` the sequence number.

    Args:
        stream: the declared name.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._done: dict[str, int] = {}  # the last sequence number that is done, of partitions whose batch failed

    def decode(self, native: Any, attempt: int) -> list[StreamRecord[Any]]:
        """The records that are not done, bodies as bytes. Raises ValueError for events without what tells them apart.

        Args:
            attempt: 1 for the first delivery of the batch.
        """
        if not native:
            return []
        metadata = native[0].metadata or {}
        context = _of_json(metadata.get("PartitionContext"))
        partition = context.get("PartitionId") if isinstance(context, dict) else None
        if partition is None:
            raise ValueError("a batch of Event Hubs has a PartitionContext with a PartitionId in its metadata")
        done = self._done.get(partition) if attempt > 1 else None
        properties = _of_json(metadata.get("PropertiesArray"))
        records: list[StreamRecord[Any]] = []
        for position, event in enumerate(native):
            number = event.sequence_number
            if number is None:
                raise ValueError("an event of an Event Hubs trigger has a SequenceNumber in its metadata")
            if done is not None and number <= done:
                continue
            records.append(
                StreamRecord(
                    self._stream,
                    str(partition),
                    str(number),
                    event.get_body(),
                    event.partition_key or None,
                    _aware(event.enqueued_time),
                    _headers(properties, position),
                    attempt,
                    event,
                )
            )
        return records

    def encode(self, batch: Sequence[StreamRecord[Any]], outcomes: Outcomes) -> None:
        """Remember how far the batch is done. Raises the first failure: the host then calls again."""
        if not batch:
            return
        partition = batch[0].partition
        for position, outcome in enumerate(outcomes):
            if outcome is not None:
                if position:
                    self._done[partition] = int(batch[position - 1].offset)
                raise outcome
        self._done.pop(partition, None)


def _aware(time: datetime | None) -> datetime | None:
    if time is None or time.tzinfo is not None:
        return time
    from datetime import UTC

    return time.replace(tzinfo=UTC)
