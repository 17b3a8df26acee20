"""Our AWS codecs agree with Powertools' data classes, on events that Hypothesis makes by each source's grammar.

Powertools reads the same native event; neither is told what the other reads. Where it is known to read otherwise, the
place and the reason stand in the test.
"""

from __future__ import annotations

import base64
import json
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable.events import Request
from portable_aws.triggers import CODECS, codec_of

sources = pytest.importorskip("aws_lambda_powertools.utilities.data_classes")

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc")), max_size=12)
NAME = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=10)
HEADER_NAME = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=10).filter(
    lambda name: name not in ("cookie", "host")
)
HEADER_VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16)
COOKIE = st.from_regex(r"[a-z]{1,5}=[a-z0-9]{0,6}", fullmatch=True)
METHOD = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
QUERY = st.lists(st.tuples(NAME, TEXT), max_size=5)
BODY = st.one_of(st.none(), TEXT, st.binary(max_size=40))
SEGMENT = st.one_of(NAME, TEXT.filter(lambda text: text not in (".", "..")))
PATH = st.lists(SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(quote(part, safe="") for part in parts))


def carried(body: str | bytes | None) -> tuple[str | None, bool]:
    """A body as a gateway puts it into the event."""
    if isinstance(body, bytes):
        return base64.b64encode(body).decode(), True
    return body, False


def sent(body: str | bytes | None) -> bytes:
    return b"" if body is None else body if isinstance(body, bytes) else body.encode()


def decoded(event: Any) -> bytes:
    """The body as Powertools decodes it: to text, where it is text."""
    if not event.body:
        return b""
    return base64.b64decode(event.body) if event.is_base64_encoded else event.decoded_body.encode()


@st.composite
def payload_2(draw: st.DrawFn, stage: str = "$default") -> dict[str, Any]:
    body, encoded = carried(draw(BODY))
    query = draw(QUERY)
    cookies = draw(st.lists(COOKIE, max_size=3))
    headers = draw(st.dictionaries(HEADER_NAME, HEADER_VALUE, max_size=5))
    grouped: dict[str, list[str]] = {}
    for name, value in query:
        grouped.setdefault(name, []).append(value)
    path = draw(PATH)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query),
        "headers": {"host": "api.example.com", **headers},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": draw(METHOD),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "r",
            "routeKey": "$default",
            "stage": stage,
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "isBase64Encoded": encoded,
    }
    if body is not None:
        event["body"] = body
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in grouped.items()}
    return event


@EXAMPLES
@given(event=payload_2())
def test_function_url(event: dict[str, Any]) -> None:
    ours: Request = codec_of("http", "function-url").decode(event)
    theirs = sources.LambdaFunctionUrlEvent(event)
    assert_payload_2(ours, theirs)
    assert ours.raw_path == theirs.raw_path


@EXAMPLES
@given(event=payload_2())
def test_http_api(event: dict[str, Any]) -> None:
    ours: Request = codec_of("http", "http-api").decode(event)
    theirs = sources.APIGatewayProxyEventV2(event)
    assert_payload_2(ours, theirs)
    # The gateway has decoded the path: as text it is the same, and ours is encoded anew to be split by segments.
    assert ours.path == theirs.path


def assert_payload_2(ours: Request, theirs: Any) -> None:
    assert ours.method == theirs.http_method
    for name, value in theirs.headers.items():
        assert ours.headers[name.upper()] == value
    assert set(ours.headers) - {"cookie"} == set(theirs.headers)
    assert ours.cookies == dict(reversed([tuple(cookie.split("=", 1)) for cookie in theirs.cookies]))
    for name, values in theirs.resolved_query_string_parameters.items():
        # Powertools splits what the gateway joined, at every comma; the raw query tells a comma from a join.
        assert ",".join(ours.query.get_all(name)) == ",".join(values)
    assert set(ours.query) == set(theirs.resolved_query_string_parameters)
    assert ours.body == decoded(theirs)
    assert ours.client == theirs.request_context.http.source_ip
    assert ours.raw_query == theirs.raw_query_string


def multi(draw: st.DrawFn, pairs: list[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    return {name: values[-1] for name, values in many.items()}, many


@st.composite
def payload_1(draw: st.DrawFn) -> dict[str, Any]:
    body, encoded = carried(draw(BODY))
    single, many = multi(draw, draw(QUERY))
    header, headers = multi(draw, draw(st.lists(st.tuples(HEADER_NAME, HEADER_VALUE), max_size=5)))
    path = draw(PATH)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": draw(METHOD),
        "headers": header or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": single or None,
        "multiValueQueryStringParameters": many or None,
        "pathParameters": {"proxy": path[1:]},
        "requestContext": {
            "path": f"/prod{path}",
            "stage": "prod",
            "identity": {"sourceIp": "192.0.2.1"},
            "requestId": "r",
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


@EXAMPLES
@given(event=payload_1())
def test_rest_api(event: dict[str, Any]) -> None:
    ours: Request = codec_of("http", "rest-api").decode(event)
    theirs = sources.APIGatewayProxyEvent(event)
    assert (ours.method, ours.raw_path, ours.root_path) == (theirs.http_method, event["path"], "/prod")
    assert {name: ours.headers.get_all(name) for name in ours.headers} == {
        name.lower(): values for name, values in theirs.multi_value_headers.items()
    }
    assert {name: ours.query.get_all(name) for name in ours.query} == theirs.resolved_query_string_parameters
    assert ours.body == decoded(theirs)
    assert ours.client == theirs.request_context.identity.source_ip


@st.composite
def balanced(draw: st.DrawFn) -> dict[str, Any]:
    """A load balancer's: queries as they were sent, not decoded."""
    body, encoded = carried(draw(BODY))
    encoded_query = [(quote_plus(name), quote_plus(value)) for name, value in draw(QUERY)]
    single, many = multi(draw, encoded_query)
    header, headers = multi(draw, draw(st.lists(st.tuples(HEADER_NAME, HEADER_VALUE), max_size=5)))
    event: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}},
        "httpMethod": draw(METHOD),
        "path": draw(PATH),
        "body": body or "",
        "isBase64Encoded": encoded,
    }
    if draw(st.booleans()):
        return event | {"multiValueHeaders": headers, "multiValueQueryStringParameters": many}
    return event | {"headers": header, "queryStringParameters": single}


@EXAMPLES
@given(event=balanced())
def test_load_balancer(event: dict[str, Any]) -> None:
    ours: Request = codec_of("http", "alb").decode(event)
    theirs = sources.ALBEvent(event)
    assert (ours.method, ours.raw_path) == (theirs.http_method, theirs.path)
    assert {name: ours.headers.get_all(name) for name in ours.headers} == {
        name: values if isinstance(values, list) else [values] for name, values in theirs.resolved_headers_field.items()
    }
    # Powertools leaves the encoding on, as the load balancer does; ours takes it off.
    found = {quote_plus(name): [quote_plus(one) for one in ours.query.get_all(name)] for name in ours.query}
    assert found == {name: list(values) for name, values in theirs.resolved_query_string_parameters.items()}
    assert ours.body == decoded(theirs)


# --- events

ATTRIBUTES = st.dictionaries(NAME, TEXT.filter(bool), max_size=3)


@st.composite
def sqs(draw: st.DrawFn) -> dict[str, Any]:
    def record(number: int) -> dict[str, Any]:
        attributes = {
            "ApproximateReceiveCount": str(draw(st.integers(1, 100))),
            "SentTimestamp": str(draw(st.integers(1, 2**42))),
            "SenderId": "sender",
            "ApproximateFirstReceiveTimestamp": "1",
        }
        if draw(st.booleans()):
            attributes |= {"MessageGroupId": draw(NAME), "SequenceNumber": "1"}
        return {
            "messageId": f"m{number}",
            "receiptHandle": "handle",
            "body": draw(TEXT),
            "attributes": attributes,
            "messageAttributes": {
                name: {"stringValue": value, "dataType": "String"} for name, value in draw(ATTRIBUTES).items()
            },
            "md5OfBody": "md5",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
            "awsRegion": "eu-west-1",
        }

    return {"Records": [record(number) for number in range(draw(st.integers(1, 4)))]}


@EXAMPLES
@given(event=sqs())
def test_queue(event: dict[str, Any]) -> None:
    codec = codec_of("message", "sqs")
    ours = codec.decode(event)
    theirs = list(sources.SQSEvent(event).records)
    for message, record in zip(ours, theirs, strict=True):
        assert (message.id, message.body) == (record.message_id, record.body)
        assert message.attempt == int(record.attributes.approximate_receive_count)
        assert message.sent_at == datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)
        assert message.group == record.attributes.message_group_id
        assert message.attributes == {name: found.string_value for name, found in record.message_attributes.items()}
        assert codec.queue(event) == record.queue_url.rpartition("/")[2] == "orders"


@st.composite
def s3(draw: st.DrawFn) -> dict[str, Any]:
    key = draw(TEXT.filter(bool))
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-west-1",
                "eventTime": "2026-01-02T03:04:05.678Z",
                "eventName": draw(st.sampled_from(["ObjectCreated:Put", "ObjectRemoved:Delete"])),
                "s3": {
                    "bucket": {"name": draw(NAME), "arn": "arn:aws:s3:::b", "ownerIdentity": {"principalId": "p"}},
                    "object": {
                        "key": quote_plus(key),
                        "size": draw(st.integers(0, 2**40)),
                        "eTag": draw(NAME),
                        "versionId": draw(NAME),
                        "sequencer": "1",
                    },
                },
            }
        ]
    }


@EXAMPLES
@given(event=s3())
def test_bucket(event: dict[str, Any]) -> None:
    (ours,) = codec_of("blob", "s3").decode(event)
    theirs = sources.S3Event(event).record
    assert ours.bucket == theirs.s3.bucket.name
    assert ours.key == sources.S3Event(event).object_key
    assert (ours.kind == "created") == theirs.event_name.startswith("ObjectCreated")
    assert ours.time == datetime.fromisoformat(theirs.event_time)
    assert ours.size == theirs.s3.get_object.size
    assert ours.version in (theirs.s3.get_object.version_id, theirs.s3.get_object.etag)


NUMBER = st.one_of(st.integers(-(2**53), 2**53).map(str), st.decimals(-1000, 1000, places=3).map(str))
SCALAR = st.one_of(
    TEXT.map(lambda text: {"S": text}),
    NUMBER.map(lambda number: {"N": number}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.binary(max_size=8).map(lambda data: {"B": base64.b64encode(data).decode()}),
    st.lists(NAME, min_size=1, max_size=3, unique=True).map(lambda names: {"SS": names}),
)
ATTRIBUTE = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: {"L": values})
        | st.dictionaries(NAME, inner, max_size=3).map(lambda values: {"M": values})
    ),
    max_leaves=6,
)


@st.composite
def dynamodb(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["INSERT", "MODIFY", "REMOVE"]))
    change: dict[str, Any] = {
        "ApproximateCreationDateTime": float(draw(st.integers(1, 2**31))),
        "Keys": {"id": {"S": draw(TEXT)}},
        "SequenceNumber": "1",
        "SizeBytes": 1,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    image = st.dictionaries(NAME, ATTRIBUTE, min_size=1, max_size=4)
    if kind != "REMOVE":
        change["NewImage"] = draw(image)
    if kind != "INSERT":
        change["OldImage"] = draw(image)
    return {
        "Records": [
            {
                "eventID": "1",
                "eventName": kind,
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "eu-west-1",
                "dynamodb": change,
                "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2026-01-01T00:00:00.000",
            }
        ]
    }


def plain(value: Any) -> Any:
    """Bytes as the stream carries them: Powertools leaves them in base64."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@EXAMPLES
@given(event=dynamodb())
def test_table(event: dict[str, Any]) -> None:
    (ours,) = codec_of("change", "dynamodb-stream").decode(event)
    theirs = next(iter(sources.DynamoDBStreamEvent(event).records))
    kinds = {"INSERT": "insert", "MODIFY": "update", "REMOVE": "delete"}
    assert ours.kind == kinds[theirs.event_name.name]
    assert ours.table == "orders"
    assert ours.key == theirs.dynamodb.keys
    assert plain(ours.new) == (plain(theirs.dynamodb.new_image) or None)
    assert plain(ours.old) == (plain(theirs.dynamodb.old_image) or None)
    assert ours.time == datetime.fromtimestamp(theirs.dynamodb.approximate_creation_date_time, UTC)


@st.composite
def kinesis(draw: st.DrawFn) -> dict[str, Any]:
    def record(number: int) -> dict[str, Any]:
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": draw(NAME),
                "sequenceNumber": str(10**20 + number),
                "data": base64.b64encode(draw(st.binary(max_size=30))).decode(),
                "approximateArrivalTimestamp": draw(st.integers(1, 2**31)) + 0.5,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-000000000006:{10**20 + number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn",
            "awsRegion": "eu-west-1",
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks",
        }

    return {"Records": [record(number) for number in range(draw(st.integers(1, 4)))]}


@EXAMPLES
@given(event=kinesis())
def test_kinesis(event: dict[str, Any]) -> None:
    ours = codec_of("stream", "kinesis").decode(event)
    theirs = list(sources.KinesisStreamEvent(event).records)
    for record, other in zip(ours, theirs, strict=True):
        assert sent(record.body) == other.kinesis.data_as_bytes()
        assert (record.key, record.offset) == (other.kinesis.partition_key, other.kinesis.sequence_number)
        assert record.partition == other.event_id.partition(":")[0]
        assert record.time == datetime.fromtimestamp(other.kinesis.approximate_arrival_timestamp, UTC)


@st.composite
def kafka(draw: st.DrawFn) -> dict[str, Any]:
    def record(partition: int, offset: int) -> dict[str, Any]:
        headers = [
            {name: list(value)}
            for name, value in draw(st.dictionaries(NAME.map(str.lower), st.binary(max_size=6), max_size=3)).items()
        ]
        return {
            "topic": "clicks",
            "partition": partition,
            "offset": offset,
            "timestamp": draw(st.integers(1, 2**41)),
            "timestampType": "CREATE_TIME",
            "key": base64.b64encode(draw(NAME).encode()).decode(),
            "value": base64.b64encode(draw(TEXT).encode()).decode(),
            "headers": headers,
        }

    partitions = range(draw(st.integers(1, 3)))
    return {
        "eventSource": "aws:kafka",
        "eventSourceArn": "arn:aws:kafka:eu-west-1:1:cluster/c/1",
        "bootstrapServers": "b-1.c.example.com:9092",
        "records": {
            f"clicks-{partition}": [record(partition, offset) for offset in range(draw(st.integers(1, 3)))]
            for partition in partitions
        },
    }


@EXAMPLES
@given(event=kafka())
def test_kafka(event: dict[str, Any]) -> None:
    ours = codec_of("stream", "msk").decode(event)
    theirs = list(sources.KafkaEvent(event).records)
    for record, other in zip(ours, theirs, strict=True):
        assert sent(record.body) == other.decoded_value
        assert (record.key, record.partition, record.offset) == (
            other.decoded_key.decode(),
            str(other.partition),
            str(other.offset),
        )
        assert record.time == datetime.fromtimestamp(other.timestamp / 1000, UTC)
        assert {name: sent(value) for name, value in record.headers.items()} == dict(other.decoded_headers)


@EXAMPLES
@given(seconds=st.integers(1_577_836_800, 1_893_456_000))
def test_schedule(seconds: int) -> None:
    event = {
        "version": "0",
        "id": "e1",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "time": datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "eu-west-1",
        "resources": ["arn:aws:scheduler:eu-west-1:1:schedule/default/report"],
        "detail": "{}",
    }
    for source in ("scheduler", "eventbridge-rule"):
        tick = codec_of("schedule", source).decode(event)
        assert tick.scheduled_at == datetime.fromisoformat(sources.EventBridgeEvent(event).time)


@EXAMPLES
@given(key=TEXT.filter(bool), name=NAME, kind=st.sampled_from(["Object Created", "Object Deleted"]))
def test_bucket_by_eventbridge(key: str, name: str, kind: str) -> None:
    event = {
        "version": "0",
        "id": "e1",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "1",
        "time": "2026-01-02T03:04:05Z",
        "region": "eu-west-1",
        "resources": [f"arn:aws:s3:::{name}"],
        "detail": {
            "version": "0",
            "bucket": {"name": name},
            "object": {"key": key, "size": 5, "etag": "e", "sequencer": "1"},
            "request-id": "r",
            "requester": "1",
            "source-ip-address": "192.0.2.1",
            "reason": "PutObject",
        },
    }
    (ours,) = codec_of("blob", "s3-eventbridge").decode(event)
    theirs = sources.S3EventBridgeNotificationEvent(event)
    # Powertools takes an encoding off that EventBridge, unlike a bucket's own notification, does not put on.
    assert (ours.bucket, unquote_plus(ours.key)) == (theirs.detail.bucket.name, theirs.detail.object.key)
    assert ours.key == key
    assert ours.time == datetime.fromisoformat(theirs.time)
    assert ours.size == theirs.detail.object.size


def test_every_source_has_an_oracle() -> None:
    """But for direct calls, whose event is the payload; sockets' are held in their own tests."""
    compared = {
        *("http-api", "rest-api", "alb", "function-url", "sqs", "s3", "s3-eventbridge", "dynamodb-stream"),
        *("scheduler", "eventbridge-rule", "kinesis", "msk", "kafka"),
    }
    every = {source for kind, found in CODECS.items() if kind not in ("direct", "socket") for source in found}
    assert every == compared


def test_a_body_that_is_json_reads_the_same() -> None:
    event = {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
        "body": base64.b64encode(json.dumps({"ä": [1, None]}).encode()).decode(),
        "isBase64Encoded": True,
    }
    ours: Request = codec_of("http", "http-api").decode(event)
    assert ours.json() == sources.APIGatewayProxyEventV2(event).json_body == {"ä": [1, None]}
