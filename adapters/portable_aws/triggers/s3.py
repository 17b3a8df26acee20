"""S3 events: sent by the bucket itself, or through EventBridge.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

from portable.events import BlobEvent
from portable_aws.triggers import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

__all__ = ["S3", "S3EventBridge"]


def parse_time(text: str) -> datetime:
    """An RFC 3339 instant, as every AWS event writes it."""
    from datetime import datetime

    return datetime.fromisoformat(text)


class _Record(BlobEvent):
    __slots__ = ()
    _lazy = {
        "size": lambda event: event.native["s3"]["object"].get("size"),
        "time": lambda event: parse_time(event.native["eventTime"]),
        "version": lambda event: (
            event.native["s3"]["object"].get("versionId") or event.native["s3"]["object"].get("eTag")
        ),
    }


class _Detail(BlobEvent):
    __slots__ = ()
    _lazy = {
        "size": lambda event: event.native["detail"]["object"].get("size"),
        "time": lambda event: parse_time(event.native["time"]),
        "version": lambda event: (
            event.native["detail"]["object"].get("version-id") or event.native["detail"]["object"].get("etag")
        ),
    }


class S3:
    """A bucket's own notification. Keys are URL-encoded, a space as ``+``. ``bucket`` is the physical name."""

    source = "s3"

    @staticmethod
    def decode(event: dict[str, Any]) -> list[BlobEvent]:
        """Its records, one as a rule. Raises ValueError naming what is missing or unknown."""
        from urllib.parse import unquote_plus

        blobs: list[BlobEvent] = []
        try:
            for record in event["Records"]:
                blob = _Record.__new__(_Record)
                blob.native = record
                name = record["eventName"]
                if name.startswith("ObjectCreated:"):
                    blob.kind = "created"
                elif name.startswith(("ObjectRemoved:", "LifecycleExpiration:")):
                    blob.kind = "deleted"
                else:
                    raise ValueError(f"its eventName {name!r} is none of ObjectCreated, ObjectRemoved")
                blob.bucket = record["s3"]["bucket"]["name"]
                blob.key = unquote_plus(record["s3"]["object"]["key"])
                blobs.append(blob)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise malformed("s3", "an S3 notification", error, event) from error
        return blobs


class S3EventBridge:
    """A bucket's events through EventBridge. Keys are as they are. ``bucket`` is the physical name."""

    source = "s3-eventbridge"
    _KINDS = {"Object Created": "created", "Object Deleted": "deleted"}

    @classmethod
    def decode(cls, event: dict[str, Any]) -> list[BlobEvent]:
        """Its one event. Raises ValueError naming what is missing or unknown."""
        try:
            blob = _Detail.__new__(_Detail)
            blob.native = event
            name = event["detail-type"]
            if name not in cls._KINDS:
                raise ValueError(f"its detail-type {name!r} is none of {', '.join(cls._KINDS)}")
            blob.kind = cls._KINDS[name]  # type: ignore[assignment]
            blob.bucket = event["detail"]["bucket"]["name"]
            blob.key = event["detail"]["object"]["key"]
            if not isinstance(blob.key, str):
                raise TypeError(f"the object's key is {blob.key!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise malformed("s3-eventbridge", "an S3 event of EventBridge", error, event) from error
        return [blob]
