"""Native events as the Functions host gives them to the worker, in JSON.

An invocation is ``{"data": {"http": {…}}, "metadata": {…}, "resource": "emails"}``. ``data`` and each value of
``metadata`` are a ``TypedData``: one of ``string``, ``json`` (as text), ``bytes`` (base64), ``http``,
``collection_bytes`` (a list). ``retry_count`` is that of the function's retry policy, 0 when left out.
``resource`` is the declared queue, bucket or table the trigger is bound to. Answers are ``{"return": TypedData or
null}``.

Shapes: the host's GrpcMessageConversionExtensions (RpcHttp), and Microsoft's pages functions-bindings-storage-queue-
trigger, functions-bindings-storage-blob-trigger (metadata), functions-bindings-timer and event-schema-blob-storage.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

from portable.build.schedules import firing
from portable.drivers.places import name_of
from portable.drivers.tags import DOUBLE_INTEGERS, encode
from portable.errors import ConfigError
from portable.events import BlobEvent, Change, Message, Request, Response, SocketEvent, Tick
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord
from portable.samples import Event, Outcome
from portable.samples.sockets import outcome_of
from portable_azure import limits
from portable_azure.capabilities import NAMES
from portable_azure.keys import encode_key
from portable_azure.limits import REQUEST_BYTES
from portable_azure.queue import Envelope, pack
from portable_azure.schedules import timers_of

__all__ = ["PUBSUB_KEY", "SAMPLES", "SOURCES", "AzureSamples"]

PUBSUB_KEY = "ZW11bGF0ZWQta2V5LW9mLXRoaXMtbWFjaGluZS1hbG9uZQ=="
"""The access key that sample events of Web PubSub are signed with, and its stand-in has; it opens nothing."""

SOURCES: dict[str, tuple[str, ...]] = {
    "http": ("http",),
    "message": ("storage-queue", "service-bus"),
    "stream": ("event-hub",),
    "blob": ("blob-eventgrid", "blob", "event-grid"),
    "change": ("cosmos-db",),
    "schedule": ("timer",),
    "direct": ("direct",),
    "socket": ("web-pubsub",),
}
"""Event sources by trigger kind, the default first."""


class AzureSamples:
    """See ``portable.samples.Samples``. One event carries one message: the host delivers each singly."""

    batch_limit: int | None = 1

    def sources(self, kind: str) -> Sequence[str]:
        return SOURCES[kind]

    def native(self, function: FunctionRecord, event: Event, *, source: str | None = None) -> Any:
        source = source or SOURCES[function.kind][0]
        if source not in SOURCES[function.kind]:
            raise ConfigError(f"{source!r} is no event source of {function.kind} on Azure")
        if source == "http":
            assert isinstance(event, Request)
            return _http(event)
        if source == "direct":
            body = encode_text(event).encode()
            url = f"https://app.azurewebsites.net/portable-invoke/{function.name}"
            return _http(Request("POST", f"/portable-invoke/{function.name}", body=body), url)
        if source == "web-pubsub":
            return _http(*_socket(function, event))
        if source == "storage-queue":
            return _message(function, event)
        if source == "service-bus":
            return _bus_message(function, event)
        if source == "cosmos-db":
            return _cosmos(event)
        if source == "event-hub":
            return _event_hub(event)
        if source == "timer":
            return _timer(function, event)
        return _event_grid(event) if source == "event-grid" else _blob(event)

    def too_large(self, native: Any, *, source: str) -> int | None:  # noqa: ARG002 - one for all
        """The host's bound of a request's body, where there is more of it."""
        body = native["data"]["http"].get("body")
        size = 0 if body is None else len(body["bytes"]) // 4 * 3 - body["bytes"][-2:].count("=")
        return REQUEST_BYTES if size > REQUEST_BYTES else None

    def outcome(
        self,
        function: FunctionRecord,
        event: Event,
        answer: Any,
        *,
        source: str | None = None,  # noqa: ARG002
    ) -> Outcome:
        if function.kind == "socket":
            return outcome_of(event, _socket_response(_response(answer["return"]["http"])))
        if function.kind == "http":
            return Outcome(response=_response(answer["return"]["http"]))
        if function.kind != "direct":
            return Outcome()
        response = _response(answer["return"]["http"])
        document = json.loads(response.body)
        if response.status == 200:
            return Outcome(value=document)
        detail = document.get("detail", "")
        return Outcome(error=detail if response.status == 500 else f"HTTPError: {response.status} {detail}")


SAMPLES = AzureSamples()


def _http(request: Request, url: str | None = None) -> Any:
    headers: dict[str, str] = {}
    for name in request.headers:
        headers[name] = request.headers[name]
    headers.setdefault("host", request.host or "app.azurewebsites.net")
    if request.client is not None:
        headers["x-forwarded-for"] = f"{f'[{request.client}]' if ':' in request.client else request.client}:50000"
    if request.body:
        headers["content-length"] = str(len(request.body))
    path = _host_path(request.raw_path)
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in request.query.items())
    http: dict[str, Any] = {
        "method": request.method,
        "url": url or f"{request.scheme}://{headers['host']}{path}{'?' if pairs else ''}{pairs}",
        "headers": headers,
        "query": {
            name: ",".join(request.query.get_all(name)) for name in request.query if any(request.query.get_all(name))
        },
        "params": {"path": unquote(path[1:])},
    }
    if request.body:
        http["body"] = {"bytes": b64encode(request.body).decode()}
    return {"data": {"http": http}, "metadata": {}}


def _socket(function: FunctionRecord, event: Event) -> tuple[Request, str]:
    """What Web PubSub posts, signed with the key of the emulator, and where."""
    assert isinstance(event, SocketEvent)
    hub = NAMES["sockets"].physical(function.asks("sockets")[0])
    name = {"connect": "connect", "message": "message", "disconnect": "disconnected"}[event.kind]
    space = "user" if event.kind == "message" else "sys"
    signature = hmac.new(PUBSUB_KEY.encode(), event.connection.encode(), "sha256").hexdigest()
    headers = {
        "webhook-request-origin": "127.0.0.1",
        "ce-specversion": "1.0",
        "ce-type": f"azure.webpubsub.{space}.{name}",
        "ce-source": f"/hubs/{hub}/client/{event.connection}",
        "ce-id": "2",
        "ce-time": "2026-03-29T08:00:00Z",
        "ce-hub": hub,
        "ce-connectionid": event.connection,
        "ce-eventname": name,
        "ce-awpsversion": "1.0",
        "ce-signature": f"sha256={signature},sha256={'0' * 64}",
        "content-type": "application/json; charset=utf-8",
    }
    if event.kind == "message":
        text = isinstance(event.body, str)
        body = event.body.encode() if isinstance(event.body, str) else event.body
        headers["content-type"] = "text/plain; charset=utf-8" if text else "application/octet-stream"
    elif event.kind == "connect":
        body = encode_text(_connect(event)).encode()
    else:
        body = encode_text({"reason": event.reason}).encode()
    path = f"/portable-sockets/{function.name}"
    return Request("POST", path, headers=headers, body=body), f"https://app.azurewebsites.net{path}?code=key"


def _connect(event: SocketEvent) -> dict[str, Any]:
    return {
        "claims": {},
        "query": {name: event.query.get_all(name) for name in event.query},
        "headers": {name: event.headers.get_all(name) for name in event.headers},
        "subprotocols": event.subprotocols,
        "clientCertificates": [],
    }


def _socket_response(response: Response) -> Response:
    """What the service makes of the answer to a connect event: 2xx accepts, with the subprotocol in the document."""
    if response.status == 200 and response.body:
        chosen = json.loads(response.body).get("subprotocol")
        return Response(None, 200, {"sec-websocket-protocol": chosen} if chosen else None)
    return response


def _host_path(raw_path: str) -> str:
    """The host decodes a path but for %2F, and encodes it again for the worker."""
    parts = re.split("(%2[Ff])", raw_path)
    return "".join(part if part.upper() == "%2F" else quote(unquote(part), safe="/:@!$&'()*+,;=~-._") for part in parts)


def _message(function: FunctionRecord, event: Event) -> Any:
    kind, name = function.triggers[0].source
    if kind != "queue":
        raise ConfigError(f"{kind} {name}: a storage queue brings no messages of a {kind}; its source is service-bus")
    messages: Any = event
    [message] = messages
    assert isinstance(message, Message)
    sent_at = message.sent_at or datetime.now(UTC)
    return {
        "data": {"string": pack(Envelope(message.body, message.attributes))},
        "metadata": {
            "Id": {"string": message.id},
            "DequeueCount": {"json": str(message.attempt)},
            "InsertionTime": {"json": json.dumps(sent_at.isoformat())},
            "ExpirationTime": {"json": json.dumps((sent_at + timedelta(days=7)).isoformat())},
            "NextVisibleTime": {"json": json.dumps((sent_at + timedelta(minutes=10)).isoformat())},
            "PopReceipt": {"string": "AgAAAAMAAAAAAAAA"},
        },
        "resource": name,
    }


def _bus_message(function: FunctionRecord, event: Event) -> Any:
    messages: Any = event
    [message] = messages
    assert isinstance(message, Message)
    properties = {"json": json.dumps(message.attributes)}
    metadata = {
        "MessageId": {"string": message.id},
        "DeliveryCount": {"json": str(message.attempt)},
        "EnqueuedTimeUtc": {"json": json.dumps((message.sent_at or datetime.now(UTC)).isoformat())},
        "ApplicationProperties": properties,
        "UserProperties": properties,
        "LockToken": {"string": "00000000-0000-0000-0000-000000000000"},
        "SequenceNumber": {"json": "1"},
    }
    if message.group is not None:
        metadata["SessionId"] = {"string": message.group}
    return {"data": {"string": message.body}, "metadata": metadata, "resource": function.triggers[0].key}


def _blob(event: Event) -> Any:
    assert isinstance(event, BlobEvent)
    if event.kind != "created":
        raise ConfigError("Azure's blob trigger knows no deletions; they come through Event Grid (source 'event-grid')")
    name = encode_key(event.key)
    properties = {
        "ETag": f'"{event.version or "0x8D0000000000000"}"',
        "LastModified": event.time.isoformat(),
        "Length": event.size,
        "ContentLength": event.size,
        "BlobType": 0,
    }
    url = f"https://account.blob.core.windows.net/{event.bucket}/{quote(name)}"
    return {
        "data": {"bytes": ""},
        "metadata": {
            "BlobTrigger": {"string": f"{event.bucket}/{name}"},
            "Uri": {"json": json.dumps(url)},
            "Properties": {"json": json.dumps(properties)},
            "Metadata": {"json": "{}"},
        },
        "resource": event.bucket,
    }


def _event_grid(event: Event) -> Any:
    assert isinstance(event, BlobEvent)
    name = encode_key(event.key)
    data: dict[str, Any] = {
        "api": "PutBlob" if event.kind == "created" else "DeleteBlob",
        "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
        "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
        "contentType": "application/octet-stream",
        "blobType": "BlockBlob",
        "url": f"https://account.blob.core.windows.net/{event.bucket}/{quote(name)}",
        "sequencer": "00000000000004420000000000028963",
        "storageDiagnostics": {"batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0"},
    }
    if event.kind == "created":
        data |= {"eTag": event.version or "0x8D0000000000000", "contentLength": event.size or 0}
    document = {
        "topic": "/subscriptions/0/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/account",
        "subject": f"/blobServices/default/containers/{event.bucket}/blobs/{name}",
        "eventType": f"Microsoft.Storage.Blob{event.kind.capitalize()}",
        "eventTime": event.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": data,
        "dataVersion": "",
        "metadataVersion": "1",
    }
    return {"data": {"json": json.dumps(document)}, "metadata": {}, "resource": event.bucket}


def _cosmos(event: Event) -> Any:
    """A batch of one. The feed says nothing of a deletion: that is an empty batch."""
    assert isinstance(event, Change)
    documents = []
    if event.new is not None:
        key = event.key if isinstance(event.key, tuple) else (event.key,)
        seconds = int(event.time.timestamp())
        document = {
            "id": name_of(key[-1:], limits.ITEM_ID_BYTES),
            "partition": str(key[0]),
            "item": {field: encode(value, integers=DOUBLE_INTEGERS) for field, value in event.new.items()},
            "_rid": "8bVkAL0gwHQBAAAAAAAAAA==",
            "_etag": f'"{uuid4()}"',
            "_ts": seconds,
            "_lsn": seconds,
        }
        documents.append(document)
    return {"data": {"json": json.dumps(documents)}, "metadata": {}, "resource": event.table}


def _event_hub(event: Event) -> Any:
    batch: Any = event
    places = {(record.stream, record.partition) for record in batch}
    if len(places) != 1:
        raise ConfigError("a batch of Event Hubs is of one partition")
    [(stream, partition)] = places
    rows = [
        {
            "PartitionKey": record.key,
            "SequenceNumber": int(record.offset),
            "Offset": int(record.offset) * 64,
            "EnqueuedTimeUtc": (record.time or datetime.now(UTC)).isoformat(),
        }
        for record in batch
    ]
    context = {
        "FullyQualifiedNamespace": "account.servicebus.windows.net",
        "EventHubName": NAMES["stream"].physical(stream),
        "ConsumerGroup": "$Default",
        "PartitionId": partition,
    }
    properties = [{name: value.decode() for name, value in record.headers.items()} for record in batch]
    return {
        "data": {"collection_bytes": [b64encode(record.body).decode() for record in batch]},
        "metadata": {
            "PartitionContext": {"json": json.dumps(context)},
            "SystemPropertiesArray": {"json": json.dumps(rows)},
            "PropertiesArray": {"json": json.dumps(properties)},
        },
        "resource": stream,
        "retry_count": (batch[0].attempt or 1) - 1,
    }


def _timer(function: FunctionRecord, event: Event) -> Any:
    assert isinstance(event, Tick)
    [trigger] = function.triggers
    other = firing(trigger, timers_of(trigger), event.scheduled_at)
    due = event.scheduled_at.astimezone(UTC)
    before = (due - timedelta(hours=1)).isoformat()
    document = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {"Last": before, "LastUpdated": before, "Next": due.isoformat()},
        "IsPastDue": False,
    }
    sample = {"data": {"json": json.dumps(document)}, "metadata": {}}
    return sample | {"resource": "weekdays"} if other else sample


def _response(http: Any) -> Response:
    """What the host makes of the worker's answer: an empty content type is left out, cookies are written anew."""
    headers = [(name.lower(), value) for name, value in http.get("pairs") or http["headers"].items()]
    headers = [(name, value) for name, value in headers if name != "content-type" or value]
    headers += [("set-cookie", _cookie(cookie)) for cookie in http.get("cookies") or ()]
    body = b64decode((http.get("body") or {}).get("bytes", ""))
    return Response(body or None, int(http["status_code"]), headers)


def _cookie(cookie: Any) -> str:
    """``Set-Cookie`` with the value percent-encoded, as the host does; attributes in the order ``set_cookie`` has."""
    parts = [f"{cookie['name']}={quote(cookie['value'], safe='')}"]
    if cookie.get("max_age") is not None:
        parts.append(f"Max-Age={int(cookie['max_age'])}")
    if cookie.get("expires") is not None:
        parts.append(f"Expires={format_datetime(datetime.fromtimestamp(cookie['expires'], UTC), usegmt=True)}")
    parts += [f"{label}={cookie[field]}" for label, field in (("Path", "path"), ("Domain", "domain")) if cookie[field]]
    parts += [label for label, field in (("Secure", "secure"), ("HttpOnly", "http_only")) if cookie.get(field)]
    if cookie.get("same_site"):
        parts.append(f"SameSite={cookie['same_site']}")
    return "; ".join(parts)
