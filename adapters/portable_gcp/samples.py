"""Events as Google Cloud posts them, and what the answers say: the inverse of ``portable_gcp.triggers``.

A native event is the HTTP request a function gets, ``{"method", "path", "headers": [[name, value]], "body",
"base64"}``; its answer is ``{"status", "headers", "body", "base64"}``. Bodies that are no text are in base64.

Identity is left out: an OIDC token is Google's to sign. Names of projects, and a bucket's own name, belong to a
deployment: here the project is ``my-project`` and a bucket is called as it is declared.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from portable.drivers.places import name_of as name_of_key
from portable.errors import ConfigError
from portable.events import BlobEvent, Change, Message, Request, Tick
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord
from portable.samples import Event, Outcome
from portable.samples.neutral import request_target
from portable.samples.posted import body_of, error_of, response_of, with_body
from portable_gcp.bucket import name_of
from portable_gcp.documents import encode_item
from portable_gcp.limits import DOCUMENT_NAME_BYTES, REQUEST_BYTES
from portable_gcp.triggers import SOURCES
from portable_gcp.triggers.firestore import EVENT_TYPE
from portable_gcp.triggers.pubsub import PubSubEventarc
from portable_gcp.triggers.storage import KINDS
from portable_gcp.wire import write_event

__all__ = ["SAMPLES", "GoogleSamples"]

PROJECT = "my-project"

# What the server adds to any answer, RFC 9110 and 9112; it is none of the function's.
_OF_THE_SERVER = ("connection", "date", "keep-alive", "server", "transfer-encoding")
_TYPES = {kind: name for name, kind in KINDS.items()}


class GoogleSamples:
    """See ``portable.samples.Samples``."""

    batch_limit: int | None = 1

    def sources(self, kind: str) -> Sequence[str]:
        """The event sources of a trigger kind, the default first."""
        return SOURCES[kind]

    def native(self, function: FunctionRecord, event: Event, *, source: str | None = None) -> Any:
        """The request that brings an event. Raises ConfigError for more than one message: a push holds one."""
        if not SOURCES[function.kind]:
            raise ConfigError(f"function {function.name!r}: nothing on Google Cloud brings it {function.kind} events")
        source = source or SOURCES[function.kind][0]
        if source not in SOURCES[function.kind]:
            raise ConfigError(f"{source!r} is no source of {function.kind} events; {', '.join(SOURCES[function.kind])}")
        made: dict[str, Any] = _MAKERS[source](function, event)
        return made

    def too_large(self, native: Any, *, source: str) -> int | None:  # noqa: ARG002 - one for all
        """Cloud Run's bound of a request's body, where there is more of it."""
        return REQUEST_BYTES if len(body_of(native)) > REQUEST_BYTES else None

    def outcome(self, function: FunctionRecord, event: Event, answer: Any, *, source: str | None = None) -> Outcome:  # noqa: ARG002 - an answer says the same whatever brought the event
        """What the answer says."""
        body = body_of(answer)
        if function.kind == "http":
            return Outcome(response=response_of(event, answer, body, _OF_THE_SERVER))
        status = answer["status"]
        if 200 <= status < 300:
            return Outcome(value=json.loads(body) if function.kind == "direct" and body else None)
        if function.kind == "message" and status in (429, 500):
            messages: Any = event
            return Outcome(failed=[message.id for message in messages])
        return Outcome(error=error_of(status, body))


def _posted(path: str, headers: list[list[str]], body: str) -> dict[str, Any]:
    return {"method": "POST", "path": path, "headers": headers, "body": body, "base64": False}


def _http(_: FunctionRecord, event: Request) -> dict[str, Any]:
    """Google's front end adds the caller's address, and the scheme it was reached by."""
    headers = [[name, value] for name, value in event.headers.items()]
    if event.client:
        headers.append(["x-forwarded-for", event.client])
    headers.append(["x-forwarded-proto", event.scheme])
    request = {"method": event.method, "path": request_target(event), "headers": headers}
    return with_body(request, event.body)


def _instant(time: datetime | None) -> str:
    return (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _push(function: FunctionRecord, event: Sequence[Message[str]]) -> dict[str, Any]:
    """https://cloud.google.com/pubsub/docs/push#receive_push, with fields in both spellings, as production has them."""
    if len(event) != 1:
        raise ConfigError(f"Pub/Sub pushes one message at a time, not {len(event)}")
    (message,) = event
    time = _instant(message.sent_at)
    inner: dict[str, Any] = {
        "attributes": dict(message.attributes),
        "data": base64.b64encode(message.body.encode()).decode(),
        "messageId": message.id,
        "message_id": message.id,
        "publishTime": time,
        "publish_time": time,
    }
    if message.group is not None:
        inner["orderingKey"] = message.group
    kind, name = function.triggers[0].source
    own = f"{name}-{function.name}" if kind == "topic" else name
    subscription = f"projects/{PROJECT}/subscriptions/{own}"
    return {"deliveryAttempt": message.attempt, "message": inner, "subscription": subscription}


def _pubsub_push(function: FunctionRecord, event: Sequence[Message[str]]) -> dict[str, Any]:
    headers = [["content-type", "application/json"], ["user-agent", "CloudPubSub-Google"]]
    return _posted(f"/{function.triggers[0].key}", headers, json.dumps(_push(function, event)))


def _cloud_event(attributes: dict[str, str], data: Any) -> dict[str, Any]:
    """Binary mode, https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md."""
    headers = [["content-type", "application/json"], ["ce-specversion", "1.0"]]
    headers += [
        [f"ce-{name}", quote(value, safe="!#$&'()*+,/:;<=>?@[]^_`{|}~-.")] for name, value in attributes.items()
    ]
    return _posted("/", headers, json.dumps(data))


def _pubsub_eventarc(function: FunctionRecord, event: Sequence[Message[str]]) -> dict[str, Any]:
    """https://cloud.google.com/eventarc/docs/cloudevents#pubsub."""
    document = _push(function, event)
    attributes = {
        "id": event[0].id,
        "source": f"//pubsub.googleapis.com/projects/{PROJECT}/topics/{function.triggers[0].source[1]}",
        "type": PubSubEventarc.event_type,
        "time": document["message"]["publishTime"],
    }
    return _cloud_event(attributes, document)


def _storage(_: FunctionRecord, event: BlobEvent) -> dict[str, Any]:
    """https://cloud.google.com/eventarc/docs/cloudevents#cloud_storage."""
    name, time = name_of(event.key), _instant(event.time)
    generation = event.version or "1774771200000000"
    address = f"https://www.googleapis.com/storage/v1/b/{event.bucket}/o/{quote(name, safe='')}"
    data = {
        "kind": "storage#object",
        "id": f"{event.bucket}/{name}/{generation}",
        "selfLink": address,
        "name": name,
        "bucket": event.bucket,
        "generation": generation,
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "timeCreated": time,
        "updated": time,
        "storageClass": "STANDARD",
        "size": str(event.size or 0),
        "mediaLink": f"{address}?alt=media",
    }
    attributes = {
        "id": generation,
        "source": f"//storage.googleapis.com/projects/_/buckets/{event.bucket}",
        "type": _TYPES[event.kind],
        "subject": f"objects/{name}",
        "time": time,
        "bucket": event.bucket,
    }
    return _cloud_event(attributes, data)


def _firestore(_: FunctionRecord, event: Change[Any]) -> dict[str, Any]:
    """https://cloud.google.com/eventarc/docs/reference/supported-events#cloud-firestore. Always protobuf."""
    key = event.key if isinstance(event.key, tuple) else (event.key,)
    database = f"projects/{PROJECT}/databases/(default)"
    subject = f"documents/{event.table}/{name_of_key(key, DOCUMENT_NAME_BYTES)}"
    documents = [
        None if item is None else (f"{database}/{subject}", {"item": encode_item(item)})
        for item in (event.new, event.old)
    ]
    attributes = {
        "id": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
        "source": f"//firestore.googleapis.com/{database}",
        "type": EVENT_TYPE,
        "subject": subject,
        "time": _instant(event.time),
    }
    headers = [["content-type", "application/protobuf"], *_cloud_event(attributes, None)["headers"][1:]]
    return with_body(_posted("/", headers, ""), write_event(*documents))


def _scheduler(function: FunctionRecord, event: Tick) -> dict[str, Any]:
    headers = [
        ["content-type", "application/octet-stream"],
        ["user-agent", "Google-Cloud-Scheduler"],
        ["x-cloudscheduler", "true"],
        ["x-cloudscheduler-jobname", function.name],
        ["x-cloudscheduler-scheduletime", _instant(event.scheduled_at)],
    ]
    return _posted("/", headers, "")


def _direct(_: FunctionRecord, event: Any) -> dict[str, Any]:
    return _posted("/", [["content-type", "application/json"]], encode_text(event))


_MAKERS: dict[str, Any] = {
    "http": _http,
    "pubsub-push": _pubsub_push,
    "pubsub-eventarc": _pubsub_eventarc,
    "storage-eventarc": _storage,
    "firestore-eventarc": _firestore,
    "scheduler": _scheduler,
    "direct": _direct,
}

SAMPLES = GoogleSamples()
