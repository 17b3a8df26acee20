"""Kinesis, with ``ReportBatchItemFailures``. A batch is of one shard, in order.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
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

__all__ = ["AGGREGATED", "Kinesis"]

AGGREGATED = b"\xf3\x89\x9a\xc2"
"""What the data of a record begins with that the Kinesis Producer Library made of several."""


def _time(record: StreamRecord[Any]) -> datetime | None:
    seconds = record.native["kinesis"].get("approximateArrivalTimestamp")
    if seconds is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


class _Record(StreamRecord):  # type: ignore[type-arg]  # subscribing costs at a cold start
    __slots__ = ()
    _lazy = {
        **StreamRecord._lazy,
        "attempt": lambda record: None,
        "headers": lambda record: {},
        "key": lambda record: record.native["kinesis"].get("partitionKey"),
        "time": _time,
    }


_new = _Record.__new__


class Kinesis:
    """An event source mapping of a data stream. ``partition`` is the shard's id, ``offset`` the sequence number."""

    source = "kinesis"

    @staticmethod
    def decode(event: dict[str, Any]) -> list[StreamRecord[Any]]:
        """The batch, bodies as bytes. Raises ValueError naming what is missing: the whole batch then comes again."""
        records: list[StreamRecord[Any]] = []
        try:
            for native in event["Records"]:
                record = _new(_Record)
                record.native = native
                inner = native["kinesis"]
                offset = record.offset = inner["sequenceNumber"]
                if offset.__class__ is not str:
                    raise TypeError(f"its sequenceNumber is {offset!r}")
                record.partition = native["eventID"].partition(":")[0]
                record.body = a2b_base64(inner["data"], strict_mode=True)
                records.append(record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise malformed("kinesis", "a batch of a Kinesis stream", error, event) from error
        return records

    @staticmethod
    def stream(event: dict[str, Any]) -> str:
        """Physical name of the stream this batch is from."""
        # arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, and /consumer/… behind it with enhanced fan-out
        return str(event["Records"][0]["eventSourceARN"]).split("/")[1]

    @staticmethod
    def encode(failed: Sequence[StreamRecord[Any]]) -> dict[str, Any]:
        """The answer: Lambda delivers again from the record that failed on, with all behind it."""
        return {"batchItemFailures": [{"itemIdentifier": record.offset} for record in failed]}
