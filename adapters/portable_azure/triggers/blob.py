"""Blobs: a blob trigger (``azure.functions.InputStream``), or an Event Grid trigger (``EventGridEvent``)."""

from __future__ import annotations

from portable.events import BlobEvent
from portable_azure.keys import decode_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Literal

__all__ = ["BlobStorageTrigger", "EventGridTrigger"]


def _read_time(text: str | None) -> datetime:
    from datetime import UTC, datetime

    if not text:
        return datetime.now(UTC)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class BlobStorageTrigger:
    """``blobTrigger``, polling or with ``source: EventGrid``: blobs created or overwritten.

    The host reads the whole blob and hands it over; ``event.native`` is its stream.

    Args:
        bucket: the declared bucket's name; the trigger is bound to its container.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def decode(self, native: Any) -> BlobEvent:
        """Raises ValueError for an event without ``BlobTrigger`` (container and name) in its metadata."""
        name = (native.name or "").partition("/")[2]
        if not name:
            raise ValueError(f"a blob trigger's metadata has BlobTrigger as 'container/name', got {native.name!r}")
        properties = native.blob_properties or {}
        etag = properties.get("ETag")
        size = native.length
        if size is None:  # so azure.functions reads the length of an empty blob
            size = properties.get("ContentLength", properties.get("Length"))
        return BlobEvent(
            "created",
            self._bucket,
            decode_key(name),
            size,
            etag.strip('"') if etag else None,
            _read_time(properties.get("LastModified")),
            native,
        )


class EventGridTrigger:
    """``eventGridTrigger`` in the Event Grid schema: ``Microsoft.Storage.BlobCreated`` and ``BlobDeleted``.

    https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage

    Args:
        bucket: the declared bucket's name. container: the container it is bound to, None where that is not known.
    """

    _KINDS: dict[str, Literal["created", "deleted"]] = {
        "Microsoft.Storage.BlobCreated": "created",
        "Microsoft.Storage.BlobDeleted": "deleted",
    }

    def __init__(self, bucket: str, container: str | None) -> None:
        self._bucket = bucket
        self._container = container

    def decode(self, native: Any) -> BlobEvent | None:
        """None for a blob of another container. Raises ValueError for an event that is none of a blob."""
        kind = self._KINDS.get(native.event_type)
        data = native.get_json()
        _, mark, place = (native.subject or "").partition("/blobServices/default/containers/")
        container, blobs, name = place.partition("/blobs/")
        if kind is None or not mark or not blobs or not name or not isinstance(data, dict):
            raise ValueError(
                "an Event Grid event of a blob has the type Microsoft.Storage.BlobCreated or BlobDeleted and the "
                f"subject /blobServices/default/containers/…/blobs/…, got {native.event_type!r} and {native.subject!r}"
            )
        if self._container is not None and container != self._container:
            return None
        size = data.get("contentLength") if kind == "created" else None
        etag = data.get("eTag")
        time = native.event_time
        return BlobEvent(
            kind,
            self._bucket,
            decode_key(name),
            size,
            etag.strip('"') if etag else None,
            time or _read_time(None),
            native,
        )
