"""What is pushed to ``/-/events/FUNCTION``, as the events its handlers take.

They are CloudEvents, binary, structured or in a batch, of a type of the cloud's own (see
``portable_container.pushed``) or of this framework:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md.

    dev.portable.blob      {"kind", "bucket", "key", "size", "version"}; ``bucket`` as declared
    dev.portable.change    {"kind", "table", "key", "old", "new"}; items as ``portable.drivers.tags`` writes them
    dev.portable.tick      {"scheduled_at"}; a schedule takes a POST without a body too, which is due now
    dev.portable.messages  {"queue" or "topic", "messages": [{"id", "body", "attributes", …}]}
    dev.portable.records   {"stream", "records": [{"partition", "offset", "data" in base64, "key", "time", "attempt"}]}
    dev.portable.socket    {"kind", "connection"}; a connect with "query", "headers" and "client", a message with "body"
                           and "base64", a disconnect with "code" and "reason"

Messages are answered with ``{"failed": [{"id", "error", "after"}]}``: those to be delivered again, ``after`` seconds or
null; records with ``{"failed": [{"partition", "offset"}]}``: from where on each partition comes again. Both are for
those who poll by themselves; a process that polls takes them without it. Whoever holds websockets is answered with
``{"status", "headers", "body", "base64"}``: of a connect, whether it is accepted.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from portable.drivers.tags import decode as decode_tags
from portable.errors import Reject, Retry
from portable.events import BlobEvent, Change, Message, Response, SocketEvent, StreamRecord, Tick
from portable.invoke.streams import first_failures
from portable.jsontext import load_text

if TYPE_CHECKING:
    from portable.events import Request
    from portable_container.functions import Function

__all__ = ["TYPES", "Calls", "CloudEvent", "Decoder", "Misfit"]

TYPES: Mapping[str, str] = {
    "blob": "dev.portable.blob",
    "change": "dev.portable.change",
    "schedule": "dev.portable.tick",
    "message": "dev.portable.messages",
    "socket": "dev.portable.socket",
    "stream": "dev.portable.records",
}
"""This framework's own type of a CloudEvent, by trigger kind."""

OnThread = Callable[..., Awaitable[Any]]
Calls = Sequence[tuple[tuple[Any, ...], Callable[[Any, OnThread], Awaitable[Any]]]]
"""What a function is called with, one after the other, and what its outcome is answered as; None for no body."""

_BINARY = "ce-"


class Misfit(ValueError):
    """What came is no event of this function."""


class CloudEvent:
    """One event: its attributes by name, and ``data``: JSON values, else bytes."""

    __slots__ = ("_attributes", "data")

    def __init__(self, attributes: Mapping[str, Any], data: Any) -> None:
        self._attributes = attributes
        self.data = data

    def __getitem__(self, name: str) -> Any:
        return self._attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, if it is there."""
        return self._attributes.get(name, default)

    @property
    def time(self) -> datetime:
        """When it happened. Raises Misfit."""
        return _instant(self._attributes.get("time"), "time")


class Decoder:
    """Reads what is pushed.

    Args:
        pushed: reads a cloud's own events, see ``portable_container.pushed``; None where the platform pushes nothing.
    """

    def __init__(self, pushed: Any = None) -> None:
        self._pushed = pushed

    def decode(self, function: Function, request: Request) -> Calls:
        """The calls that a request asks for. Raises Misfit."""
        if function.kind == "schedule" and not request.body:
            return [((Tick(datetime.now(UTC), request.native),), _nothing)]
        found = None if self._pushed is None else self._pushed.read(function, request, read_cloud_events)
        if found is not None:
            return [((event,), _nothing) for event in found]
        return [_own(function, event) for event in read_cloud_events(request)]


def read_cloud_events(request: Request) -> list[CloudEvent]:
    """The CloudEvents of a request. Raises Misfit."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type == "application/cloudevents-batch+json":
        batch = _json(request.body)
        if not isinstance(batch, list):
            raise Misfit("a batch of CloudEvents is a JSON array")
        return [_structured(one) for one in batch]
    if media_type == "application/cloudevents+json":
        return [_structured(_json(request.body))]
    attributes = {
        name.removeprefix(_BINARY): value for name, value in request.headers.items() if name.startswith(_BINARY)
    }
    _check(attributes)
    if media_type == "application/json" or media_type.endswith("+json"):
        return [CloudEvent(attributes, _json(request.body))]
    return [CloudEvent(attributes, request.body)]


def _structured(document: Any) -> CloudEvent:
    if not isinstance(document, dict):
        raise Misfit("a CloudEvent is a JSON object")
    attributes = {name: value for name, value in document.items() if name not in ("data", "data_base64")}
    _check(attributes)
    if "data_base64" in document:
        try:
            return CloudEvent(attributes, b64decode(document["data_base64"], validate=True))
        except (TypeError, ValueError) as error:
            raise Misfit(f"'data_base64' of the CloudEvent is no base64: {error}") from error
    return CloudEvent(attributes, document.get("data"))


def _check(attributes: dict[str, Any]) -> None:
    for name in ("specversion", "type", "source", "id"):
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise Misfit(f"this is no CloudEvent: it has no {name!r}")
    if not attributes["specversion"].startswith("1."):
        raise Misfit(f"a CloudEvent of version {attributes['specversion']!r} came; 1.0 is read")
    attributes.setdefault("time", datetime.now(UTC).isoformat())  # it may be left out


def _json(body: bytes) -> Any:
    try:
        return load_text(body)
    except ValueError as error:
        raise Misfit(f"the body is no JSON: {error}") from error


# --- this framework's own events


def _own(function: Function, event: CloudEvent) -> Any:
    wanted = TYPES.get(function.kind)
    if event["type"] != wanted:
        raise Misfit(f"an event of type {event['type']!r} came; function {function.name} takes {wanted!r} here")
    if not isinstance(event.data, dict):
        raise Misfit(f"the data of a {wanted} is an object")
    return _READERS[function.kind](function, event)


def _texts(data: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(data.get(name), str):
            raise Misfit(f"{name!r} of the event is a text, got {data.get(name)!r}")


def _instant(text: Any, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Misfit(f"{name!r} of the event is an instant (RFC 3339), got {text!r}") from error
    if found.tzinfo is None:
        raise Misfit(f"{name!r} of the event has no UTC offset: {text!r}")
    return found


def _one_of(data: Mapping[str, Any], name: str, *known: str) -> Any:
    if data.get(name) not in known:
        raise Misfit(f"{name!r} of the event is {' or '.join(known)}, got {data.get(name)!r}")
    return data[name]


def _blob(function: Function, event: CloudEvent) -> Any:
    data = event.data
    _texts(data, "bucket", "key")
    _one_of(data, "bucket", *{trigger.bucket.name for trigger in function.triggers})
    kind = _one_of(data, "kind", "created", "deleted")
    blob = BlobEvent(kind, data["bucket"], data["key"], data.get("size"), data.get("version"), event.time, event)
    return (blob,), _nothing


def _change(function: Function, event: CloudEvent) -> Any:
    data = event.data
    _one_of(data, "table", *{trigger.table.name for trigger in function.triggers})
    kind = _one_of(data, "kind", "insert", "update", "delete")
    if data.get("key") is None:
        raise Misfit("the event has no 'key'")
    items = []
    for name in ("old", "new"):
        item = data.get(name)
        if not isinstance(item, dict | None):
            raise Misfit(f"{name!r} of the event is an item, got {item!r}")
        items.append(None if item is None else decode_tags(item))
    key = tuple(data["key"]) if isinstance(data["key"], list) else data["key"]
    return (Change(kind, data["table"], key, items[0], items[1], event.time, event),), _nothing


def _tick(_: Function, event: CloudEvent) -> Any:
    return (Tick(_instant(event.data.get("scheduled_at"), "scheduled_at"), event),), _nothing


def _messages(function: Function, event: CloudEvent) -> Any:
    data = event.data
    triggers = {trigger.key: trigger for trigger in function.triggers}
    key = f"topic:{data['topic']}" if "topic" in data else data.get("queue")
    if key not in triggers:
        raise Misfit(f"function {function.name} takes {', '.join(triggers)}, not {key!r}")
    if not isinstance(data.get("messages"), list):
        raise Misfit("'messages' of the event is an array")
    messages = [_message(one) for one in data["messages"]]

    async def settle(outcomes: Sequence[BaseException | None], on_thread: OnThread) -> Any:
        failed = []
        for message, native, outcome in zip(messages, data["messages"], outcomes, strict=True):
            if outcome is None:
                continue
            if isinstance(outcome, Reject):
                await on_thread(triggers[key].driver().dead_letter, native["body"], message.attributes)
                continue
            after = outcome.after if isinstance(outcome, Retry) else None
            seconds = None if after is None else after.total_seconds()
            failed.append({"id": message.id, "error": f"{type(outcome).__name__}: {outcome}", "after": seconds})
        return {"failed": failed}

    return (messages, key), settle


def _message(native: Any) -> Message[Any]:
    if not isinstance(native, dict):
        raise Misfit(f"a message is an object, got {native!r}")
    _texts(native, "id", "body")
    attributes, attempt = native.get("attributes") or {}, native.get("attempt") or 1
    if not isinstance(attributes, dict) or type(attempt) is not int:
        raise Misfit(f"message {native['id']} has attributes that are no object, or an attempt that is no number")
    sent_at = _instant(native["sent_at"], "sent_at") if native.get("sent_at") else None
    return Message(native["id"], native["body"], dict(attributes), attempt, sent_at, native.get("group"), native)


def _socket(_: Function, event: CloudEvent) -> Any:
    data = event.data
    _texts(data, "connection")
    kind = _one_of(data, "kind", "connect", "message", "disconnect")
    try:
        body = b64decode(data["body"], validate=True) if data.get("base64") else data.get("body", "")
        query, headers = (
            [(str(name), str(value)) for name, value in data.get(one) or ()] for one in ("query", "headers")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Misfit(f"the event's body is a text or base64, its query and headers are pairs: {error}") from error
    if not isinstance(body, str | bytes):
        raise Misfit(f"'body' of the event is a text, got {body!r}")
    given: Any = {"client": data.get("client"), "code": data.get("code"), "reason": data.get("reason") or ""}
    found = SocketEvent(kind, data["connection"], body, query=query, headers=headers, native=event, **given)
    return (found,), _as_answered


async def _as_answered(response: Response, _: OnThread) -> dict[str, Any]:
    """What whoever holds the connection does with it."""
    content = response.body
    body = b"" if content is None else content.encode() if isinstance(content, str) else content
    headers = [list(pair) for pair in response.header_pairs()]
    return {"status": response.status, "headers": headers, "body": b64encode(body).decode(), "base64": True}


def _records(function: Function, event: CloudEvent) -> Any:
    data = event.data
    stream = _one_of(data, "stream", *{trigger.stream.name for trigger in function.triggers})
    if not isinstance(data.get("records"), list):
        raise Misfit("'records' of the event is an array")
    records = [_stored(stream, one) for one in data["records"]]

    async def settle(outcomes: Any, _: OnThread) -> Any:
        failed = first_failures(records, outcomes)
        return {"failed": [{"partition": one.partition, "offset": one.offset} for one in failed]}

    return (records,), settle


def _stored(stream: str, native: Any) -> StreamRecord[Any]:
    if not isinstance(native, dict):
        raise Misfit(f"a record is an object, got {native!r}")
    _texts(native, "partition", "offset", "data")
    try:
        data = b64decode(native["data"], validate=True)
    except ValueError as error:
        raise Misfit(f"'data' of record {native['offset']} is no base64: {error}") from error
    time = _instant(native["time"], "time") if native.get("time") else None
    place = stream, native["partition"], native["offset"]
    return StreamRecord(*place, data, native.get("key"), time, {}, native.get("attempt"), native)


async def _nothing(_: Any, on_thread: OnThread) -> None:
    """Done is all there is to say."""


_READERS = {
    "blob": _blob,
    "change": _change,
    "schedule": _tick,
    "message": _messages,
    "socket": _socket,
    "stream": _records,
}
