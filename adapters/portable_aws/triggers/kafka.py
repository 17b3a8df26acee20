"""Kafka: Amazon MSK, and clusters of one's own; with ``ReportBatchItemFailures``.

https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html and …/with-kafka.html
https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html: partial answers count for a mapping in
provisioned mode that has them turned on; to any other mapping every answer is a success.
"""

from __future__ import annotations

from binascii import a2b_base64  # base64 brings re along

from portable.events.records import StreamRecord
from portable_aws.triggers import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

__all__ = ["MSK", "SelfManagedKafka"]


def _key(record: StreamRecord[Any]) -> str | None:
    """Kafka's keys are bytes: those that are no text are given in base64, as the event has them."""
    text = record.native.get("key")
    if text is None:
        return None
    try:
        return a2b_base64(text).decode()
    except ValueError:
        return str(text)


def _headers(record: StreamRecord[Any]) -> dict[str, bytes]:
    """The last of a name. Java's bytes are signed, and so are the numbers of the event."""
    found = {}
    for pair in record.native.get("headers") or ():
        for name, numbers in pair.items():
            found[name] = bytes(number & 0xFF for number in numbers)
    return found


def _time(record: StreamRecord[Any]) -> datetime | None:
    millis = record.native.get("timestamp")
    if millis is None or millis < 0:  # -1: the broker keeps no time
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(millis / 1000, UTC)


class _Record(StreamRecord):  # type: ignore[type-arg]  # subscribing costs at a cold start
    __slots__ = ()
    _lazy = {
        **StreamRecord._lazy,
        "attempt": lambda record: None,
        "headers": _headers,
        "key": _key,
        "time": _time,
    }


_new = _Record.__new__


class MSK:
    """An event source mapping of a topic of Amazon MSK. A batch may hold several partitions, each in order."""

    source = "msk"

    @classmethod
    def decode(cls, event: dict[str, Any]) -> list[StreamRecord[Any]]:
        """The batch, bodies as bytes, None for a tombstone. Raises ValueError naming what is missing."""
        records: list[StreamRecord[Any]] = []
        try:
            for rows in event["records"].values():
                for native in rows:
                    record = _new(_Record)
                    record.native = native
                    record.offset = str(int(native["offset"]))
                    record.partition = str(int(native["partition"]))
                    value = native.get("value")
                    record.body = None if value is None else a2b_base64(value, strict_mode=True)
                    records.append(record)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise malformed(cls.source, "a batch of a Kafka topic", error, event) from error
        return records

    @staticmethod
    def stream(event: dict[str, Any]) -> str:
        """The topic this batch is from."""
        return str(next(rows[0]["topic"] for rows in event["records"].values() if rows))

    @staticmethod
    def encode(failed: Sequence[StreamRecord[Any]]) -> dict[str, Any]:
        """The answer: from where on each partition comes again."""
        try:
            rows = [
                {"partition": f"{record.native['topic']}-{record.partition}", "offset": int(record.offset)}
                for record in failed
            ]
        except (KeyError, ValueError) as error:  # nothing else says from where on, so all of it comes again
            raise malformed("kafka", "a batch of a Kafka topic", error, {}) from error
        return {"batchItemFailures": [{"itemIdentifier": row} for row in rows]}


class SelfManagedKafka(MSK):
    """An event source mapping of a topic of any other cluster."""

    source = "kafka"
