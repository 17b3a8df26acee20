"""Functions on queues of Service Bus: the codec on Azure's converter, the build, an artifact under the worker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.functions import meta, servicebus

from portable import App, Message, Queue, Reject, Retry
from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.drivers import Received
from portable.errors import UnsupportedError
from portable.manifest import FunctionRecord, TriggerRecord, describe_app
from portable.run.deployment import deployed
from portable.run.parts import Found
from portable_azure.build import TARGET
from portable_azure.samples import SAMPLES
from portable_azure.triggers.service_bus import ServiceBusTrigger

SENT = datetime(2026, 3, 29, 8, tzinfo=UTC)


class Driver:
    """What the codec asks of a queue."""

    def __init__(self, *, has_place: bool = True) -> None:
        self.has_place = has_place
        self.dead: list[Any] = []
        self.again: list[Any] = []

    def dead_letter(self, body: str, attributes: dict[str, str]) -> None:
        if not self.has_place:
            raise UnsupportedError("nowhere")
        self.dead.append((body, attributes))

    def send_again(self, received: Received, after: timedelta) -> None:
        self.again.append((received.body, received.attempt, received.id, received.sent_at, after))


class Source:
    def __init__(self, driver: Driver, *, ordered: bool = False) -> None:
        self.options = {"max_attempts": 3} | ({"ordered": True} if ordered else {})
        self.max_attempts = 3
        self.driver = lambda: driver


def native(message: Message[Any]) -> func.ServiceBusMessage:
    trigger = TriggerRecord(
        "message", "app:f", "app.py:1", {"queue": "emails", "batch_size": 1, "source": "queue:emails"}
    )
    record = FunctionRecord("f", "message", [trigger], None, None, [], [], False)
    sample = SAMPLES.native(record, [message], source="service-bus")
    metadata = {
        name: meta.Datum(next(iter(value.values())), next(iter(value))) for name, value in sample["metadata"].items()
    }
    data = meta.Datum(sample["data"]["string"], "string")
    found: Any = servicebus.ServiceBusMessageInConverter.decode(data, trigger_metadata=metadata)
    assert isinstance(found, func.ServiceBusMessage)
    return found


def test_a_message() -> None:
    sent = Message("id-1", '{"n":"é"}', {"a": "b"}, 2, SENT, "g")
    message = ServiceBusTrigger(Source(Driver(), ordered=True)).decode(native(sent))
    assert (message.id, message.body, message.attributes) == ("id-1", '{"n":"é"}', {"a": "b"})
    assert (message.attempt, message.sent_at, message.group) == (2, SENT, "g")


def test_a_message_sent_again_keeps_its_id_attempts_and_time() -> None:
    own = {"portable-attempts": "2", "portable-id": "first", "portable-sent-at": "2026-01-01T00:00:00+00:00"}
    message = ServiceBusTrigger(Source(Driver())).decode(native(Message("second", "1", own | {"a": "b"}, 1, SENT)))
    assert (message.id, message.attempt, message.attributes) == ("first", 3, {"a": "b"})
    assert message.sent_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_message_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="MessageId"):
        ServiceBusTrigger(Source(Driver())).decode(native(Message("", "{}")))


def test_what_is_left_to_do_for_a_message() -> None:
    driver = Driver()
    trigger = ServiceBusTrigger(Source(driver))

    def given(before: int, count: int) -> Message[Any]:
        own = {"portable-attempts": str(before), "portable-id": "i"} if before else {}
        return trigger.decode(native(Message("i", "1", own, count, SENT)))

    assert trigger.encode(None, given(0, 1), "1") is None
    for wish in (ValueError("x"), Retry(), Retry(after=timedelta(0))):
        with pytest.raises(type(wish)):
            trigger.encode(wish, given(0, 1), "1")
    with pytest.raises(ValueError, match="x"):  # Service Bus counts as far, and moves it itself
        trigger.encode(ValueError("x"), given(0, 3), "1")
    left = [trigger.encode(wish, given(0, 1), "1") for wish in (Reject(), Retry(after=timedelta(seconds=5)))]
    left.append(trigger.encode(ValueError("x"), given(2, 1), "1"))  # sent again twice before
    for do in left:
        assert do is not None
        do()
    assert driver.dead == [("1", {}), ("1", {})]
    assert driver.again == [("1", 1, "i", SENT, timedelta(seconds=5))]


def test_an_ordered_queue_keeps_its_order_and_a_queue_without_a_place_for_dead_letters_its_messages() -> None:
    trigger = ServiceBusTrigger(Source(Driver(has_place=False), ordered=True))
    message = trigger.decode(native(Message("i", "1", {}, 1, SENT, "g")))
    with pytest.raises(Retry):
        trigger.encode(Retry(after=timedelta(seconds=5)), message, "1")
    bury = trigger.encode(Reject("no"), message, "1")
    assert bury is not None
    with pytest.raises(Reject):
        bury()


def test_the_build_binds_it_to_service_bus(tmp_path: Path) -> None:
    app = App("shop")
    ordered: Queue[Any] = app.queue("ordered", ordered=True)
    plain: Queue[Any] = app.queue("plain")

    @app.on_message(ordered)
    def first(message: Message[Any]) -> None: ...

    @app.on_message(plain)
    def second(message: Message[Any]) -> None: ...

    manifest = describe_app(app, "app:app", tmp_path)
    assert {"azure-servicebus>=7.12", "azure-storage-queue>=12.12"} <= set(TARGET.requirements(manifest, {}))
    assert not [one for one in TARGET.check(manifest, {}) if one.severity == "error"]
    [bundle] = TARGET.bundles(manifest, {})
    assert bundle.sources == {"first": "service-bus", "second": "storage-queue"}
    text = bundle.files["function_app.py"].decode()
    bound = "queue_name='%PORTABLE_QUEUENAME_ORDERED%', connection='PORTABLE_QUEUEACCOUNT_ORDERED'"
    assert f"app.service_bus_queue_trigger(arg_name='event', {bound}, is_sessions_enabled=True)" in text


def test_a_function_with_queues_of_both_kinds_is_refused(tmp_path: Path) -> None:
    app = App("shop")

    @app.on_message(app.queue("ordered", ordered=True), function="both")
    def first(message: Message[Any]) -> None: ...

    @app.on_message(app.queue("plain"), function="both")
    def second(message: Message[Any]) -> None: ...

    manifest = describe_app(app, "app:app", tmp_path)
    assert any("storage queues, which differ" in one.message for one in TARGET.check(manifest, {}))


APP = """
from typing import Any

from portable import App, Message

app = App("bus-test")
seen = app.bucket("seen")
orders = app.queue("orders", max_attempts=3, ordered=True, dedup=True)


@app.on_message(orders)
def take(message: Message[Any]) -> None:
    if message.body == "poison" or message.attempt < 2:
        raise ValueError("not yet")
    seen.write(f"{message.group}/{message.body}", str(message.attempt))
"""


@pytest.mark.slow
def test_an_artifact_takes_them(tmp_path: Path, require_part: Callable[..., Found]) -> None:
    for part, version in (("azure-functions-runtime", "3.13"), ("python", "3.13"), ("node", None), ("azurite", None)):
        require_part(part, version)
    require_part("qpid-proton")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "bus-test"\nversion = "0"\ndependencies = []\n')
    here = Path.cwd()
    try:
        built = build(find_project(tmp_path), TARGET, Wanted(for_here=True))
    finally:
        os.chdir(here)
    assert "is_sessions_enabled=True" in (built.folder / "bundle" / "function_app.py").read_text()
    with deployed(built.folder) as running:
        queue = running.platform.open(Queue("orders", max_attempts=3, ordered=True, dedup=True))
        for body in ("a", "b", "poison"):
            queue.send(json.dumps(body), attributes={}, delay=None, group="g", dedup=body)
        queue.send('"a"', attributes={}, delay=None, group="g", dedup="a")
        settled = running.settle(60)
        assert settled.delivered == 2
        contents = running.snapshot()
    assert sorted(contents.buckets["seen"]) == ["g/a", "g/b"]
    assert contents.queues["orders"].dead_letters == ['"poison"']
