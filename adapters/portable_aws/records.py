"""A batch of a stream's records from its event to the answer that says from where on it comes again."""

from __future__ import annotations

from portable.invoke import run
from portable.invoke.streams import first_failures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.events.records import StreamRecord
    from portable.invoke.streams import StreamFunction

__all__ = ["RecordDelivery"]


class RecordDelivery:
    """Hands the batches of one function's streams to its handlers.

    What raises here fails the invocation, and then Lambda delivers the whole batch again: no record is lost.
    """

    def __init__(self, function: StreamFunction, codec: Any) -> None:
        self._function = function
        self._codec = codec
        self._streams = {trigger.stream.name: trigger.stream for trigger in function.triggers}
        self._only = next(iter(self._streams)) if len(self._streams) == 1 else None

    def deliver(self, event: Any) -> dict[str, Any]:
        """The answer to one event."""
        batch = self._codec.decode(event)
        if not batch:
            return {"batchItemFailures": []}
        name = self._only or self._declared(self._codec.stream(event))
        for record in batch:
            record.stream = name
        if self._codec.source == "kinesis" and self._streams[name].type is not bytes:
            _warn_of_aggregates(name, batch)
        outcomes: Any = self._function(batch)
        if self._function.is_async:
            outcomes = run(outcomes)
        if outcomes.count(None) == len(batch):
            return {"batchItemFailures": []}
        answer: dict[str, Any] = self._codec.encode(first_failures(batch, outcomes))
        return answer

    def _declared(self, physical: str) -> str:
        from portable.drivers import read_address
        from portable.errors import ConfigError

        for name in self._streams:
            if read_address("stream", name).partition("://")[2].rstrip("/") == physical:
                return name
        raise ConfigError(
            f"a batch of stream {physical!r}, whose address is none of those of {', '.join(self._streams)}"
        )


def _warn_of_aggregates(stream: str, batch: list[StreamRecord[Any]]) -> None:
    """Say why such a record is about to fail."""
    from portable_aws.triggers.kinesis import AGGREGATED

    for record in batch:
        if record.body.startswith(AGGREGATED):
            from logging import getLogger

            getLogger("portable").error(
                "record %s of stream %s holds several, put together by the Kinesis Producer Library: turn its "
                "AggregationEnabled off, or declare the stream with the type bytes and take them apart",
                record.id,
                stream,
            )
            return
