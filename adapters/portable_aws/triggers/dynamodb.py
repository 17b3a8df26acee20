"""Records of a DynamoDB table's stream.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from __future__ import annotations

from portable.events import Change
from portable_aws.items import decode_item, decode_row
from portable_aws.triggers import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["DynamoDBStream"]

_KINDS = {"INSERT": "insert", "MODIFY": "update", "REMOVE": "delete"}


def _time(change: Change[Any]) -> datetime:
    from datetime import UTC, datetime

    seconds = change.native["dynamodb"].get("ApproximateCreationDateTime")  # not in every record, says the reference
    return datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _image(name: str) -> Any:
    def read(change: Change[Any]) -> Any:
        image = change.native["dynamodb"].get(name)
        return None if image is None else decode_row(dict(image)).item

    return read


class _Record(Change):  # type: ignore[type-arg]  # subscribing costs at a cold start
    __slots__ = ()
    _lazy = {"new": _image("NewImage"), "old": _image("OldImage"), "time": _time}


class DynamoDBStream:
    """A batch of one shard of a table's stream, in order. ``table`` is the physical name, ``key`` the key's fields.

    An item's images are there as far as the stream's view type has them.
    """

    source = "dynamodb-stream"

    @staticmethod
    def decode(event: dict[str, Any]) -> list[Change[Any]]:
        """Its records. Raises ValueError naming what is missing or unknown."""
        changes: list[Change[Any]] = []
        try:
            for record in event["Records"]:
                change: Change[Any] = _Record.__new__(_Record)
                change.native = record
                name = record["eventName"]
                if name not in _KINDS:
                    raise ValueError(f"its eventName {name!r} is none of {', '.join(_KINDS)}")
                change.kind = _KINDS[name]  # type: ignore[assignment]
                # arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL
                change.table = record["eventSourceARN"].split("/")[1]
                change.key = decode_item(record["dynamodb"]["Keys"])
                changes.append(change)
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise malformed("dynamodb-stream", "a batch of a DynamoDB stream", error, event) from error
        return changes

    @staticmethod
    def encode(failed: Change[Any] | None) -> dict[str, Any]:
        """The answer: Lambda delivers again from the record that failed on, with all behind it."""
        if failed is None:
            return {"batchItemFailures": []}
        try:
            return {"batchItemFailures": [{"itemIdentifier": failed.native["dynamodb"]["SequenceNumber"]}]}
        except KeyError as error:  # nothing else says from where on, so all of it comes again
            raise malformed("dynamodb-stream", "a batch of a DynamoDB stream", error, {}) from error
