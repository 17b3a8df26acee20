"""The SNS driver against moto, its subscriptions by SQS queues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import App, ConfigError, Topic
from portable.drivers import SendFailure
from portable.manifest import describe_app
from portable.resources import use_platform
from portable.resources.filters import read_filter
from portable.testing.conformance import TopicConformance
from portable.testing.conformance.topic import FILTER
from portable_aws.build import TARGET
from portable_aws.capabilities import CAPABILITIES
from portable_aws.limits import TOPIC_BYTES
from portable_aws.provision import filter_policy, make_topic
from portable_aws.runtime import platform
from portable_aws.topic import SNSTopic

SUBSCRIPTIONS: dict[str, Any] = {"welcome": None, "audit": None, "paid": read_filter(FILTER, "test")}


class TestTopic(TopicConformance):
    capabilities = CAPABILITIES["topic"]
    largest_body = TOPIC_BYTES

    @pytest.fixture
    def topic(self, account: Any) -> Iterator[Topic[Any]]:
        sns, sqs = account.client("sns"), account.client("sqs")
        environment = account.environment | {
            "PORTABLE_TOPIC_MISSING": "arn:aws:sns:us-east-1:123456789012:nothing-is-here"
        }
        for name, subscriptions in (("signups", SUBSCRIPTIONS), ("orders", {"welcome": None})):
            options = {"max_attempts": 5, "ordered": name == "orders"}
            environment |= make_topic(sns, sqs, name, f"{name}-physical", options, subscriptions)
        aws = platform(environment)
        with use_platform(aws):
            yield Topic("signups")
        aws.close()


class Client:
    """Takes every message but the second of a batch."""

    def publish_batch(self, **request: Any) -> dict[str, Any]:
        ids = [entry["Id"] for entry in request["PublishBatchRequestEntries"]]
        return {
            "Successful": [{"Id": one, "MessageId": one} for one in ids if one != "1"],
            "Failed": [{"Id": "1", "Code": "InternalError", "Message": "later", "SenderFault": False}],
        }


def test_a_partial_failure_names_its_message() -> None:
    driver = SNSTopic("signups", {"PORTABLE_TOPIC_SIGNUPS": "arn:aws:sns:eu-west-1:1:signups"}, {"ordered": False})
    driver._client._client = Client()
    [failure] = driver.publish_many(["1", "2", "3"])
    assert isinstance(failure, SendFailure)
    assert failure.index == 1
    assert "topic signups" in str(failure.error)
    assert type(failure.error).__name__ == "UnavailableError"


def test_a_subscription_needs_its_address() -> None:
    driver = SNSTopic("signups", {"PORTABLE_TOPIC_SIGNUPS": "arn:aws:sns:eu-west-1:1:signups"}, {"ordered": False})
    with pytest.raises(ConfigError, match="PORTABLE_SUBSCRIPTION_SIGNUPS_WELCOME is not set"):
        driver.subscription("welcome")


def test_an_order_needs_a_fifo_topic() -> None:
    driver = SNSTopic("orders", {"PORTABLE_TOPIC_ORDERS": "arn:aws:sns:eu-west-1:1:orders"}, {"ordered": True})
    with pytest.raises(Exception, match="topic orders: a standard topic of SNS keeps no order"):
        driver.publish("1", attributes={}, group="a")


def test_groups_are_apart(account: Any) -> None:
    options = {"max_attempts": 5, "ordered": True}
    addresses = make_topic(account.client("sns"), account.client("sqs"), "orders", "orders", options, {"ship": None})
    driver = SNSTopic("orders", account.environment | addresses, options)
    for number in range(3):
        for group in "ab":
            driver.publish(str(number), attributes={"group": group}, group=group)
    taken = driver.subscription("ship").receive(10, timedelta(0), timedelta(seconds=30))
    for group in "ab":
        assert [one.body for one in taken if one.group == group] == ["0", "1", "2"]
    driver.close()


def test_a_filter_as_sns_writes_it() -> None:
    wanted = read_filter({"plan": "pro", "region": [{"prefix": "eu-"}, "us"]}, "test")
    assert json.loads(filter_policy(wanted)) == {"plan": ["pro"], "region": [{"prefix": "eu-"}, "us"]}


def test_a_filter_sns_does_not_take() -> None:
    app = App("shop")
    signups = app.topic("signups")
    app.on_message(signups, filter={f"a{number}": "x" for number in range(6)}, function="six")(lambda message: None)
    many = {name: [str(number) for number in range(13)] for name in "ab"}
    app.on_message(signups, filter=many, function="many")(lambda message: None)
    app.on_message(signups, filter={"a": many["a"]}, function="few")(lambda message: None)
    six, combined = TARGET.check(describe_app(app, "app:app", Path("/nowhere")), {})
    assert "a filter of 6 attributes and 1 combinations" in six.message
    assert "a filter of 2 attributes and 169 combinations" in combined.message


def test_a_bundle_brings_the_services_of_a_topic() -> None:
    app = App("shop")
    app.topic("signups")
    manifest = describe_app(app, "app:app", Path("/nowhere"))
    assert TARGET.requirements(manifest, {}) == ["botocore>=1.35.70"]
    data = TARGET.data_used(manifest, [], [])["botocore/data"]
    assert {"sns", "sqs"} <= set(data)
    assert "s3" not in data
