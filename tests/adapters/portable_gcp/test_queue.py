"""The queue driver against Google's Pub/Sub emulator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from portable import Queue
from portable.errors import ConfigError, UnsupportedError
from portable.resources import use_platform
from portable.run.emulators import PROJECT, Emulator
from portable.testing.conformance import QueueConformance
from portable_gcp.capabilities import CAPABILITIES
from portable_gcp.limits import PUBLISH_BYTES
from portable_gcp.queue import PubSubQueue, parse_address
from portable_gcp.runtime import platform


@pytest.fixture
def environment(pubsub: Emulator, topics: Any) -> dict[str, str]:
    topic, dead = topics.topic("emails"), topics.topic("emails-dead")
    topics.subscription("emails-dead", dead)
    policy = {"deadLetterTopic": dead, "maxDeliveryAttempts": 5}
    topics.subscription("emails", topic, deadLetterPolicy=policy, ackDeadlineSeconds=10)
    ordered, buried = topics.topic("ordered"), topics.topic("ordered-dead")
    topics.subscription("ordered-dead", buried)
    policy = {"deadLetterTopic": buried, "maxDeliveryAttempts": 5}
    topics.subscription("ordered", ordered, deadLetterPolicy=policy, ackDeadlineSeconds=10, enableMessageOrdering=True)
    return {
        "PORTABLE_QUEUE_ORDERED": ordered,
        "PORTABLE_DEADLETTER_ORDERED": buried,
        "PUBSUB_EMULATOR_HOST": pubsub.environment["PUBSUB_EMULATOR_HOST"],
        "PORTABLE_QUEUE_EMAILS": topic,
        "PORTABLE_DEADLETTER_EMAILS": dead,
        "PORTABLE_QUEUE_MISSING": f"projects/{PROJECT}/topics/nothing-here",
    }


@pytest.mark.slow
class TestQueue(QueueConformance):
    capabilities = CAPABILITIES["queue"]
    # Google redelivers a failed message before the later ones of its key:
    # https://cloud.google.com/pubsub/docs/ordering#considerations_when_using_ordered_messaging
    emulator_faults: ClassVar = dict.fromkeys(
        ("a_group_waits_for_a_failed_message", "order_through_attempts_and_dead_letters"),
        "it hands out a key's next message while the one before waits to be delivered again",
    )
    # The largest request Pub/Sub takes is 10 MB, the message's other fields included.
    largest_body = None

    @pytest.fixture
    def queue(self, environment: dict[str, str]) -> Iterator[Queue[Any]]:
        cloud = platform(environment)
        with use_platform(cloud):
            yield Queue("emails")
        cloud.close()


def test_addresses() -> None:
    assert parse_address("projects/p/topics/t") == ("projects/p/topics/t", "projects/p/subscriptions/t")
    own = "projects/p/topics/t?subscription=projects/q/subscriptions/s"
    assert parse_address(own) == ("projects/p/topics/t", "projects/q/subscriptions/s")
    for wrong in ("t", "projects/p/topics/", "projects//topics/t", "projects/p/topics/t?subscription=s", "gs://b"):
        with pytest.raises(ConfigError, match=r"queue address"):
            parse_address(wrong)


def test_what_pubsub_cannot_do_is_refused_before_any_call() -> None:
    driver = PubSubQueue("emails", "projects/p/topics/t", None, {})
    options: dict[str, Any] = {"attributes": {}, "delay": None, "group": None, "dedup": None}
    with pytest.raises(UnsupportedError, match="queue emails: Pub/Sub cannot delay"):
        driver.send("1", **{**options, "delay": timedelta(seconds=1)})
    with pytest.raises(UnsupportedError, match="deduplication"):
        driver.send("1", **{**options, "dedup": "x"})
    with pytest.raises(UnsupportedError, match="at most 600 s, 601 s"):
        driver.receive(1, timedelta(0), timedelta(seconds=600.5))
    with pytest.raises(UnsupportedError, match="no dead-letter topic"):
        driver.dead_letter("1", {})


def test_many_messages_go_in_requests_pubsub_takes(environment: dict[str, str]) -> None:
    driver = PubSubQueue("emails", environment["PORTABLE_QUEUE_EMAILS"], None, environment)
    published: list[int] = []
    publish = driver._publish
    driver._publish = lambda topic, messages: published.append(len(messages)) or publish(topic, messages)  # type: ignore[method-assign]
    refused = driver.send_many(["1", "x" * (PUBLISH_BYTES + 1), *["2"] * 1500])
    assert [failure.index for failure in refused] == [1]
    assert published == [1000, 501]
    published.clear()
    assert driver.send_many(["x" * 4_000_000] * 3) == []
    assert published == [2, 1]
    driver.close()


def test_without_the_library_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "google.pubsub_v1", None)
    driver = PubSubQueue("emails", "projects/p/topics/t", None, {})
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[gcp\]'"):
        driver.send("1", attributes={}, delay=None, group=None, dedup=None)
