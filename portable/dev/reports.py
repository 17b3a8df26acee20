"""What the pages say about functions, queues, buckets and schedules, as JSON values."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from portable.dev.journal import Entry
from portable.dev.schedules import ScheduleDelivery
from portable.dev.times import expression
from portable.drivers import BlobInfo, Received
from portable.manifest import place
from portable.triggers import HTTPRoute, StreamTrigger

if TYPE_CHECKING:
    from portable.dev.serving import Session

__all__ = [
    "blob_document",
    "bucket_reports",
    "entry_document",
    "function_reports",
    "message_document",
    "parked_documents",
    "queue_reports",
    "stream_reports",
    "topic_reports",
    "schedule_reports",
]

_COUNTED = 10_000
"""Blobs a bucket's size is counted up to."""


def entry_document(entry: Entry) -> dict[str, Any]:
    """An invocation."""
    found: dict[str, Any] = msgspec.to_builtins(entry)
    found["at"] = _instant(entry.at)
    found["milliseconds"] = round(entry.milliseconds, 3)
    found["subject"] = " ".join(entry.subject.split())
    return found


def function_reports(session: Session) -> list[dict[str, Any]]:
    """The functions, their triggers, and what their last invocation came to."""
    from portable.dev.serving import callers

    assert session.application is not None
    waiting = session.state.waiting()
    reports = []
    for function in session.application.functions.values():
        last = session.journal.last.get(function.name)
        report: dict[str, Any] = {
            "name": function.name,
            "kind": function.kind,
            "called_by": callers(function),
            "timeout": function.timeout,
            "where": place(function.triggers[0].where, session.root),
            "last": None if last is None else entry_document(last),
        }
        if function.kind == "http":
            report["routes"] = [
                f"{trigger.method} {trigger.path}" for trigger in function.triggers if isinstance(trigger, HTTPRoute)
            ]
        if function.kind == "blob":
            report["waiting"] = waiting.get(function.name, 0)
        reports.append(report)
    return reports


def queue_reports(session: Session) -> list[dict[str, Any]]:
    """The queues. ``depth``: messages that wait, are hidden for a while, or are in hand."""
    assert session.application is not None
    reports = []
    for record in session.application.manifest.of_kind("queue"):
        driver = session.application.driver(session.platform, "queue", record.name)
        readers = [function.name for function, trigger in session.application.queues() if trigger.key == record.name]
        reports.append(
            {
                "name": record.name,
                "functions": readers,
                "max_attempts": record.options["max_attempts"],
                "depth": driver.depth(),
                "dead_letters": driver.dead_letter_count(),
            }
        )
    return reports


def stream_reports(session: Session) -> list[dict[str, Any]]:
    """The streams: of each partition its last record, and the last that each function has dealt with."""
    assert session.application is not None
    readers: dict[str, list[str]] = {}
    for function, trigger in session.application.triggers(StreamTrigger):
        readers.setdefault(trigger.stream.name, []).append(function.name)
    reports = []
    for record in session.application.manifest.of_kind("stream"):
        name = record.name
        driver = session.application.driver(session.platform, "stream", name)
        reports.append(
            {
                "name": name,
                "last": driver.last(),
                "partitions": [
                    {
                        "partition": one,
                        "functions": {
                            function: session.state.last_change(function, f"stream:{name}/{one}")
                            for function in readers.get(name, ())
                        },
                    }
                    for one in driver.partitions()
                ],
            }
        )
    return reports


def topic_reports(session: Session) -> list[dict[str, Any]]:
    """The topics, and of each function that handles one what waits for it."""
    assert session.application is not None
    manifest = session.application.manifest
    reports = []
    for record in manifest.of_kind("topic"):
        driver = session.application.driver(session.platform, "topic", record.name)
        subscriptions = [
            (name, wanted, driver.subscription(name)) for name, wanted in manifest.subscriptions(record.name).items()
        ]
        reports.append(
            {
                "name": record.name,
                "max_attempts": record.options["max_attempts"],
                "subscriptions": [
                    {
                        "function": name,
                        "filter": wanted,
                        "depth": one.depth(),
                        "dead_letters": one.dead_letter_count(),
                    }
                    for name, wanted, one in subscriptions
                ],
            }
        )
    return reports


def bucket_reports(session: Session) -> list[dict[str, Any]]:
    """The buckets, and what they hold; beyond ``_COUNTED`` blobs they are not counted (``more``)."""
    assert session.application is not None
    reports = []
    for record in session.application.manifest.of_kind("bucket"):
        driver = session.application.driver(session.platform, "bucket", record.name)
        sizes = [info.size for info in islice(driver.list("", None), _COUNTED + 1)]
        counted = sizes[:_COUNTED]
        reports.append(
            {"name": record.name, "blobs": len(counted), "bytes": sum(counted), "more": len(sizes) > _COUNTED}
        )
    return reports


def schedule_reports(session: Session) -> list[dict[str, Any]]:
    """The schedules, and when they are due next."""
    return [
        {
            "name": part.name,
            "function": part.function.name,
            "expression": expression(part.trigger),
            "next": part.next.isoformat(timespec="seconds"),
        }
        for part in session.parts
        if isinstance(part, ScheduleDelivery)
    ]


def parked_documents(session: Session) -> list[dict[str, Any]]:
    """Blob events that were given up."""
    return [
        {
            "id": task.id,
            "function": task.function,
            "kind": task.kind,
            "bucket": task.bucket,
            "key": task.key,
            "attempts": task.attempt,
            "error": task.error,
            "at": _instant(task.time),
        }
        for task in session.state.parked()
    ]


def blob_document(info: BlobInfo) -> dict[str, Any]:
    """A blob, without its bytes."""
    return {
        "key": info.key,
        "size": info.size,
        "etag": info.etag,
        "time": None if info.time is None else info.time.isoformat(timespec="milliseconds"),
        "content_type": info.content_type,
        "metadata": info.metadata or {},
    }


def message_document(one: Received) -> dict[str, Any]:
    """A message. ``body`` is its JSON, or the text when it is none."""
    try:
        body = msgspec.json.decode(one.body)
    except msgspec.DecodeError:
        body = one.body
    return {
        "id": one.id,
        "body": body,
        "attributes": one.attributes,
        "attempts": one.attempt,
        "sent_at": None if one.sent_at is None else one.sent_at.isoformat(timespec="milliseconds"),
    }


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
