"""A topic's messages from moto's SNS, through its SQS queue, to the function as Lambda calls it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from portable import App, ConfigError, Message, Reject, Retry, Topic
from portable.drivers import Received
from portable.resources import set_platform
from portable_aws.provision import make_queue, make_topic
from portable_aws.runtime import entry, platform

NOW, LEASE = timedelta(0), timedelta(seconds=30)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    module = ModuleType("probe_app")
    module.app = App("probe")
    monkeypatch.setitem(sys.modules, "probe_app", module)
    yield module.app
    set_platform(None)


@pytest.fixture
def deploy(app: App, account: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``deploy(topic, {function: filter})``: what a deployment makes, and the variables it sets."""

    def deploy(topic: Topic[Any], subscriptions: dict[str, Any]) -> None:
        sns, sqs = account.client("sns"), account.client("sqs")
        addresses = make_topic(sns, sqs, topic.name, f"{topic.name}-topic", topic.options, subscriptions)
        for name, value in (account.environment | addresses).items():
            monkeypatch.setenv(name, value)
        set_platform(platform())

    return deploy


def event(queue: str, *received: Received) -> dict[str, Any]:
    """As an event source mapping hands messages over."""
    return {
        "Records": [
            {
                "messageId": one.id,
                "receiptHandle": one.receipt,
                "body": one.body,
                "attributes": {"ApproximateReceiveCount": str(one.attempt)}
                | ({"MessageGroupId": one.group} if one.group else {}),
                "messageAttributes": {
                    name: {"stringValue": value, "dataType": "String"} for name, value in one.attributes.items()
                },
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
            }
            for one in received
        ]
    }


def failed(answer: Any) -> list[str]:
    return [row["itemIdentifier"] for row in answer["batchItemFailures"]]


def test_wishes_are_calls_of_the_subscriptions_queue(app: App, deploy: Any) -> None:
    signups = app.topic("signups")

    @app.on_message(signups)
    def welcome(message: Message[Any]) -> None:
        if message.body == "later":
            raise Retry(after=timedelta(seconds=60))
        raise Reject("never")

    deploy(signups, {"welcome": None, "audit": None})
    signups.publish("later", attributes={"a": "b"})
    signups.publish("never", attributes={"a": "b"})
    subscription = signups.driver().subscription("welcome")
    taken = subscription.receive(10, timedelta(seconds=2), LEASE)
    call = entry("probe_app:app", "welcome", None)
    again = failed(call(event("signups-topic-welcome", *taken), None))
    assert again == [one.id for one in taken if one.body == '"later"']
    [letter] = subscription.dead_letters(10)
    assert (letter.body, letter.attributes) == ('"never"', {"a": "b"})
    audit = signups.driver().subscription("audit")
    assert audit.dead_letters(10) == []
    assert len(audit.receive(10, NOW, LEASE)) == 2


def test_a_function_of_a_queue_and_a_topic_of_one_name(
    app: App, account: Any, deploy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    topic, queue = app.topic("jobs"), app.queue("jobs")
    app.on_message(topic, function="both", filter={"plan": "pro"})(lambda message: seen.append(("topic", message.body)))
    app.on_message(queue, function="both")(lambda message: seen.append(("queue", message.body)))
    url, _ = make_queue(account.client("sqs"), "jobs-queue", 5, fifo=False)
    monkeypatch.setenv("PORTABLE_QUEUE_JOBS", url)
    deploy(topic, {"both": None})
    both = entry("probe_app:app", "both", None)
    one = Received("1", "1", "r", {"plan": "pro"})
    other = Received("2", "2", "r", {"plan": "free"})
    assert failed(both(event("jobs-topic-both", one, other), None)) == []
    assert failed(both(event("jobs-queue", other), None)) == []
    assert seen == [("topic", 1), ("queue", 2)]
    with pytest.raises(ConfigError, match="'jobs-topic', whose address is none of those of topic:jobs, jobs"):
        both(event("jobs-topic", one), None)


def test_a_group_stops_at_its_first_failure(app: App, deploy: Any) -> None:
    seen: list[Any] = []
    moves = app.topic("moves", ordered=True)

    @app.on_message(moves)
    def play(message: Message[Any]) -> None:
        seen.append(message.body)
        if message.body == "a1":
            raise ValueError("illegal")

    deploy(moves, {"play": None})
    for body in ("a1", "a2", "b1"):
        moves.publish(body, group=body[0])
    taken = moves.driver().subscription("play").receive(10, NOW, LEASE)
    assert [one.body for one in taken] == ['"a1"', '"a2"', '"b1"']
    again = failed(entry("probe_app:app", "play", None)(event("moves-topic-play.fifo", *taken), None))
    assert again == [one.id for one in taken if one.group == "a"]
    assert seen == ["a1", "b1"]
