"""What a cloud itself pushes: events of buckets and tables in its own words.

aws    Amazon EventBridge's JSON of S3, which an API destination posts; records of a table's stream, which a pipe posts
gcp    CloudEvents of Cloud Storage and Firestore, which Eventarc posts
azure  CloudEvents of Blob Storage, which Event Grid posts

The first two are read by those adapters' own codecs, found by name: a bundle has one of them, and only for that cloud.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from portable.drivers import read_address
from portable.drivers.table import Schema
from portable.errors import ConfigError, HTTPError
from portable.events import BlobEvent
from portable.jsontext import load_text
from portable_container.events import CloudEvent, Misfit

if TYPE_CHECKING:
    from portable.events import Request
    from portable_container.functions import Function

__all__ = ["KINDS", "guard", "reader"]

ReadCloudEvents = Callable[["Request"], list[CloudEvent]]

KINDS = {"aws": ("blob", "change"), "gcp": ("blob", "change"), "azure": ("blob",)}
"""The kinds of triggers whose events each cloud can post by itself."""


def reader(platform: str) -> Any:
    """What reads a platform's own events; None for one that posts none."""
    made: dict[str, Any] = {"aws": _Amazon, "gcp": _Google, "azure": _Azure}
    return made[platform]() if platform in made else None


def guard(platform: str, environment: Mapping[str, str]) -> Callable[[dict[str, str]], None] | None:
    """What verifies the token that a platform's own pushes bear: Google's, where the environment says what to expect.

    Raises ConfigError for half of that.
    """
    if platform != "gcp" or not environment.get("PORTABLE_EVENT_AUDIENCE"):
        return None
    check: Callable[[dict[str, str]], None] = _module("portable_gcp.triggers.identity").Guard(environment).check
    return check


def _module(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def _declared(function: Function, physical: str, scheme: str) -> str:
    """The declared name of the bucket that bears a physical one. Raises Misfit."""
    names = sorted({trigger.bucket.name for trigger in function.triggers})
    if len(names) == 1:
        return str(names[0])
    for name in names:
        if read_address("bucket", name).removeprefix(scheme).rstrip("/") == physical:
            return str(name)
    raise Misfit(f"bucket {physical!r} is none of function {function.name}'s: {', '.join(names)}")


class _Amazon:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""

    def read(self, function: Function, request: Request, _: ReadCloudEvents) -> Sequence[Any] | None:
        """The events of a request; None when it is none of Amazon's. Raises Misfit."""
        if function.kind not in KINDS["aws"] or request.headers.get("ce-type") is not None:
            return None
        if "cloudevents" in (request.content_type or ""):
            return None
        try:
            return self._blobs(function, request) if function.kind == "blob" else self._changes(function, request)
        except ValueError as error:
            raise Misfit(str(error)) from error

    def _blobs(self, function: Function, request: Request) -> Sequence[Any]:
        codec = _module("portable_aws.triggers").codec_of("blob", "s3-eventbridge")
        events = codec.decode(load_text(request.body))
        for event in events:
            event.bucket = _declared(function, event.bucket, "s3://")
        return events  # type: ignore[no-any-return]

    def _changes(self, function: Function, request: Request) -> Sequence[Any]:
        codec = _module("portable_aws.triggers").codec_of("change", "dynamodb-stream")
        records = load_text(request.body)
        if isinstance(records, dict):
            records = records.get("Records", [records])
        changes = codec.decode({"Records": records})
        tables = {trigger.table.name: trigger.table for trigger in function.triggers}
        for change in changes:
            if len(tables) == 1:
                change.table = next(iter(tables))
            else:
                change.table = _table(tables, change.table)
            key = Schema(tables[change.table].options).key_of(change.key)
            change.key = key[0] if len(key) == 1 else key
        return changes  # type: ignore[no-any-return]


def _table(tables: Any, physical: str) -> str:
    for name in tables:
        if read_address("table", name).removeprefix("dynamodb://").rstrip("/") == physical:
            return str(name)
    raise Misfit(f"a change of table {physical!r}, which is none of {', '.join(tables)}")


class _Google:
    """https://cloud.google.com/eventarc/docs/cloudevents."""

    SOURCES = {"blob": "storage-eventarc", "change": "firestore-eventarc"}

    def read(self, function: Function, request: Request, read: ReadCloudEvents) -> Sequence[Any] | None:
        """The events of a request; None when it is none of Google's. Raises Misfit."""
        if function.kind not in self.SOURCES:
            return None
        events = read(request)
        if not all(str(event["type"]).startswith("google.") for event in events):
            return None
        codec = _module("portable_gcp.triggers").codec(self.SOURCES[function.kind])
        try:
            if function.kind == "blob":
                names = {trigger.bucket.name for trigger in function.triggers}
                declared: Any = {read_address("bucket", name).removeprefix("gs://"): name for name in names}
            else:
                tables = {trigger.table.name: trigger.table for trigger in function.triggers}
                declared = {
                    read_address("table", name): (name, Schema(table.options)) for name, table in tables.items()
                }
            return [codec.decode(event, declared) for event in events]
        except HTTPError as error:
            raise Misfit(error.detail or str(error)) from error
        except ConfigError as error:
            raise Misfit(str(error)) from error


class _Azure:
    """https://learn.microsoft.com/en-us/azure/event-grid/event-schema-blob-storage."""

    TYPES = {"Microsoft.Storage.BlobCreated": "created", "Microsoft.Storage.BlobDeleted": "deleted"}
    _CONTAINERS, _BLOBS = "/blobServices/default/containers/", "/blobs/"

    def read(self, function: Function, request: Request, read: ReadCloudEvents) -> Sequence[Any] | None:
        """The events of a request; None when it is none of Azure's. Raises Misfit."""
        if function.kind != "blob":
            return None
        events = read(request)
        if not all(event["type"] in self.TYPES for event in events):
            return None
        return [self._blob(function, event) for event in events]

    def _blob(self, function: Function, event: CloudEvent) -> BlobEvent:
        subject = str(event.get("subject") or "")
        container, found, name = subject.removeprefix(self._CONTAINERS).partition(self._BLOBS)
        if not subject.startswith(self._CONTAINERS) or not found or not isinstance(event.data, dict):
            raise Misfit(f"not an event of Blob Storage: its subject is {subject!r}")
        names = sorted({trigger.bucket.name for trigger in function.triggers})
        bucket = next((one for one in names if _is_container(one, container)), None)
        if bucket is None:
            raise Misfit(f"container {container!r} is none of function {function.name}'s: {', '.join(names)}")
        key = _module("portable_azure.keys").decode_key(name)
        kind: Any = self.TYPES[event["type"]]
        size = event.data.get("contentLength") if kind == "created" else None
        time: datetime = event.time
        return BlobEvent(kind, bucket, key, size, event.data.get("eTag"), time, event)


def _is_container(bucket: str, container: str) -> bool:
    """An address ends with the container's name: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``."""
    address = unquote(read_address("bucket", bucket)).partition("?")[0].rstrip("/")
    return address.rpartition("/")[2] == container
