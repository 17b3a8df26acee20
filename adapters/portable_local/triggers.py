"""The local event sources: neutral events as JSON, one class each. Nobody's format but ours, so nothing is renamed.

    http      {"method", "path", "query": [[name, value]], "query_string", "headers": [[name, value]], "body", "base64",
               "client", "scheme", "host"}; "path" and "query_string" as sent, percent signs and all; "query" decoded
    message   {"queue" or "topic", "messages": [{"id", "body", "attributes", "attempt", "sent_at", "group"}]}; "body" is
               JSON text
    blob      {"kind", "bucket", "key", "size", "version", "time"}
    change    {"kind", "table", "key", "old", "new", "time"}; items as ``portable.drivers.tags`` has them, a key of two
               fields as a list
    schedule  {"scheduled_at"}
    stream    {"stream", "records": [{"partition", "offset", "data", "key", "time", "attempt"}]}; "data" is base64
    socket    {"kind", "connection"}, and of a connect event "query", "headers", "client", of a message "body" and
               "base64", of a disconnect "code", "reason"
    direct    the payload

An event that lacks what it needs raises ValueError naming that.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime

from portable.drivers.tags import decode
from portable.errors import ConfigError, Retry
from portable.events import BlobEvent, Change, Headers, Message, Query, Request, SocketEvent, Tick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portable.events import Response
    from portable.events.records import StreamRecord

__all__ = ["SOURCES", "Blob", "Changed", "Direct", "HTTP", "Queued", "Schedule", "Socket", "Streamed", "codec_of"]


def _need(event: Any, source: str, *names: str) -> None:
    if not isinstance(event, dict):
        raise ValueError(f"a local {source} event is an object, got {type(event).__name__}")  # noqa: TRY004
    missing = [name for name in names if name not in event]
    if missing:
        raise ValueError(f"a local {source} event has no {', '.join(map(repr, missing))}")


def _texts(event: dict[str, Any], source: str, *names: str) -> None:
    """Raise ValueError naming what is there and no text."""
    for name in names:
        if name in event and not isinstance(event[name], str):
            raise ValueError(f"{name!r} of a local {source} event is a text, got {event[name]!r}")


def _instant(event: dict[str, Any], name: str, source: str) -> datetime:
    try:
        found = datetime.fromisoformat(event[name])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name!r} of a local {source} event is an ISO 8601 instant, got {event[name]!r}") from error
    if found.tzinfo is None:
        raise ValueError(f"{name!r} of a local {source} event has no UTC offset: {event[name]!r}")
    return found


def _raw_query(request: Request) -> str:
    text: str | None = request.native.get("query_string")
    return Request._lazy["raw_query"](request) if text is None else text


class LocalRequest(Request):
    """A request whose fields are read from its event when they are asked for."""

    __slots__ = ()
    _lazy = {
        **Request._lazy,
        "query": lambda request: Query(request.native.get("query") or ()),
        "raw_query": _raw_query,
        "headers": lambda request: Headers(request.native.get("headers") or ()),
        "body": lambda request: text_to_bytes(request.native),
        "client": lambda request: request.native.get("client"),
        "scheme": lambda request: request.native.get("scheme") or "http",
        "host": lambda request: request.native.get("host") or request.headers.get("host", ""),
    }


def text_to_bytes(event: dict[str, Any]) -> bytes:
    """The body of an HTTP event or answer."""
    body = event.get("body") or ""
    return b64decode(body) if event.get("base64") else body.encode()


def bytes_to_text(body: bytes | str | None) -> dict[str, Any]:
    """A body as the two fields of an event or answer: text stays text."""
    if isinstance(body, bytes):
        try:
            return {"body": body.decode(), "base64": False}
        except UnicodeDecodeError:
            return {"body": b64encode(body).decode(), "base64": True}
    return {"body": body or "", "base64": False}


class HTTP:
    """Requests."""

    source = "http"

    @staticmethod
    def decode(event: Any) -> Request:
        """The request of an event."""
        _need(event, "http", "method", "path")
        _texts(event, "http", "method", "path", "body")
        request = LocalRequest.__new__(LocalRequest)
        request.native = event
        request.method = event["method"].upper()
        request.raw_path = event["path"]
        request.root_path = ""
        return request

    @staticmethod
    def encode(response: Response) -> dict[str, Any]:
        """The answer to a request."""
        headers = [list(pair) for pair in response.header_pairs()]
        return {"status": response.status, "headers": headers, **bytes_to_text(response.body)}


class Queued:
    """Batches of one queue or topic."""

    source = "message"

    @staticmethod
    def decode(event: Any) -> tuple[str, list[Message[Any]]]:
        """The ``key`` of the trigger, and the messages with their bodies as sent."""
        _need(event, "message", "messages", *(["queue"] if not isinstance(event, dict) or "topic" not in event else []))
        _texts(event, "message", "queue", "topic")
        messages: list[Message[Any]] = []
        for record in event["messages"]:
            _need(record, "message", "id", "body")
            _texts(record, "message", "id", "body")
            sent_at = _instant(record, "sent_at", "message") if record.get("sent_at") else None
            attempt, attributes = record.get("attempt") or 1, dict(record.get("attributes") or {})
            messages.append(
                Message(record["id"], record["body"], attributes, attempt, sent_at, record.get("group"), record)
            )
        return f"topic:{event['topic']}" if "topic" in event else event["queue"], messages

    @staticmethod
    def encode(messages: Sequence[Message[Any]], outcomes: Sequence[BaseException | None]) -> dict[str, Any]:
        """``{"failed": [{"id", "error", "after"}]}``: messages to deliver again, ``after`` seconds or None."""
        failed = []
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome is None:
                continue
            after = outcome.after if isinstance(outcome, Retry) else None
            seconds = None if after is None else after.total_seconds()
            failed.append({"id": message.id, "error": f"{type(outcome).__name__}: {outcome}", "after": seconds})
        return {"failed": failed}


class Blob:
    """Changes of a bucket."""

    source = "blob"

    @staticmethod
    def decode(event: Any) -> BlobEvent:
        """The blob event."""
        _need(event, "blob", "kind", "bucket", "key", "time")
        _texts(event, "blob", "kind", "bucket", "key")
        if event["kind"] not in ("created", "deleted"):
            raise ValueError(f"'kind' of a local blob event is created or deleted, got {event['kind']!r}")
        time = _instant(event, "time", "blob")
        size, version = event.get("size"), event.get("version")
        return BlobEvent(event["kind"], event["bucket"], event["key"], size, version, time, event)


class Changed:
    """Changes of a table."""

    source = "change"

    @staticmethod
    def decode(event: Any) -> Change[Any]:
        """The change, its items as a driver gives them."""
        _need(event, "change", "kind", "table", "key", "time")
        _texts(event, "change", "kind", "table")
        for name in ("old", "new"):
            if not isinstance(event.get(name), dict | None):
                raise ValueError(f"{name!r} of a local change event is an item, got {event[name]!r}")  # noqa: TRY004
        if event["kind"] not in ("insert", "update", "delete"):
            raise ValueError(f"'kind' of a local change event is insert, update or delete, got {event['kind']!r}")
        key = tuple(event["key"]) if isinstance(event["key"], list) else event["key"]
        old, new = (None if event.get(name) is None else decode(event[name]) for name in ("old", "new"))
        return Change(event["kind"], event["table"], key, old, new, _instant(event, "time", "change"), event)


class Schedule:
    """Ticks."""

    source = "schedule"

    @staticmethod
    def decode(event: Any) -> Tick:
        """The tick."""
        _need(event, "schedule", "scheduled_at")
        return Tick(_instant(event, "scheduled_at", "schedule"), event)


class Socket:
    """Events of a websocket. The answer is as HTTP's: of a connect, whether it is accepted."""

    source = "socket"

    @staticmethod
    def decode(event: Any) -> SocketEvent:
        """The event."""
        _need(event, "socket", "kind", "connection")
        _texts(event, "socket", "kind", "connection", "body")
        if event["kind"] not in ("connect", "message", "disconnect"):
            raise ValueError(f"'kind' of a local socket event is connect, message or disconnect, got {event['kind']!r}")
        body = event.get("body") or ""
        return SocketEvent(
            event["kind"],
            event["connection"],
            b64decode(body) if event.get("base64") else body,
            query=event.get("query") or (),
            headers=event.get("headers") or (),
            client=event.get("client"),
            code=event.get("code"),
            reason=event.get("reason") or "",
            native=event,
        )

    @staticmethod
    def encode(response: Response) -> dict[str, Any]:
        """The answer."""
        return HTTP.encode(response)


class Direct:
    """Calls by name: the event is the payload, and the answer is the value."""

    source = "direct"

    @staticmethod
    def decode(event: Any) -> Any:
        """The payload."""
        return event


class Streamed:
    """Batches of one stream."""

    source = "stream"

    @staticmethod
    def decode(event: Any) -> list[StreamRecord[Any]]:
        """The records, their bodies as sent."""
        from portable.events.records import StreamRecord

        _need(event, "stream", "stream", "records")
        _texts(event, "stream", "stream")
        records: list[StreamRecord[Any]] = []
        for one in event["records"]:
            _need(one, "stream", "partition", "offset", "data")
            _texts(one, "stream", "partition", "offset", "data")
            time = _instant(one, "time", "stream") if one.get("time") else None
            data = b64decode(one["data"])
            place = event["stream"], one["partition"], one["offset"]
            records.append(StreamRecord(*place, data, one.get("key"), time, {}, one.get("attempt"), one))
        return records

    @staticmethod
    def encode(batch: Sequence[StreamRecord[Any]], outcomes: list[BaseException | None]) -> dict[str, Any]:
        """``{"failed": [{"partition", "offset"}]}``: from where on each partition comes again."""
        from portable.invoke.streams import first_failures

        failed = first_failures(batch, outcomes)
        return {"failed": [{"partition": one.partition, "offset": one.offset} for one in failed]}


SOURCES: dict[str, Any] = {
    codec.source: codec for codec in (HTTP, Queued, Blob, Changed, Schedule, Streamed, Direct, Socket)
}
"""By trigger kind, which names the source too: there is one for each."""


def codec_of(kind: str, source: str | None) -> Any:
    """The codec of a function. Raises ConfigError for a source this machine does not have."""
    if source not in (None, kind):
        raise ConfigError(f"{source!r} is no local event source of a {kind} function; it has {kind!r}")
    return SOURCES[kind]
