"""Neutral events: realistic ones for any function of a manifest, and their form as JSON documents.

The documents are what ``portable run`` takes at ``POST /_portable/functions/<name>``, what ``verify.json`` holds and
what ``portable events`` prints::

    http      {"method": "POST", "path": "/users?page=2", "headers": [["accept", "*/*"]], "json": {…}}
    message   {"messages": [{"body": {…}, "attributes": {…}}]}        "body" is any JSON value
    stream    {"records": [{"body": {…}, "key": "ann"}]}               "body" is any JSON value
    blob      {"kind": "created", "key": "in/cat.png", "size": 1024}
    change    {"kind": "update", "key": "ann", "old": {…}, "new": {…}} items as ``portable.drivers.tags`` has them
    schedule  {"scheduled_at": "2026-03-29T08:00:00Z"}
    socket    {"kind": "message", "text": "hello"}                     see ``portable.samples.sockets``
    direct    the payload itself
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

import msgspec

from portable.drivers.tags import decode, encode
from portable.errors import ConfigError
from portable.events import BlobEvent, Change, Message, Request, SocketEvent, Tick
from portable.events.records import StreamRecord
from portable.http.mounts import ANY
from portable.http.routing import parse_path
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord, TriggerRecord
from portable.samples import Event
from portable.samples.sockets import SocketDocument, sample, socket_document
from portable.samples.sockets import event_of as socket_event_of
from portable.schedules.due import Due

__all__ = [
    "SentRequest",
    "event_document",
    "event_of",
    "make_request",
    "request_target",
    "sample_event",
    "sample_events",
]

SAMPLE_TIME = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)
"""The instant sample events happened at: fixed, so that a printed sample is the same tomorrow."""

_PARAMETERS = {
    "str": "sample",
    "int": "7",
    "float": "2.5",
    "uuid": "7f9c24e8-3b12-4fef-91e0-56a2d5a1b0c3",
    "path": "2026/sample.txt",
}


class RequestDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``path`` is the target as sent, with its query and percent signs. The body is one of ``json``, ``text`` and
    ``base64``; ``json`` adds its content type unless a header says one.
    """

    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] | list[tuple[str, str]] = []
    json: Any = msgspec.UNSET
    text: str | None = None
    base64: bytes | None = None


class MessageDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``body`` is a JSON value. ``id`` is made up and ``sent_at`` is now when left out."""

    body: Any
    id: str = ""
    attributes: dict[str, str] = {}
    attempt: int = 1
    sent_at: datetime | None = None
    group: str | None = None


class MessagesDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A batch."""

    messages: list[MessageDocument]


class BlobDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``bucket`` is the declared name, the function's own bucket when left out."""

    key: str
    kind: Literal["created", "deleted"] = "created"
    bucket: str = ""
    size: int | None = None
    version: str | None = None
    time: datetime | None = None


class ChangeDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """``table`` is the declared name, the function's own table when left out. A key of two fields is a list."""

    key: str | int | tuple[str | int, str | int]
    kind: Literal["insert", "update", "delete"] = "insert"
    table: str = ""
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None
    time: datetime | None = None


class RecordDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One record. ``body`` is any JSON value, ``base64`` the bytes of one that is none."""

    body: Any = None
    key: str | None = None
    partition: str = "0"
    offset: str | None = None
    time: datetime | None = None
    base64: bytes | None = None


class RecordsDocument(msgspec.Struct, forbid_unknown_fields=True):
    """``stream`` is the function's first when left out."""

    records: list[RecordDocument]
    stream: str = ""


class TickDocument(msgspec.Struct, forbid_unknown_fields=True):
    """Now when left out."""

    scheduled_at: datetime | None = None


class SentRequest(Request):
    """A request that knows its target as the caller sent it: path and query, percent signs and all."""

    __slots__ = ("target",)
    target: str


def event_of(function: FunctionRecord, document: Any) -> Event:
    """The event a document stands for. Raises ConfigError naming the field that does not fit."""
    if function.kind == "direct":
        return document
    model, make = _KINDS[function.kind]
    try:
        return make(function, msgspec.convert(document, model))
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"this is no {function.kind} event for function {function.name!r}: {error}") from error


def event_document(function: FunctionRecord, event: Event) -> Any:
    """An event as JSON values: the inverse of :func:`event_of`."""
    if isinstance(event, Request):
        return _request_document(event)
    if isinstance(event, BlobEvent):
        document: Any = BlobDocument(event.key, event.kind, event.bucket, event.size, event.version, event.time)
    elif isinstance(event, Change):
        document = ChangeDocument(
            event.key, event.kind, event.table, _map(encode, event.old), _map(encode, event.new), event.time
        )
    elif isinstance(event, Tick):
        document = TickDocument(event.scheduled_at)
    elif isinstance(event, SocketEvent):
        document = socket_document(event)
    elif function.kind == "message":
        document = MessagesDocument([_message_document(message) for message in event])
    elif function.kind == "stream":
        records: Any = event
        document = _records_document(records)
    else:
        return event
    return msgspec.to_builtins(document)


def sample_events(function: FunctionRecord) -> list[Event]:
    """One realistic event for each trigger of a function."""
    return [_SAMPLES[trigger.kind](function, trigger) for trigger in function.triggers]


def sample_event(function: FunctionRecord) -> Event:
    """A realistic event for a function: its first trigger's."""
    return sample_events(function)[0]


def make_request(
    method: str,
    target: str,
    *,
    headers: Any = (),
    body: bytes = b"",
    client: str = "127.0.0.1",
    scheme: str = "http",
    host: str = "localhost",
) -> SentRequest:
    """A request for a target as sent: ``/a%2Fb?x=1``. A ``host`` and, with a body, a ``content-length`` are added.

    Raises ValueError for a target that does not start with ``/`` or holds what a request line cannot.
    """
    if not target.startswith("/") or not target.isascii() or any(c <= " " or c == "\x7f" for c in target):
        raise ValueError(f"a path starts with '/' and is percent-encoded ASCII, got {target!r}")
    raw_path, _, query = target.partition("?")
    pairs = list(headers.items() if hasattr(headers, "items") else headers)
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("host", host))
    if body and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("content-length", str(len(body))))
    request = SentRequest(
        method,
        unquote(raw_path),
        raw_path=raw_path,
        query=parse_qsl(query, keep_blank_values=True),
        headers=pairs,
        body=body,
        client=client,
        scheme=scheme,
        host={name.lower(): value for name, value in pairs}["host"],
    )
    request.target = target
    request.raw_query = query
    return request


def request_target(request: Request) -> str:
    """Path and query as they were sent, where the request knows, else encoded anew."""
    if isinstance(request, SentRequest):
        return request.target
    from urllib.parse import urlencode

    pairs = request.query.items()
    return request.raw_path + (f"?{urlencode(pairs)}" if pairs else "")


def _request(_: FunctionRecord, document: RequestDocument) -> Request:
    given = [name for name in ("json", "text", "base64") if getattr(document, name) not in (None, msgspec.UNSET)]
    if document.json is None:
        given.append("json")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} would both be the body; give one")
    headers = document.headers
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    body = b""
    if document.json is not msgspec.UNSET:
        body = encode_text(document.json).encode()
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
    elif document.text is not None:
        body = document.text.encode()
    elif document.base64 is not None:
        body = document.base64
    return make_request(document.method, document.path, headers=pairs, body=body)


def _request_document(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = {
        "method": request.method,
        "path": request_target(request),
        "headers": [list(pair) for pair in request.headers.items()],
    }
    if request.body:
        try:
            document["text"] = request.body.decode()
        except UnicodeDecodeError:
            document["base64"] = base64.b64encode(request.body).decode()
    return document


def _messages(_: FunctionRecord, document: MessagesDocument) -> list[Message[str]]:
    if not document.messages:
        raise ValueError("a batch holds a message at least - at `$.messages`")
    return [
        Message(
            one.id or str(uuid4()),
            encode_text(one.body),
            one.attributes,
            one.attempt,
            one.sent_at or datetime.now(UTC),
            one.group,
        )
        for one in document.messages
    ]


def _message_document(message: Message[str]) -> MessageDocument:
    body = msgspec.json.decode(message.body)
    return MessageDocument(body, message.id, message.attributes, message.attempt, message.sent_at, message.group)


def _records(function: FunctionRecord, document: RecordsDocument) -> list[StreamRecord[bytes]]:
    streams = function.asks("stream")
    if document.stream and document.stream not in streams:
        raise ValueError(f"the function takes records of stream {', '.join(streams)} - at `$.stream`")
    if not document.records:
        raise ValueError("a batch holds a record at least - at `$.records`")
    return [
        StreamRecord(
            document.stream or streams[0],
            one.partition,
            one.offset or str(number),
            encode_text(one.body).encode() if one.base64 is None else one.base64,
            one.key,
            one.time or datetime.now(UTC),
        )
        for number, one in enumerate(document.records, 1)
    ]


def _records_document(records: Sequence[StreamRecord[bytes]]) -> RecordsDocument:
    found = []
    for one in records:
        try:
            told: dict[str, Any] = {"body": msgspec.json.decode(one.body)}
        except msgspec.DecodeError:
            told = {"base64": one.body}
        found.append(RecordDocument(**told, key=one.key, partition=one.partition, offset=one.offset, time=one.time))
    return RecordsDocument(found, records[0].stream)


def _blob(function: FunctionRecord, document: BlobDocument) -> BlobEvent:
    buckets = function.asks("bucket")
    if document.bucket and document.bucket not in buckets:
        raise ValueError(f"the function takes events of bucket {', '.join(buckets)} - at `$.bucket`")
    bucket = document.bucket or buckets[0]
    time = document.time or datetime.now(UTC)
    return BlobEvent(document.kind, bucket, document.key, document.size, document.version, time)


def _change(function: FunctionRecord, document: ChangeDocument) -> Change[Any]:
    tables = function.asks("table")
    if document.table and document.table not in tables:
        raise ValueError(f"the function takes changes of table {', '.join(tables)} - at `$.table`")
    time = document.time or datetime.now(UTC)
    old, new = _map(decode, document.old), _map(decode, document.new)
    return Change(document.kind, document.table or tables[0], document.key, old, new, time)


def _map(function: Callable[[Any], Any], item: Any) -> Any:
    return None if item is None else function(item)


def _tick(function: FunctionRecord, document: TickDocument) -> Tick:
    if document.scheduled_at is not None:
        return Tick(document.scheduled_at)
    now = datetime.now(UTC)
    return Tick(_due(function.triggers[0]).last(now - timedelta(days=366), now) or now)


def _due(trigger: TriggerRecord) -> Due:
    options = trigger.options
    return Due(options["cron"], options["every"], options["timezone"])


def _sample_tick(_: FunctionRecord, trigger: TriggerRecord) -> Tick:
    return Tick(next(_due(trigger).after(SAMPLE_TIME - timedelta(minutes=1))))


_KINDS: dict[str, tuple[Any, Any]] = {
    "http": (RequestDocument, _request),
    "message": (MessagesDocument, _messages),
    "stream": (RecordsDocument, _records),
    "blob": (BlobDocument, _blob),
    "change": (ChangeDocument, _change),
    "schedule": (TickDocument, _tick),
    "socket": (SocketDocument, socket_event_of),
}


def _sample_request(_: FunctionRecord, trigger: TriggerRecord) -> Request:
    segments = parse_path(trigger.options["path"])
    path = "/" + "/".join(_PARAMETERS[converter] if converter else name for converter, name in segments)
    method = trigger.options["method"]
    if method == ANY:
        method, path = "GET", path if path == "/" else f"{path}/"
    headers = [("host", "app.example.com"), ("user-agent", "curl/8.5.0"), ("accept", "*/*")]
    body = b""
    if method in ("POST", "PUT", "PATCH"):
        headers.append(("content-type", "application/json"))
        body = b'{"name":"Ada","count":3}'
    return make_request(method, path, headers=headers, body=body, client="203.0.113.7", scheme="https")


def _sample_messages(_: FunctionRecord, trigger: TriggerRecord) -> list[Message[str]]:
    identity = "0b1f4c1e-8d4b-4a7e-9d57-3f6f5f0c2a11"
    attributes = {"origin": trigger.source[1]}
    for name, (choice, *_) in (trigger.options.get("filter") or {}).items():  # what the handler wants
        attributes[name] = choice if isinstance(choice, str) else choice["prefix"]
    return [Message(identity, '{"name":"Ada","count":3}', attributes, 1, SAMPLE_TIME)]


def _sample_records(_: FunctionRecord, trigger: TriggerRecord) -> list[StreamRecord[bytes]]:
    body = b'{"name":"Ada","count":3}'
    return [StreamRecord(trigger.options["stream"], "0", "1", body, "ada", SAMPLE_TIME)]


def _sample_blob(_: FunctionRecord, trigger: TriggerRecord) -> BlobEvent:
    options = trigger.options
    key = f"{options['prefix']}sample{options['suffix']}"
    kind: Literal["created", "deleted"] = options["kinds"][0]
    size = 1024 if kind == "created" else None
    return BlobEvent(kind, options["bucket"], key, size, "0af4c1d2", SAMPLE_TIME)


def _sample_change(_: FunctionRecord, trigger: TriggerRecord) -> Change[Any]:
    keys = [(field, 7 if kind == "int" else "sample") for field, kind in trigger.options["key"]]
    item = {**dict(keys), "name": "Ada", "count": 3}
    key = keys[0][1] if len(keys) == 1 else tuple(value for _, value in keys)
    if not trigger.options["old"]:
        return Change("insert", trigger.options["table"], key, None, item, SAMPLE_TIME)
    return Change("update", trigger.options["table"], key, {**item, "count": 2}, item, SAMPLE_TIME)


_SAMPLES: dict[str, Any] = {
    "http": _sample_request,
    "message": _sample_messages,
    "stream": _sample_records,
    "blob": _sample_blob,
    "change": _sample_change,
    "schedule": _sample_tick,
    "direct": lambda function, trigger: {"name": "Ada", "count": 3},
    "socket": sample,
}
