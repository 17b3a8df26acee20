"""Our codecs of websocket events agree with what others wrote, and end clearly on anything else.

Powertools' data class for API Gateway; the ``cloudevents`` package for Web PubSub. Neither is told what ours reads.
"""

from __future__ import annotations

import hmac
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable.events import Response, SocketEvent
from portable.jsontext import encode_text
from portable_aws.triggers.websocket import WebSocketAPI
from portable_azure.triggers.http import HTTPTrigger
from portable_azure.triggers.web_pubsub import WebPubSubTrigger
from portable_local.triggers import SOURCES

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAME = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=8)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=10)
MANY = st.dictionaries(NAME, st.lists(VALUE, min_size=1, max_size=3), max_size=4)
ID = st.text(string.ascii_letters + string.digits + "-_=", min_size=1, max_size=16)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def gateway_events(draw: st.DrawFn) -> dict[str, Any]:
    """As API Gateway hands them over."""
    kind = draw(st.sampled_from(["CONNECT", "MESSAGE", "DISCONNECT"]))
    context: dict[str, Any] = {
        "routeKey": {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}[kind],
        "eventType": kind,
        "connectionId": draw(ID),
        "identity": {"sourceIp": draw(VALUE)},
        "stage": "live",
    }
    event: dict[str, Any] = {"requestContext": context, "isBase64Encoded": False}
    if kind == "CONNECT":
        headers, query = draw(MANY), draw(MANY)
        event["headers"] = {name: values[-1] for name, values in headers.items()}
        event["multiValueHeaders"] = headers
        if query:
            event["queryStringParameters"] = {name: values[-1] for name, values in query.items()}
            event["multiValueQueryStringParameters"] = query
    elif kind == "MESSAGE":
        event["body"] = draw(TEXT)
    else:
        context["disconnectStatusCode"] = draw(st.integers(1000, 4999))
        context["disconnectReason"] = draw(TEXT)
    return event


@EXAMPLES
@given(event=gateway_events())
def test_api_gateway_as_powertools_reads_it(event: dict[str, Any]) -> None:
    sources = pytest.importorskip("aws_lambda_powertools.utilities.data_classes")
    theirs, ours = sources.APIGatewayWebSocketEvent(event), WebSocketAPI.decode(event)
    context = theirs.request_context
    assert ours.kind == context.event_type.lower()
    assert ours.connection == context.connection_id
    assert ours.body == (theirs.decoded_body or "")
    assert ours.code == context.disconnect_status_code
    assert ours.reason == (context.disconnect_reason or "")
    if ours.kind != "connect":
        return
    assert ours.client == context.identity.source_ip
    # Two names that differ in case are one to both; which of them counts is not said.
    for name, values in (event["multiValueHeaders"]).items():
        if [one.lower() for one in event["multiValueHeaders"]].count(name.lower()) == 1:
            assert ours.headers.get_all(name) == values == theirs.multi_value_headers[name]
    for name, values in (event.get("multiValueQueryStringParameters") or {}).items():
        assert ours.query.get_all(name) == values
        assert ours.query[name] == event["queryStringParameters"][name]


class Native:
    """As the worker's HttpRequest."""

    method = "POST"
    url = "https://app.azurewebsites.net/portable-sockets/chat"

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self._body = body

    def get_body(self) -> bytes:
        return self._body


KEY = "key"
TRIGGER = WebPubSubTrigger("rooms.webpubsub.azure.com", KEY)


def _decoded(body: bytes | str) -> str:
    """An empty body is a str to it already."""
    return body.decode() if isinstance(body, bytes) else body


def signed(connection: str) -> str:
    return f"sha256={hmac.new(KEY.encode(), connection.encode(), 'sha256').hexdigest()}"


@EXAMPLES
@given(connection=ID, text=TEXT, reason=TEXT, query=MANY, kind=st.sampled_from(["connect", "message", "disconnected"]))
def test_web_pubsub_as_cloudevents_reads_it(
    connection: str, text: str, reason: str, query: dict[str, list[str]], kind: str
) -> None:
    cloudevents = pytest.importorskip("cloudevents.http")
    space = "user" if kind == "message" else "sys"
    documents = {"connect": {"query": query, "headers": {}}, "disconnected": {"reason": reason}}
    body = text.encode() if kind == "message" else encode_text(documents[kind]).encode()
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": f"/hubs/rooms/client/{connection}",
        "ce-type": f"azure.webpubsub.{space}.{kind}",
        "ce-connectionid": connection,
        "ce-signature": signed(connection),
        "content-type": "text/plain" if kind == "message" else "application/json",
    }
    theirs = cloudevents.from_http(headers, body, data_unmarshaller=None if space == "sys" else _decoded)
    ours = TRIGGER.decode(HTTPTrigger.decode(Native(headers, body)))
    assert isinstance(ours, SocketEvent)
    assert theirs["type"].endswith(f".{kind}")
    assert ours.connection == theirs["connectionid"]
    if kind == "message":
        assert ours.body == (theirs.data or "")
    elif kind == "disconnected":
        assert ours.reason == theirs.data["reason"]
    else:
        assert {name: ours.query.get_all(name) for name in ours.query} == theirs.data["query"]


@EXAMPLES
@given(event=JSON)
def test_anything_else_ends_clearly(event: Any) -> None:
    for decode in (WebSocketAPI.decode, SOURCES["socket"].decode):
        with pytest.raises(ValueError, match="socket"):
            decode(event)


@EXAMPLES
@given(
    headers=st.dictionaries(st.sampled_from(["ce-type", "ce-connectionid", "ce-signature", "content-type"]), VALUE),
    body=st.binary(max_size=40),
    sign=st.booleans(),
)
def test_nobody_else_is_let_in(headers: dict[str, str], body: bytes, sign: bool) -> None:
    if sign and "ce-connectionid" in headers:
        headers["ce-signature"] = signed(headers["ce-connectionid"])
    answer = TRIGGER.decode(HTTPTrigger.decode(Native(headers, body)))
    assert isinstance(answer, Response)
    assert answer.status == (400 if sign and "ce-connectionid" in headers else 401)
