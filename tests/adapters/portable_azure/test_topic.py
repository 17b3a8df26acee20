"""The topic driver against the stand-in of Service Bus, filters as its rules write them, and what the build refuses."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable import App, ConfigError, Message, Topic, UnsupportedError
from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.manifest import Manifest, describe_app
from portable.resources import use_platform
from portable.resources.filters import fits, read_filter
from portable.run.deployment import deployed
from portable.run.emulators import Emulator
from portable.samples.neutral import sample_event
from portable.testing.conformance import TopicConformance
from portable_azure import limits
from portable_azure.build import TARGET
from portable_azure.capabilities import CAPABILITIES
from portable_azure.platform import AzurePlatform
from portable_azure.samples import SAMPLES
from portable_azure.topic import ServiceBusTopic, filter_rule


@pytest.mark.slow
class TestTopic(TopicConformance):
    capabilities = CAPABILITIES["topic"]
    largest_body = limits.BUS_MESSAGE_BYTES - limits.BUS_OVERHEAD
    emulator_faults: ClassVar = {
        "filter": "the stand-in has no rules; the functions' entries filter too, and the conditions are held against "
        "SQL by a test of their own"
    }

    @pytest.fixture
    def topic(self, service_bus: Emulator) -> Iterator[Topic[Any]]:
        unique = uuid4().hex[:8]
        place = f"{service_bus.endpoint}/signups-{unique}"
        environment = {
            **service_bus.environment,
            "PORTABLE_TOPIC_SIGNUPS": place,
            "PORTABLE_TOPIC_ORDERS": f"{service_bus.endpoint}/orders-{unique}",
            "PORTABLE_SUBSCRIPTION_ORDERS_WELCOME": f"{service_bus.endpoint}/orders-{unique}/Subscriptions/welcome",
            "PORTABLE_TOPIC_MISSING": f"{service_bus.endpoint}/nothing-here",
        }
        for name in ("welcome", "audit", "paid"):
            own = f"-{unique}/Subscriptions/{name}"
            environment[f"PORTABLE_SUBSCRIPTION_SIGNUPS_{name.upper()}"] = f"{service_bus.endpoint}/signups{own}"
            environment[f"PORTABLE_SUBSCRIPTIONDEADLETTER_SIGNUPS_{name.upper()}"] = f"{service_bus.endpoint}/dead{own}"
        platform = AzurePlatform(environment)
        with use_platform(platform):
            yield Topic("signups")
        platform.close()


# https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        ({"plan": "pro"}, "[plan] IN ('pro')"),
        ({"plan": ["pro", "it's"]}, "[plan] IN ('pro', 'it''s')"),
        ({"region-of": {"prefix": "eu_50%\\"}}, "[region-of] LIKE 'eu\\_50\\%\\\\%' ESCAPE '\\'"),
        (
            {"plan": "pro", "region": ["us", {"prefix": "eu-"}]},
            "[plan] IN ('pro') AND ([region] IN ('us') OR [region] LIKE 'eu-%' ESCAPE '\\')",
        ),
    ],
)
def test_filters(wanted: Any, rule: str) -> None:
    assert filter_rule(read_filter(wanted, "test")) == rule


texts = st.text("abA'\\%_] ", min_size=1, max_size=4)
wants = st.lists(texts | st.builds(lambda text: {"prefix": text}, texts), min_size=1, max_size=3)
names = ["a", "b-b", "C_1"]


@given(st.dictionaries(st.sampled_from(names), wants, min_size=1), st.dictionaries(st.sampled_from(names), texts))
def test_a_rule_means_what_the_filter_means(wanted: Any, attributes: dict[str, str]) -> None:
    """SQLite reads the same SQL; a missing property is NULL there, and unknown is not true in both."""
    wanted = read_filter(wanted, "test")
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("PRAGMA case_sensitive_like = ON")
        connection.execute("CREATE TABLE message ([a] TEXT, [b-b] TEXT, [C_1] TEXT)")
        connection.execute("INSERT INTO message VALUES (?, ?, ?)", [attributes.get(name) for name in names])
        query = f"SELECT count(*) FROM message WHERE {filter_rule(wanted)}"
        assert connection.execute(query).fetchone() == (int(fits(wanted, attributes)),)
    finally:
        connection.close()


def test_a_subscription_needs_its_address() -> None:
    driver = ServiceBusTopic(
        "signups", {"PORTABLE_TOPIC_SIGNUPS": "sb://n.servicebus.windows.net/t"}, {"ordered": False}
    )
    with pytest.raises(ConfigError, match="PORTABLE_SUBSCRIPTION_SIGNUPS_WELCOME is not set"):
        driver.subscription("welcome")


def test_a_body_too_large_has_its_way_out() -> None:
    driver = ServiceBusTopic(
        "signups", {"PORTABLE_TOPIC_SIGNUPS": "sb://n.servicebus.windows.net/t"}, {"ordered": False}
    )
    with pytest.raises(UnsupportedError, match=r"topic signups: .*put it into a bucket, and publish its key"):
        driver.publish("x" * limits.BUS_MESSAGE_BYTES, attributes={}, group=None)


@pytest.fixture
def manifest() -> Manifest:
    app = App("shop")
    signups = app.topic("signups", int)

    @app.on_message(signups, filter={"plan": "x" * 1100})
    def welcome(message: Message[int]) -> None: ...

    return describe_app(app, "app:app", Path(__file__).parent)


def test_what_service_bus_cannot_give_a_topic(manifest: Manifest) -> None:
    found = {finding.severity: finding.message for finding in TARGET.check(manifest, {})}
    assert "topic 'signups': a filter of 1114 characters" in found["error"]
    assert "whatever Retry(after=…) asks" in found["warning"]


def test_how_a_function_of_a_topic_is_bound(manifest: Manifest) -> None:
    assert "azure-servicebus>=7.12" in TARGET.requirements(manifest, {})
    [bundle] = TARGET.bundles(manifest, {})
    assert bundle.sources == {"welcome": "service-bus"}
    text = bundle.files["function_app.py"].decode()
    assert (
        "app.service_bus_topic_trigger(arg_name='event', topic_name='%PORTABLE_TOPICNAME_SIGNUPS%', "
        "subscription_name='%PORTABLE_SUBSCRIPTIONNAME_SIGNUPS_WELCOME%', "
        "connection='PORTABLE_TOPICACCOUNT_SIGNUPS', is_sessions_enabled=False)"
    ) in text
    assert "resource='topic:signups'" in text


def test_a_storage_queue_brings_no_messages_of_a_topic(manifest: Manifest) -> None:
    function = manifest.function("welcome")
    with pytest.raises(ConfigError, match="topic signups: a storage queue brings no messages"):
        SAMPLES.native(function, sample_event(function), source="storage-queue")
    native = SAMPLES.native(function, sample_event(function), source="service-bus")
    assert native["resource"] == "topic:signups"


APP = """
from portable import App, Message, Reject

app = App("topics")
signups = app.topic("signups", dict)
seen = app.bucket("seen")


@app.on_message(signups, batch_size=1)
def welcome(message: Message[dict]) -> None:
    seen.write(f"welcome/{message.body['n']}", str(sorted(message.attributes.items())))
    if message.body["n"] == 2:
        raise Reject("never")


@app.on_message(signups, filter={"plan": ["pro"]}, batch_size=1)
async def bill(message: Message[dict]) -> None:
    await seen.awrite(f"bill/{message.body['n']}", str(message.attempt))
    if message.attempt < 2:
        raise ValueError("not yet")
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_an_artifact_takes_them(tmp_path: Path, require_part: Any) -> None:
    for part, version in (("azure-functions-runtime", "3.13"), ("python", "3.13"), ("node", None), ("azurite", None)):
        require_part(part, version)
    require_part("qpid-proton")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "topic-test"\nversion = "0"\ndependencies = []\n')
    here = Path.cwd()
    try:
        built = build(find_project(tmp_path), TARGET, Wanted(for_here=True))
    finally:
        os.chdir(here)
    with deployed(built.folder) as running:
        topic = running.platform.open(Topic("signups"))
        topic.publish('{"n":1}', attributes={"plan": "pro"}, group=None)
        topic.publish('{"n":2}', attributes={"plan": "free"}, group=None)
        settled = running.settle(100)
        contents = running.snapshot()
    assert settled.delivered == 3
    assert [failure.function for failure in settled.failures] == ["bill"]
    assert sorted(contents.buckets["seen"]) == ["bill/1", "welcome/1", "welcome/2"]
    assert contents.queues["signups/welcome"].dead_letters == ['{"n":2}']
    assert contents.queues["signups/bill"].dead_letters == []
