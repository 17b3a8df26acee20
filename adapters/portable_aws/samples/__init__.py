"""AWS events for neutral ones, and neutral outcomes for AWS answers: the inverse of ``portable_aws.triggers``."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import md5
from typing import Any
from urllib.parse import quote_plus

from portable.build.schedules import firing
from portable.events import BlobEvent, Change, Message, Response, Tick
from portable.events.records import StreamRecord
from portable.jsontext import encode_text
from portable.manifest import FunctionRecord
from portable.samples import Event, Outcome
from portable.samples.sockets import outcome_of
from portable_aws.capabilities import NAMES
from portable_aws.items import VERSION, encode_item
from portable_aws.limits import ALB_BODY_BYTES, LAMBDA_PAYLOAD_BYTES
from portable_aws.samples.http import alb, function_url, http_api, rest_api
from portable_aws.samples.websocket import websocket_api
from portable_aws.schedules import timers_of
from portable_aws.triggers import CODECS, source_of

__all__ = ["ACCOUNT", "REGION", "SAMPLES", "physical_name"]

ACCOUNT = "123456789012"
REGION = "us-east-1"


def physical_name(kind: str, name: str) -> str:
    """What a resource of the app is called in sample events, and in the emulator of ``portable run``."""
    return NAMES[kind].physical(name)


class AWSSamples:
    """See ``portable.samples.Samples``."""

    batch_limit: int | None = None

    def sources(self, kind: str) -> Sequence[str]:
        """The event sources of a trigger kind, the default first."""
        return list(CODECS[kind])

    def native(self, function: FunctionRecord, event: Event, *, source: str | None = None) -> Any:
        """The event as Lambda hands it to the function."""
        if function.kind == "direct":
            return event
        return _NATIVE[source_of(function.kind, source)](function, event)

    def too_large(self, native: Any, *, source: str) -> int | None:
        """The bound of Lambda's event, or of a load balancer's body, where there is more."""
        text = native.get("body") or ""
        body = len(text)
        sent = body // 4 * 3 - text[-2:].count("=") if native.get("isBase64Encoded") else body
        if source == "alb" and sent > ALB_BODY_BYTES:
            return ALB_BODY_BYTES
        if body < LAMBDA_PAYLOAD_BYTES // 6 - 65_536:  # a character takes six bytes of JSON at most
            return None
        return LAMBDA_PAYLOAD_BYTES if len(encode_text(native).encode()) > LAMBDA_PAYLOAD_BYTES else None

    def outcome(self, function: FunctionRecord, event: Event, answer: Any, *, source: str | None = None) -> Outcome:
        """What the function's answer says. An answer the source would refuse is an error."""
        del source  # every source's answer has the same keys, where it has them
        if function.kind == "socket":
            found = _http_outcome(answer)
            return found if found.response is None else outcome_of(event, found.response)
        if function.kind == "http":
            return _http_outcome(answer)
        if function.kind == "message":
            return Outcome(failed=[row["itemIdentifier"] for row in (answer or {}).get("batchItemFailures", ())])
        if function.kind == "stream":
            batch: Any = event
            return Outcome(failed=_again(batch, answer))
        if function.kind == "change" and (answer or {}).get("batchItemFailures"):
            return Outcome(error="the function asks for the change again")
        return Outcome(value=answer if function.kind == "direct" else None)


SAMPLES = AWSSamples()


def _again(batch: Sequence[StreamRecord[bytes]], answer: Any) -> list[str]:
    """Ids of the records that an answer names: Kinesis' sequence numbers, or Kafka's partitions and offsets."""
    failed = []
    for row in (answer or {}).get("batchItemFailures", ()):
        named = row["itemIdentifier"]
        if isinstance(named, str):
            failed += [record.id for record in batch if record.offset == named]
        else:
            failed.append(f"{named['partition'].rpartition('-')[2]}/{named['offset']}")
    return failed


def _kinesis(_: FunctionRecord, batch: Sequence[StreamRecord[bytes]]) -> dict[str, Any]:
    return {"Records": [_kinesis_record(record) for record in batch]}


def _kinesis_record(record: StreamRecord[bytes]) -> dict[str, Any]:
    time = record.time
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.key or "1",
            "sequenceNumber": record.offset,
            "data": b64encode(record.body).decode(),
            "approximateArrivalTimestamp": 0.0 if time is None else time.timestamp(),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{record.partition}:{record.offset}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/portable",
        "awsRegion": REGION,
        "eventSourceARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{physical_name('stream', record.stream)}",
    }


def _msk(_: FunctionRecord, batch: Sequence[StreamRecord[bytes]]) -> dict[str, Any]:
    arn = f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/portable/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
    return {"eventSource": "aws:kafka", "eventSourceArn": arn, **_kafka_records(batch)}


def _kafka(_: FunctionRecord, batch: Sequence[StreamRecord[bytes]]) -> dict[str, Any]:
    return {"eventSource": "SelfManagedKafka", **_kafka_records(batch)}


def _kafka_records(batch: Sequence[StreamRecord[bytes]]) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in batch:
        topic = physical_name("stream", record.stream)
        row: dict[str, Any] = {
            "topic": topic,
            "partition": int(record.partition),
            "offset": int(record.offset),
            "timestamp": -1 if record.time is None else int(record.time.timestamp() * 1000),
            "timestampType": "CREATE_TIME",
            "value": b64encode(record.body).decode(),
            "headers": [{name: list(value)} for name, value in record.headers.items()],
        }
        if record.key is not None:
            row["key"] = b64encode(record.key.encode()).decode()
        found.setdefault(f"{topic}-{record.partition}", []).append(row)
    brokers = "b-2.portable.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092"
    return {"bootstrapServers": brokers, "records": found}


def _http_outcome(answer: Any) -> Outcome:
    if not isinstance(answer, dict) or not isinstance(answer.get("statusCode"), int):
        return Outcome(error=f"BadGateway: no statusCode in the answer {answer!r}")
    pairs = [(name, value) for name, value in (answer.get("headers") or {}).items()]
    pairs += [(name, one) for name, many in (answer.get("multiValueHeaders") or {}).items() for one in many]
    pairs += [("set-cookie", cookie) for cookie in answer.get("cookies", ())]
    body = answer.get("body") or ""
    data = b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return Outcome(response=Response(data, answer["statusCode"], pairs))


def _instant(time: datetime, *, milliseconds: bool = False) -> str:
    return time.isoformat(timespec="milliseconds" if milliseconds else "seconds").replace("+00:00", "Z")


def _sqs(function: FunctionRecord, batch: Sequence[Message[str]]) -> dict[str, Any]:
    kind, name = function.triggers[0].source
    queue = physical_name(kind, name)
    if kind == "topic":  # its subscription
        queue += f"-{function.name}"
    return {"Records": [_sqs_record(queue, message) for message in batch]}


def _sqs_record(queue: str, message: Message[str]) -> dict[str, Any]:
    sent = "" if message.sent_at is None else str(int(message.sent_at.timestamp() * 1000))
    attributes = {
        "ApproximateReceiveCount": str(message.attempt),
        "SentTimestamp": sent,
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": sent,
    }
    if message.group is not None:
        attributes["MessageGroupId"] = message.group
        queue += ".fifo"
    return {
        "messageId": message.id,
        # A message that was received has a receipt the queue knows; a made-up one has not.
        "receiptHandle": getattr(message.native, "receipt", "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a"),
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {
            name: {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
            for name, value in message.attributes.items()
        },
        "md5OfBody": md5(message.body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }


def _s3(_: FunctionRecord, event: BlobEvent) -> dict[str, Any]:
    bucket = physical_name("bucket", event.bucket)
    blob: dict[str, Any] = {"key": quote_plus(event.key, safe="/"), "sequencer": "0A1B2C3D4E5F678901"}
    if event.kind == "created":
        blob |= {"size": event.size or 0, "eTag": event.version or "d41d8cd98f00b204e9800998ecf8427e"}
    elif event.version is not None:
        blob["versionId"] = event.version
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": _instant(event.time, milliseconds=True),
        "eventName": "ObjectCreated:Put" if event.kind == "created" else "ObjectRemoved:Delete",
        "userIdentity": {"principalId": "AWS:AIDAINPONIXQXHT3IKHL2"},
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
        "responseElements": {
            "x-amz-request-id": "C3D13FE58DE4C810",
            "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "portable",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": blob,
        },
    }
    return {"Records": [record]}


def _s3_eventbridge(_: FunctionRecord, event: BlobEvent) -> dict[str, Any]:
    bucket = physical_name("bucket", event.bucket)
    created = event.kind == "created"
    blob: dict[str, Any] = {"key": event.key, "sequencer": "00617F08299329D189"}
    if created:
        blob |= {"size": event.size or 0, "etag": event.version or "d41d8cd98f00b204e9800998ecf8427e"}
    elif event.version is not None:
        blob["version-id"] = event.version
    detail = {
        "version": "0",
        "bucket": {"name": bucket},
        "object": blob,
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": ACCOUNT,
        "source-ip-address": "203.0.113.7",
        "reason": "PutObject" if created else "DeleteObject",
    }
    if not created:
        detail["deletion-type"] = "Permanently Deleted"
    name = "Object Created" if created else "Object Deleted"
    return _envelope("aws.s3", name, event.time, f"arn:aws:s3:::{bucket}", detail)


def _dynamodb(function: FunctionRecord, change: Change[Any]) -> dict[str, Any]:
    table = physical_name("table", change.table)
    [fields] = [one.options["key"] for one in function.triggers if one.options["table"] == change.table][:1]
    values = (change.key,) if len(fields) == 1 else change.key
    stream: dict[str, Any] = {
        "ApproximateCreationDateTime": int(change.time.timestamp()),
        "Keys": encode_item({field: value for (field, _), value in zip(fields, values, strict=True)}),
        "SequenceNumber": "111",
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    for name, item in (("NewImage", change.new), ("OldImage", change.old)):
        if item is not None:
            stream[name] = {VERSION: {"S": "0af4c1d2"}, **_in_base64(encode_item(item))}
    record = {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": {"insert": "INSERT", "update": "MODIFY", "delete": "REMOVE"}[change.kind],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": stream,
        "eventSourceARN": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}/stream/2026-03-29T08:00:00.000",
    }
    return {"Records": [record]}


def _in_base64(value: Any) -> Any:
    """Attribute values as JSON has them."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, list):
        return [_in_base64(one) for one in value]
    return {name: _in_base64(one) for name, one in value.items()} if isinstance(value, dict) else value


def _envelope(source: str, detail_type: str, time: datetime, resource: str, detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": _instant(time),
        "region": REGION,
        "resources": [resource],
        "detail": detail,
    }


def _scheduler(function: FunctionRecord, tick: Tick) -> dict[str, Any]:
    arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{function.name}"
    event = _envelope("aws.scheduler", "Scheduled Event", tick.scheduled_at, arn, "{}")
    return event | _dropping(function, tick, "scheduler")


def _rule(function: FunctionRecord, tick: Tick) -> dict[str, Any]:
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{function.name}"
    event = _envelope("aws.events", "Scheduled Event", tick.scheduled_at, arn, {})
    return event | _dropping(function, tick, "eventbridge-rule")


def _dropping(function: FunctionRecord, tick: Tick, source: str) -> dict[str, str]:
    """What the input of the trigger adds that fires then."""
    [trigger] = function.triggers
    timers = timers_of(trigger, source)
    drops = timers[firing(trigger, timers, tick.scheduled_at)].drops
    return {"portable": drops} if drops else {}


_NATIVE: dict[str, Callable[[FunctionRecord, Any], dict[str, Any]]] = {
    "http-api": lambda function, request: http_api(request),
    "rest-api": lambda function, request: rest_api(request),
    "alb": lambda function, request: alb(request),
    "function-url": lambda function, request: function_url(request),
    "sqs": _sqs,
    "kinesis": _kinesis,
    "msk": _msk,
    "kafka": _kafka,
    "s3": _s3,
    "s3-eventbridge": _s3_eventbridge,
    "dynamodb-stream": _dynamodb,
    "websocket-api": lambda _, event: websocket_api(event),
    "scheduler": _scheduler,
    "eventbridge-rule": _rule,
}
