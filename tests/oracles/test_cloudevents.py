"""Google Cloud's events as the ``cloudevents`` library and functions-framework read them, and as we do.

A request as Eventarc sends it goes to a function that functions-framework serves, which hands on what it read; our
codec is given the same. So are events of the first generation, which functions-framework turns into CloudEvents itself.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

functions_framework = pytest.importorskip("functions_framework")
http = pytest.importorskip("cloudevents.http")

# ruff: noqa: E402
from portable_gcp.triggers.pubsub import PubSubEventarc, PubSubPush
from portable_gcp.triggers.storage import StorageEventarc

EXAMPLES = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc")), max_size=12)
NAME = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=10)
INSTANT = st.integers(1_577_836_800, 1_893_456_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.123Z")
)

SOURCE = """
import functions_framework

@functions_framework.cloud_event
def take(event):
    import seen
    seen.EVENTS.append(event)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What functions-framework hands to a function, by posting to it."""
    import sys
    import types

    folder: Path = tmp_path_factory.mktemp("served")
    (folder / "main.py").write_text(SOURCE)
    seen = types.ModuleType("seen")
    seen.EVENTS = []  # type: ignore[attr-defined]
    sys.modules["seen"] = seen
    client = functions_framework.create_app("take", str(folder / "main.py"), "cloudevent").test_client()

    def post(headers: dict[str, str], body: bytes) -> Any:
        answer = client.post("/", headers=headers, data=body)
        assert answer.status_code == 200, answer.data
        return seen.EVENTS.pop()  # type: ignore[attr-defined]

    yield post
    del sys.modules["seen"]


def binary(attributes: dict[str, str], data: Any) -> tuple[dict[str, str], bytes]:
    headers = {f"ce-{name}": value for name, value in attributes.items()}
    return {"content-type": "application/json", "ce-specversion": "1.0", **headers}, json.dumps(data).encode()


def structured(attributes: dict[str, str], data: Any) -> tuple[dict[str, str], bytes]:
    document = {"specversion": "1.0", "datacontenttype": "application/json", **attributes, "data": data}
    return {"content-type": "application/cloudevents+json"}, json.dumps(document).encode()


MODES = st.sampled_from([binary, structured])
Mode = Callable[[dict[str, str], Any], tuple[dict[str, str], bytes]]


@st.composite
def pushed(draw: st.DrawFn) -> dict[str, Any]:
    """A push body. https://cloud.google.com/pubsub/docs/push#receive_push"""
    message: dict[str, Any] = {
        "data": base64.b64encode(draw(TEXT).encode()).decode(),
        "messageId": draw(st.integers(1, 10**15).map(str)),
        "publishTime": draw(INSTANT),
    }
    if attributes := draw(st.dictionaries(NAME, TEXT, max_size=3)):
        message["attributes"] = attributes
    if draw(st.booleans()):
        message["orderingKey"] = draw(NAME)
    document: dict[str, Any] = {"message": message, "subscription": "projects/p/subscriptions/s"}
    if draw(st.booleans()):
        document["deliveryAttempt"] = draw(st.integers(1, 100))
    return document


def assert_message(found: Any, document: dict[str, Any]) -> None:
    inner = document["message"]
    assert found.id == inner["messageId"]
    assert found.body.encode() == base64.b64decode(inner["data"])
    assert found.attributes == inner.get("attributes", {})
    assert found.group == inner.get("orderingKey")
    assert found.attempt == document.get("deliveryAttempt", 1)
    assert found.sent_at == datetime.fromisoformat(inner["publishTime"])


@EXAMPLES
@given(document=pushed(), mode=MODES)
def test_messages_of_eventarc(served: Any, document: dict[str, Any], mode: Mode) -> None:
    attributes = {
        "id": document["message"]["messageId"],
        "source": "//pubsub.googleapis.com/projects/p/topics/t",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "time": document["message"]["publishTime"],
    }
    headers, body = mode(attributes, document)
    event = served(headers, body)
    alone = http.from_http(headers, body)
    found, key = PubSubEventarc.decode(event)
    assert key is None
    assert found.native == alone.data == event.data
    assert found.id == alone["id"]
    assert_message(found, event.data)


@EXAMPLES
@given(document=pushed())
def test_messages_pushed_raw_are_what_functions_framework_makes_of_them(served: Any, document: dict[str, Any]) -> None:
    """It takes a bare push for a function of CloudEvents, and wraps it; ours reads the bare one itself."""
    body = json.dumps(document).encode()
    event = served({"content-type": "application/json"}, body)
    wrapped, _ = PubSubEventarc.decode(event)

    class Posted:
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/"}

        @staticmethod
        def get_data() -> bytes:
            return body

    bare, _ = PubSubPush.decode(Posted())
    assert_message(bare, document)
    for field in ("id", "body", "attributes", "sent_at"):
        assert getattr(wrapped, field) == getattr(bare, field)


@st.composite
def stored(draw: st.DrawFn) -> dict[str, Any]:
    key = draw(TEXT.filter(bool))
    return {
        "kind": "storage#object",
        "bucket": draw(NAME),
        "name": key,
        "generation": draw(st.integers(1, 10**16).map(str)),
        "metageneration": "1",
        "size": draw(st.integers(0, 2**40).map(str)),
        "contentType": "text/plain",
        "timeCreated": draw(INSTANT),
        "updated": draw(INSTANT),
    }


@EXAMPLES
@given(data=stored(), mode=MODES, kind=st.sampled_from(["finalized", "deleted"]), time=INSTANT)
def test_blobs(served: Any, data: dict[str, Any], mode: Mode, kind: str, time: str) -> None:
    attributes = {
        "id": "1",
        "source": f"//storage.googleapis.com/projects/_/buckets/{data['bucket']}",
        "type": f"google.cloud.storage.object.v1.{kind}",
        "subject": "objects/x",
        "time": time,
    }
    headers, body = mode(attributes, data)
    event = served(headers, body)
    alone = http.from_http(headers, body)
    found = StorageEventarc.decode(event, {data["bucket"]: "uploads"})
    assert (found.bucket, found.key) == ("uploads", alone.data["name"])
    assert found.kind == {"finalized": "created", "deleted": "deleted"}[alone["type"].rpartition(".")[2]]
    assert found.size == (int(alone.data["size"]) if kind == "finalized" else None)
    assert found.version == alone.data["generation"]
    assert found.time == datetime.fromisoformat(alone["time"])


@EXAMPLES
@given(data=stored(), kind=st.sampled_from(["finalize", "delete"]), time=INSTANT)
def test_blobs_of_the_first_generation(served: Any, data: dict[str, Any], kind: str, time: str) -> None:
    document = {
        "context": {
            "eventId": "1",
            "timestamp": time,
            "eventType": f"google.storage.object.{kind}",
            "resource": {
                "service": "storage.googleapis.com",
                "name": f"projects/_/buckets/{data['bucket']}/objects/{data['name']}",
                "type": "storage#object",
            },
        },
        "data": data,
    }
    event = served({"content-type": "application/json"}, json.dumps(document).encode())
    found = StorageEventarc.decode(event, {data["bucket"]: "uploads"})
    assert (found.kind, found.key) == ({"finalize": "created", "delete": "deleted"}[kind], data["name"])
    assert found.time == datetime.fromisoformat(event["time"]) == datetime.fromisoformat(time)
