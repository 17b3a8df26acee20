"""Events as they reach a container over HTTP, and what the answers say: the inverse of its front and of its events.

A native event is the request a process gets, ``{"method", "path", "headers": [[name, value]], "body", "base64"}``; its
answer is ``{"status", "headers", "body", "base64"}``. A body that is no text is in base64. Messages, which a process
polls for, are shown as they can be pushed, and those of a websocket as whoever holds it pushes them. The token is for
whoever posts to add.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from portable.drivers.tags import encode
from portable.errors import ConfigError
from portable.events import BlobEvent, Change, Request, Response, SocketEvent, Tick
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord
from portable.samples import Event, Outcome
from portable.samples.neutral import request_target
from portable.samples.posted import body_of, error_of, response_of, with_body
from portable.samples.sockets import outcome_of, socket_data
from portable_container.build import source_of
from portable_container.control import EVENTS, FUNCTIONS
from portable_container.events import TYPES

__all__ = ["SAMPLES", "ContainerSamples"]

# What the server adds to any answer; it is none of the function's.
_OF_THE_SERVER = ("connection", "date", "transfer-encoding")


class ContainerSamples:
    """See ``portable.samples.Samples``."""

    batch_limit: int | None = None

    def sources(self, kind: str) -> Sequence[str]:
        """One for each kind."""
        return (source_of(kind),)

    def native(self, function: FunctionRecord, event: Event, *, source: str | None = None) -> Any:  # noqa: ARG002 - there is one
        """The request that brings an event. Raises ConfigError for a kind that comes in no request."""
        if isinstance(event, Request):
            return _http(event)
        if function.kind == "direct":
            headers = [["content-type", "application/json"]]
            body = encode_text(event)
            return {
                "method": "POST",
                "path": FUNCTIONS + function.name,
                "headers": headers,
                "body": body,
                "base64": False,
            }
        if function.kind not in TYPES:
            raise ConfigError(f"function {function.name!r}: no request brings a container {function.kind} events")
        data, time = _data(function, event)
        document = {
            "specversion": "1.0",
            "id": "1",
            "source": f"/{function.kind}",
            "type": TYPES[function.kind],
            "time": time.astimezone(UTC).isoformat(),
            "datacontenttype": "application/json",
            "data": data,
        }
        headers = [["content-type", "application/cloudevents+json"]]
        body = encode_text(document)
        return {"method": "POST", "path": EVENTS + function.name, "headers": headers, "body": body, "base64": False}

    def outcome(
        self,
        function: FunctionRecord,
        event: Event,
        answer: Any,
        *,
        source: str | None = None,  # noqa: ARG002
    ) -> Outcome:
        """What the answer says."""
        body = body_of(answer)
        if function.kind == "http":
            return Outcome(response=response_of(event, answer, body, _OF_THE_SERVER))
        status = answer["status"]
        if not 200 <= status < 300:
            return Outcome(error=error_of(status, body))
        if function.kind == "message":
            rows = json.loads(body)["failed"]
            after = {row["id"]: row["after"] for row in rows if row["after"] is not None}
            return Outcome(failed=[row["id"] for row in rows], after=after)
        if function.kind == "stream":
            return Outcome(failed=[f"{one['partition']}/{one['offset']}" for one in json.loads(body)["failed"]])
        if function.kind == "socket":
            given = json.loads(body)
            headers = [(name, value) for name, value in given["headers"]]
            return outcome_of(event, Response(body_of(given), given["status"], headers))
        return Outcome(value=json.loads(body) if function.kind == "direct" and body else None)


def _http(event: Request) -> dict[str, Any]:
    """What stands before a container adds the caller's address, and the scheme it was reached by."""
    headers = [[name, value] for name, value in event.headers.items()]
    if event.client:
        headers.append(["x-forwarded-for", event.client])
    headers.append(["x-forwarded-proto", event.scheme])
    return with_body({"method": event.method, "path": request_target(event), "headers": headers}, event.body)


def _data(function: FunctionRecord, event: Any) -> tuple[dict[str, Any], datetime]:
    now = datetime.now(UTC)
    if isinstance(event, BlobEvent):
        fields: dict[str, Any] = {"kind": event.kind, "bucket": event.bucket, "key": event.key}
        return {**fields, "size": event.size, "version": event.version}, event.time
    if isinstance(event, Change):
        key = list(event.key) if isinstance(event.key, tuple) else event.key
        old, new = (None if item is None else encode(item) for item in (event.old, event.new))
        return {"kind": event.kind, "table": event.table, "key": key, "old": old, "new": new}, event.time
    if isinstance(event, Tick):
        return {"scheduled_at": event.scheduled_at.isoformat()}, now
    if isinstance(event, SocketEvent):
        return _socket(event), now
    if function.kind == "stream":
        return {"stream": event[0].stream, "records": [_record(record) for record in event]}, now
    kind, name = function.triggers[0].source
    return {kind: name, "messages": [_message(message) for message in event]}, now


def _socket(event: SocketEvent) -> dict[str, Any]:
    data = socket_data(event)
    if event.kind == "message":
        data = with_body(data, event.body.encode() if isinstance(event.body, str) else event.body)
        if not isinstance(event.body, str) and not data["base64"]:  # bytes that happen to be a text are bytes still
            data |= {"body": b64encode(event.body).decode(), "base64": True}
    return data


def _record(record: Any) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "data": b64encode(record.body).decode(),
        "key": record.key,
        "time": record.time.isoformat() if record.time else None,
        "attempt": record.attempt,
    }


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


SAMPLES = ContainerSamples()
