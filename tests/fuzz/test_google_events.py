"""Google's entries with malformed pushes, CloudEvents, posts and Firestore bytes."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from portable import App, BlobEvent, Change, Message, Request, Tick
from portable.errors import PortableError
from portable.events import Response
from portable.instance import Instance
from portable.resources import set_platform
from portable_gcp.documents import encode_item
from portable_gcp.runtime import Entry, platform
from portable_gcp.wire import read_event, write_event

cloudevents = pytest.importorskip("cloudevents.http")
flask = pytest.importorskip("flask")

PAYLOADS = Path(__file__).parents[1] / "adapters" / "portable_gcp" / "payloads"
ENVIRONMENT = {"PORTABLE_EVENT_AUTH": "off-on-loopback", "PORTABLE_BUCKET_UPLOADS": "gs://my-bucket"}
ENVIRONMENT |= {"PORTABLE_TABLE_USERS": "users"}
PREVIOUS = "sentinel-of-the-event-before"
BODIES = {"pubsub-push": "emails", "scheduler": "daily", "direct": "recount"}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, read_all: Callable[[Any], str]) -> Iterator[Callable[[str, str], Entry]]:
    app = App("fuzzed")
    emails, uploads, users = app.queue("emails"), app.bucket("uploads"), app.table("users", key="id")

    @app.on_message(emails, function="emails")
    def take(message: Message[Any]) -> None:
        read_all(message)

    @app.on_blob(uploads, function="uploads")
    def blob(event: BlobEvent) -> None:
        read_all(event)

    @app.on_change(users, function="users")
    def change(event: Change[Any]) -> None:
        read_all(event)

    @app.on_schedule(cron="0 8 * * *", function="daily")
    def daily(tick: Tick) -> None:
        read_all(tick)

    @app.function("recount")
    def recount(payload: Any) -> Any:
        return payload

    @app.route("/{rest:path}", methods=["GET", "POST"])
    def show(rest: str, request: Request) -> str:
        return read_all(request) + request.text()

    module = ModuleType("fuzzed_google_app")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fuzzed_google_app", module)
    opened = platform(ENVIRONMENT)
    set_platform(opened)
    yield lambda function, source: Entry(Instance("fuzzed_google_app:app", function, None), source, ENVIRONMENT)
    set_platform(None)
    opened.close()


def posted(body: bytes, headers: dict[str, str] | None = None, path: str = "/", method: str = "POST") -> Any:
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()},
    }
    return flask.Request(environ)


def assert_clear(response: Response, logged: list[BaseException]) -> None:
    assert response.status in range(200, 600)
    assert PREVIOUS not in str(response.body)
    for error in logged:
        assert isinstance(error, (ValueError, PortableError)), repr(error)
    if response.status == 500:
        assert logged, "what failed is in the log"


@pytest.mark.parametrize("source", BODIES)
def test_posts(source: str, serve: Any, fuzz: Any, mutations: Any, errors_logged: list[BaseException]) -> None:
    names = ["pubsub_push", "pubsub_push_dead_letters", "pubsub_push_emulator"]
    documents = [json.loads((PAYLOADS / f"{name}.json").read_text()) for name in names]
    samples = [document.get("body", document) for document in documents]
    entry = serve(BODIES[source], source)
    before = json.dumps({"message": {"messageId": PREVIOUS, "data": "e30="}}).encode()
    drawn = st.tuples(
        st.one_of(
            mutations(samples).map(json.dumps).map(str.encode),
            st.binary(max_size=60),
            mutations(samples).map(json.dumps).map(lambda text: text.encode()[:-9]),
        ),
        st.dictionaries(
            st.sampled_from(["X-CloudScheduler-ScheduleTime", "X-CloudScheduler", "Content-Type"]),
            st.sampled_from(["", "true", "x", "2026-03-29T08:00:00Z", "2026-99-99", "\x00", "9" * 300]),
        ),
        st.sampled_from(["/", "/emails", "/topic:emails", "/é", "//", "/\x00"]),
        st.sampled_from(["POST", "POST", "POST", "GET", "PUT"]),
    )

    def check(value: Any) -> None:
        good = entry(posted(before)).status
        errors_logged.clear()
        assert_clear(entry(posted(*value)), errors_logged)
        assert entry(posted(before)).status == good

    fuzz(drawn, check)


def documents_of(source: str) -> list[Any]:
    if source == "pubsub-eventarc":
        return [json.loads((PAYLOADS / "pubsub_push.json").read_text())]
    document = {"bucket": "my-bucket", "name": "in/a.txt", "generation": "1", "size": "7", "contentType": "text/plain"}
    return [document]


EVENTARC = {
    "pubsub-eventarc": ("emails", "google.cloud.pubsub.topic.v1.messagePublished"),
    "storage-eventarc": ("uploads", "google.cloud.storage.object.v1.finalized"),
}


@pytest.mark.parametrize("source", EVENTARC)
def test_cloud_events(source: str, serve: Any, fuzz: Any, mutations: Any, errors_logged: list[BaseException]) -> None:
    function, kind = EVENTARC[source]
    entry = serve(function, source)
    samples = documents_of(source)
    kinds = st.sampled_from([kind, kind, kind, "", "x", "google.cloud.storage.object.v1.deleted"])
    times = st.sampled_from(["2026-03-29T08:00:00Z", "yesterday", "", "2026-99-99T00:00:00Z"])

    def event(document: Any, of: str = kind, time: str = "2026-03-29T08:00:00Z") -> Any:
        made = cloudevents.CloudEvent({"id": "1", "source": "//x", "type": kind, "time": "2026-03-29T08:00:00Z"})
        made["type"], made["time"] = of, time
        made.data = document
        return made

    good = entry(posted(b""), event(copy.deepcopy(samples[0]))).status

    def check(value: Any) -> None:
        errors_logged.clear()
        assert_clear(entry(posted(b""), event(*value)), errors_logged)
        assert entry(posted(b""), event(copy.deepcopy(samples[0]))).status == good

    fuzz(st.tuples(st.one_of(mutations(samples), st.binary(max_size=20)), kinds, times), check)


ITEM = {"id": "ann", "name": "é", "n": 7, "big": 2**60, "list": [1, None, True, {"a": b"x"}], "f": 1.5}
DOCUMENT = ("users/ann", {"item": encode_item(ITEM), "version": 1})
WRITTEN = [write_event(DOCUMENT, None), write_event(DOCUMENT, DOCUMENT), write_event(None, DOCUMENT)]


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """Bytes of a message with some cut out, put in, turned or repeated."""
    data = bytearray(draw(st.sampled_from(WRITTEN)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.integers(0, 3))
        if how == 0:
            del data[at:]
        elif how == 1:
            data[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif how == 2 and at < len(data):
            data[at] = draw(st.integers(0, 255))
        else:
            data[at:at] = data[at : at + 20]
    return bytes(data)


FIRESTORE = st.one_of(torn(), torn(), st.binary(max_size=80), st.integers(1, 3000).map(lambda size: b"\xff" * size))


def test_bytes_of_firestore(fuzz: Any) -> None:
    def check(data: bytes) -> None:
        try:
            read_event(data)
        except ValueError as error:
            said = str(error)
            assert said

    fuzz(FIRESTORE, check)


def test_changes_of_firestore(serve: Any, fuzz: Any, errors_logged: list[BaseException]) -> None:
    entry = serve("users", "firestore-eventarc")

    def event(data: Any) -> Any:
        made = cloudevents.CloudEvent(
            {
                "id": "1",
                "source": "//firestore",
                "type": "google.cloud.firestore.document.v1.written",
                "time": "2026-03-29T08:00:00Z",
            }
        )
        made.data = data
        return made

    good = entry(posted(b""), event(WRITTEN[0])).status

    def check(data: bytes) -> None:
        errors_logged.clear()
        assert_clear(entry(posted(b""), event(data)), errors_logged)
        assert entry(posted(b""), event(WRITTEN[0])).status == good

    fuzz(FIRESTORE, check)
