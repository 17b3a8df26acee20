"""Local events for neutral ones, and back: the inverse of the codecs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from portable.drivers.tags import encode
from portable.events import BlobEvent, Change, Request, Response, SocketEvent, Tick
from portable.manifest import FunctionRecord
from portable.samples import Event, Outcome
from portable.samples.neutral import request_target
from portable.samples.sockets import outcome_of, socket_data
from portable_local.triggers import bytes_to_text, text_to_bytes

__all__ = ["SAMPLES", "LocalSamples"]


class LocalSamples:
    """See ``portable.samples.Samples``."""

    batch_limit: int | None = None

    def sources(self, kind: str) -> Sequence[str]:
        """One for each kind, of the same name."""
        return (kind,)

    def native(self, function: FunctionRecord, event: Event, *, source: str | None = None) -> Any:  # noqa: ARG002
        """The event as JSON values."""
        if isinstance(event, Request):
            return _request(event)
        if isinstance(event, BlobEvent):
            fields: dict[str, Any] = {"kind": event.kind, "bucket": event.bucket, "key": event.key}
            return {**fields, "size": event.size, "version": event.version, "time": event.time.isoformat()}
        if isinstance(event, Change):
            return _change(event)
        if isinstance(event, Tick):
            return {"scheduled_at": event.scheduled_at.isoformat()}
        if function.kind == "message":
            kind, name = function.triggers[0].source
            return {kind: name, "messages": [_message(message) for message in event]}
        if isinstance(event, SocketEvent):
            return _socket(event)
        if function.kind == "stream":
            batch: Any = event
            return {"stream": batch[0].stream, "records": [_record(record) for record in batch]}
        return event

    def outcome(
        self,
        function: FunctionRecord,
        event: Event,
        answer: Any,
        *,
        source: str | None = None,  # noqa: ARG002
    ) -> Outcome:
        """What the answer says."""
        if function.kind in ("http", "socket"):
            body = text_to_bytes(answer) if answer["base64"] else answer["body"]
            response = Response(body, answer["status"], [tuple(pair) for pair in answer["headers"]])
            return Outcome(response=response) if function.kind == "http" else outcome_of(event, response)
        if function.kind == "message":
            rows = answer["failed"]
            after = {row["id"]: row["after"] for row in rows if row["after"] is not None}
            return Outcome(failed=[row["id"] for row in rows], after=after)
        if function.kind == "stream":
            return Outcome(failed=[f"{one['partition']}/{one['offset']}" for one in answer["failed"]])
        return Outcome(value=answer)


def _request(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.raw_path,
        "query": [list(pair) for pair in request.query.items()],
        "query_string": request_target(request).partition("?")[2],
        "headers": [list(pair) for pair in request.headers.items()],
        **bytes_to_text(request.body),
        "client": request.client,
        "scheme": request.scheme,
        "host": request.host,
    }


def _change(change: Change[Any]) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "table": change.table,
        "key": list(change.key) if isinstance(change.key, tuple) else change.key,
        "old": None if change.old is None else encode(change.old),
        "new": None if change.new is None else encode(change.new),
        "time": change.time.isoformat(),
    }


def _socket(event: SocketEvent) -> dict[str, Any]:
    native = socket_data(event)
    if event.kind == "message":
        body = event.body
        text = isinstance(body, str)
        native |= {"body": body if isinstance(body, str) else b64encode(body).decode(), "base64": not text}
    return native


def _message(message: Any) -> dict[str, Any]:
    sent_at: datetime | None = message.sent_at
    return {
        "id": message.id,
        "body": message.body,
        "attributes": message.attributes,
        "attempt": message.attempt,
        "sent_at": sent_at.isoformat() if sent_at else None,
        "group": message.group,
    }


def _record(record: Any) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "data": b64encode(record.body).decode(),
        "key": record.key,
        "time": record.time.isoformat() if record.time else None,
        "attempt": record.attempt,
    }


SAMPLES = LocalSamples()
