"""Changes of tables on AWS: DynamoDB's records, and the answer that says from where on they come again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from portable import App, Change
from portable.manifest import FunctionRecord, describe_app
from portable.resources import set_platform
from portable.samples.neutral import event_document, event_of, sample_event
from portable_aws.provision import table_definition
from portable_aws.runtime import entry
from portable_aws.samples import SAMPLES
from portable_aws.triggers.dynamodb import DynamoDBStream

NATIVE = type("Native", (), {"aws_request_id": "1", "get_remaining_time_in_millis": lambda self: 5000})()


class Person(msgspec.Struct):
    id: int
    name: str = ""
    count: int = 0
    balance: Decimal = Decimal(0)
    photo: bytes = b""
    tags: set[str] = msgspec.field(default_factory=set)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    module = ModuleType("probe_app")
    module.app = App("probe")
    monkeypatch.setitem(sys.modules, "probe_app", module)
    yield module.app
    set_platform(None)


def record_of(app: App, name: str) -> FunctionRecord:
    return describe_app(app, "probe_app:app", Path(__file__).parent).function(name)


def native(app: App, name: str, *changes: Change[Any]) -> Any:
    """The records of several changes as Lambda hands them over, numbered."""
    record = record_of(app, name)
    records = [SAMPLES.native(record, change)["Records"][0] for change in changes]
    for number, one in enumerate(records):
        one["dynamodb"]["SequenceNumber"] = str(number)
    return json.loads(json.dumps({"Records": records}))


def test_documented_batch(payload: Callable[[str], Any]) -> None:
    event = payload("dynamodb_stream")
    first, second = DynamoDBStream.decode(event)
    assert (first.kind, first.table, first.key) == ("insert", "ExampleTable", {"Id": 101})
    assert (first.old, first.new) == (None, {"Message": "New item!", "Id": 101})
    assert (second.kind, second.old, second.native) == (
        "update",
        {"Message": "New item!", "Id": 101},
        event["Records"][1],
    )
    assert second.new == {"Message": "This item has changed", "Id": 101}
    assert second.time.tzinfo is not None
    assert DynamoDBStream.encode(None) == {"batchItemFailures": []}
    assert DynamoDBStream.encode(second) == {"batchItemFailures": [{"itemIdentifier": "222"}]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda event: event.pop("Records"), "'Records' is missing"),
        (lambda event: event["Records"][0].pop("eventName"), "'eventName' is missing"),
        (lambda event: event["Records"][0].update(eventName="SPLIT"), "'SPLIT' is none of INSERT, MODIFY, REMOVE"),
        (lambda event: event["Records"][0]["dynamodb"].pop("Keys"), "'Keys' is missing"),
        (lambda event: event["Records"][0].update(eventSourceARN="arn"), "dynamodb-stream"),
    ],
)
def test_malformed(payload: Callable[[str], Any], change: Any, says: str) -> None:
    event = payload("dynamodb_stream")
    change(event)
    with pytest.raises(ValueError, match=says):
        DynamoDBStream.decode(event)


def test_handlers_take_typed_changes(app: App) -> None:
    seen: list[Change[Person]] = []
    people = app.table("people", Person, key="id")

    @app.on_change(people, old=True)
    def audit(change: Change[Person]) -> None:
        seen.append(change)

    when = datetime(2026, 3, 1, tzinfo=UTC)
    item = {"id": 5, "name": "Ann", "balance": Decimal("0.1"), "photo": b"\x00\xff", "tags": {"a"}}
    changes = [
        Change("insert", "people", 5, None, item, when),
        Change("update", "people", 5, item, {**item, "count": 1}, when),
        Change("delete", "people", 5, item, None, when),
    ]
    answer = entry("probe_app:app", "audit")(native(app, "audit", *changes), NATIVE)
    ann = Person(5, "Ann", 0, Decimal("0.1"), b"\x00\xff", {"a"})
    changed = msgspec.structs.replace(ann, count=1)
    assert answer == {"batchItemFailures": []}
    assert [(one.kind, one.table, one.key, one.old, one.new, one.time) for one in seen] == [
        ("insert", "people", 5, None, ann, when),
        ("update", "people", 5, ann, changed, when),
        ("delete", "people", 5, ann, None, when),
    ]


def test_what_was_not_asked_for_stays_away(app: App) -> None:
    seen: list[Any] = []
    notes = app.table("notes", key="folder", sort="name")

    @app.on_change(notes)
    async def follow(change: Change[dict[str, Any]]) -> None:
        seen.append((change.kind, change.key, change.old, change.new))

    item = {"folder": "a", "name": "b", "x": 1.5}
    changes = [
        Change("update", "notes", ("a", "b"), item, item),
        Change("delete", "notes", ("a", "b"), item),
    ]
    assert entry("probe_app:app", "follow")(native(app, "follow", *changes), NATIVE) == {"batchItemFailures": []}
    assert seen == [("update", ("a", "b"), None, item)]


def test_the_first_failure_stops_the_batch(app: App) -> None:
    seen: list[int] = []
    people = app.table("people", Person, key="id")

    @app.on_change(people)
    def follow(change: Change[Person]) -> None:
        seen.append(change.key)
        if change.key == 2:
            raise RuntimeError("no")

    changes = [Change("insert", "people", n, None, {"id": n}) for n in (1, 2, 3)]
    answer = entry("probe_app:app", "follow")(native(app, "follow", *changes), NATIVE)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert seen == [1, 2]


def test_an_item_that_does_not_fit_fails_its_change(app: App) -> None:
    people = app.table("people", Person, key="id")

    @app.on_change(people)
    def follow(change: Change[Person]) -> None:
        raise AssertionError("never called")

    change = Change("insert", "people", 1, None, {"id": 1, "count": "many"})
    answer = entry("probe_app:app", "follow")(native(app, "follow", change), NATIVE)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}


def test_one_function_of_two_tables(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    for name in ("first", "second"):
        monkeypatch.setenv(f"PORTABLE_TABLE_{name.upper()}", f"dynamodb://{name}-table")

        def follow(change: Change[dict[str, Any]]) -> None:
            seen.append(change.table)

        app.on_change(app.table(name, key="id"), function="both")(follow)
    record = record_of(app, "both")
    records = [
        SAMPLES.native(record, Change("insert", name, "a", None, {"id": "a"}))["Records"][0]
        for name in ("second", "first")
    ]
    assert entry("probe_app:app", "both")({"Records": records}, NATIVE) == {"batchItemFailures": []}
    assert seen == ["second", "first"]


def test_samples_are_documents_and_events(app: App) -> None:
    app.on_change(app.table("people", Person, key="id"), old=True)(_take)
    app.on_change(app.table("notes", key="folder", sort="name"), function="follow")(_take_any)
    for name in ("take", "follow"):
        record = record_of(app, name)
        document = event_document(record, sample_event(record))
        again = event_of(record, json.loads(json.dumps(document)))
        assert event_document(record, again) == document
        [change] = DynamoDBStream.decode(SAMPLES.native(record, again))
        assert (change.new, change.old) == (again.new, again.old)


def _take(change: Change[Person]) -> None: ...


def _take_any(change: Change[dict[str, Any]]) -> None: ...


def test_a_table_has_the_stream_its_handlers_need(app: App) -> None:
    people = app.table("people", Person, key="id", indexes={"by-name": ("name", "count")})
    manifest = describe_app(app, "probe_app:app", Path(__file__).parent)
    assert manifest.wants_changes("people") is None
    plain = table_definition(people.options)
    assert "StreamSpecification" not in plain
    assert plain["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert {one["AttributeName"]: one["AttributeType"] for one in plain["AttributeDefinitions"]} == {
        "id": "N",
        "name": "S",
        "count": "N",
    }
    for old, view in ((False, "NEW_IMAGE"), (True, "NEW_AND_OLD_IMAGES")):
        app.on_change(people, old=old, function=f"f-{view.lower().replace('_', '-')}")(_take)
        wanted = describe_app(app, "probe_app:app", Path(__file__).parent).wants_changes("people")
        assert wanted is old
        assert table_definition(people.options, old=wanted)["StreamSpecification"]["StreamViewType"] == view
