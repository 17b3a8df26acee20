"""Streams on Kinesis: ``kinesis://NAME``. A topic of Kafka, ``kafka://TOPIC``, can be handled and not be sent to.

A shard is a partition; a key is Kinesis' partition key.
"""

from __future__ import annotations

from portable.drivers import SendFailure, StoredRecord, read_address
from portable.drivers.stream import HandledStream
from portable.errors import ConfigError, UnsupportedError
from portable_aws._sdk import Client, retrying
from portable_aws.errors import translate
from portable_aws.limits import STREAM_BATCH_BYTES, STREAM_BATCH_RECORDS, STREAM_READ_RECORDS, STREAM_RECORD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from portable.resources import Resource

    Entry = tuple[int, dict[str, Any]]

__all__ = ["KinesisStream", "open_driver"]

KAFKA = (
    "portable brings no Kafka client: a topic of Kafka can be handled here, and is written to with a client of your "
    "own (confluent-kafka)"
)


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> KinesisStream | HandledStream:
    """The driver of a declared stream. Raises ConfigError without an address, or with another's."""
    address = read_address("stream", resource.name, environment)
    scheme, _, name = address.partition("://")
    if scheme == "kafka" and name:
        return HandledStream(resource.name, KAFKA)
    if scheme != "kinesis" or not name:
        raise ConfigError(
            f"the address of stream {resource.name!r} is kinesis://NAME or kafka://TOPIC, not {address!r}"
        )
    return KinesisStream(resource.name, name, environment)


class KinesisStream:
    """One data stream."""

    def __init__(self, name: str, physical: str, environment: Mapping[str, str] | None) -> None:
        self._label = f"stream {name}"
        self._stream = physical
        self._client = Client("kinesis", environment)

    def send_many(self, records: Sequence[tuple[str, bytes]]) -> list[SendFailure]:
        """See ``portable.drivers``. 500 records or 10 MiB a call; one that was refused is not tried again, for it would
        come behind later ones of its key.
        """
        failures: list[SendFailure] = []
        for chunk in self._chunks(records, failures):
            answer = self._call("put_records", StreamName=self._stream, Records=[entry for _, entry in chunk])
            for (index, entry), row in zip(chunk, answer["Records"], strict=True):
                if row.get("ErrorCode"):
                    failures.append(SendFailure(index, self._refused(row, entry["PartitionKey"])))
        return sorted(failures, key=lambda failure: failure.index)

    def _chunks(self, records: Sequence[tuple[str, bytes]], failures: list[SendFailure]) -> Iterator[list[Entry]]:
        chunk: list[Entry] = []
        size = 0
        for index, (key, data) in enumerate(records):
            own = len(data) + len(key.encode())
            if own > STREAM_RECORD_BYTES:
                message = f"Kinesis takes records of {STREAM_RECORD_BYTES} bytes, the key included, not {own}"
                failures.append(SendFailure(index, UnsupportedError(message, resource=self._label, key=key)))
                continue
            if chunk and (len(chunk) == STREAM_BATCH_RECORDS or size + own > STREAM_BATCH_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append((index, {"Data": data, "PartitionKey": key}))
            size += own
        if chunk:
            yield chunk

    def _refused(self, row: Mapping[str, Any], key: str) -> Exception:
        from portable_aws.queue import Refusal

        return translate(Refusal({"Code": row["ErrorCode"], "Message": row.get("ErrorMessage", "")}), self._label, key)

    def partitions(self) -> list[str]:
        """The shards, those that were split or merged among them while they hold records."""
        answer = retrying(lambda: self._call("list_shards", StreamName=self._stream))
        return [shard["ShardId"] for shard in answer["Shards"]]

    def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:
        """See ``portable.drivers``."""
        return self._records(partition, self._get(partition, _start(after), limit))

    def read_since(self, partition: str, since: datetime, limit: int) -> list[StoredRecord]:
        """See ``portable.drivers``."""
        start = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since}
        return self._records(partition, self._get(partition, start, limit))

    def parents(self) -> dict[str, list[str]]:
        """Each shard, and those it was split or merged from, which hold what was sent before."""
        answer = retrying(lambda: self._call("list_shards", StreamName=self._stream))
        known = {shard["ShardId"] for shard in answer["Shards"]}
        ties = ("ParentShardId", "AdjacentParentShardId")
        return {shard["ShardId"]: [shard[tie] for tie in ties if shard.get(tie) in known] for shard in answer["Shards"]}

    def is_over(self, partition: str, after: str | None) -> bool:
        """Whether a shard was split or merged, and holds nothing behind an offset."""
        answer = self._get(partition, _start(after), 1)
        return not answer["Records"] and not answer.get("NextShardIterator")

    def _get(self, partition: str, start: Mapping[str, Any], limit: int) -> Any:
        where = {"StreamName": self._stream, "ShardId": partition}
        iterator = retrying(lambda: self._call("get_shard_iterator", **where, **start))["ShardIterator"]
        most = min(limit, STREAM_READ_RECORDS)
        return retrying(lambda: self._call("get_records", ShardIterator=iterator, Limit=most))

    @staticmethod
    def _records(partition: str, answer: Any) -> list[StoredRecord]:
        return [
            StoredRecord(
                partition, row["SequenceNumber"], row["Data"], row["PartitionKey"], row["ApproximateArrivalTimestamp"]
            )
            for row in answer["Records"]
        ]

    def native(self) -> Any:
        """The Kinesis client of botocore."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _call(self, method: str, **options: Any) -> Any:
        try:
            return getattr(self._client.get(), method)(**options)
        except Exception as error:
            raise translate(error, self._label) from error


def _start(after: str | None) -> dict[str, Any]:
    """Where an iterator begins: behind an offset, or with the oldest record."""
    if after is None:
        return {"ShardIteratorType": "TRIM_HORIZON"}
    return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
