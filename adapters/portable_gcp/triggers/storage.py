"""Blob events: CloudEvents of Cloud Storage, which Eventarc sends in binary mode.

https://cloud.google.com/eventarc/docs/cloudevents#cloud_storage; the data is a StorageObjectData,
https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/storage/v1/data.proto.

An event names the physical bucket; the declared one is found by its address in the environment. Cloud Storage filters
by bucket alone: prefix, suffix and kind are looked at here. Overwriting a blob of a bucket without versioning sends a
``deleted`` for the old one beside the ``finalized``.
"""

from __future__ import annotations

from portable.errors import HTTPError
from portable.events import BlobEvent, Response
from portable_gcp.bucket import key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

__all__ = ["KINDS", "StorageEventarc"]

KINDS = {
    "google.cloud.storage.object.v1.finalized": "created",
    "google.cloud.storage.object.v1.deleted": "deleted",
}


def _time(event: StorageEvent) -> datetime:
    from datetime import datetime

    return datetime.fromisoformat(event.native["time"])


class StorageEvent(BlobEvent):
    """A blob event read from the CloudEvent as far as a handler looks."""

    __slots__ = ()
    _lazy = {**BlobEvent._lazy, "time": _time}

    def __init__(self, native: Any, kind: Any, bucket: str, key: str) -> None:
        data = native.data
        size = data.get("size")
        self.native = native
        self.kind = kind
        self.bucket = bucket
        self.key = key
        try:
            self.size = None if size is None or kind == "deleted" else int(size)
        except (OverflowError, TypeError, ValueError) as error:
            raise HTTPError(400, f"not an event of Cloud Storage: its 'size' is no number: {error}") from error
        self.version = data.get("generation")


class StorageEventarc:
    """An Eventarc trigger a function, on one bucket and one type of event."""

    signature = "cloudevent"
    guarded = True

    @staticmethod
    def decode(native: Any, declared: Mapping[str, str]) -> BlobEvent:
        """The blob event. ``declared`` maps physical names to declared ones. Raises HTTPError 400, and 404 for a bucket
        that is not this function's.
        """
        kind = KINDS.get(native["type"])
        if kind is None:
            raise HTTPError(400, f"an event of type {native['type']!r} came, this function takes {', '.join(KINDS)}")
        data = native.data
        if not isinstance(data, dict):
            raise HTTPError(400, "not an event of Cloud Storage: its data is no object")
        for field in ("bucket", "name"):
            if not isinstance(data.get(field), str) or not data[field]:
                raise HTTPError(400, f"not an event of Cloud Storage: its data has no {field!r}")
        bucket = declared.get(data["bucket"])
        if bucket is None:
            raise HTTPError(404, f"bucket {data['bucket']!r} is none of this function's: {', '.join(declared)}")
        return StorageEvent(native, kind, bucket, key_of(data["name"]))

    @staticmethod
    def encode(_: Any) -> Response:
        """Done."""
        return Response(None, 204)
