"""The SQS driver against moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from portable import ConfigError, Queue, UnsupportedError
from portable.resources import use_platform
from portable.testing.conformance import QueueConformance
from portable_aws.capabilities import CAPABILITIES
from portable_aws.limits import MESSAGE_BYTES
from portable_aws.queue import fit
from portable_aws.runtime import platform


@pytest.mark.slow
class TestQueue(QueueConformance):
    capabilities = CAPABILITIES["queue"]
    emulator_faults: ClassVar = {"dedup_of_what_is_done": "moto forgets an id when its message is deleted"}
    largest_body = MESSAGE_BYTES

    @pytest.fixture
    def queue(self, account: Any) -> Iterator[Queue[Any]]:
        url, dead = account.queue_with_dead_letters("emails-physical")
        environment = account.environment | {
            "PORTABLE_QUEUE_EMAILS": url,
            "PORTABLE_DEADLETTER_EMAILS": dead,
            **account.fifo_with_dead_letters("ordered"),
            "PORTABLE_QUEUE_MISSING": url.replace("emails-physical", "nothing-is-here"),
        }
        aws = platform(environment)
        with use_platform(aws):
            yield Queue("emails")
        aws.close()


class TestFIFO:
    @pytest.fixture
    def queue(self, account: Any) -> Iterator[Queue[Any]]:
        environment = account.environment | {"PORTABLE_QUEUE_EMAILS": account.queue("emails.fifo", FifoQueue="true")}
        with use_platform(platform(environment)):
            yield Queue("emails", ordered=True, dedup=True)

    def test_groups_and_deduplication(self, queue: Queue[Any]) -> None:
        queue.send("a", group="g", dedup="once")
        queue.send("a", group="g", dedup="once")
        [received] = queue.driver().receive(10, timedelta(0), timedelta(seconds=30))
        assert (received.body, received.group) == ('"a"', "g")

    def test_equal_messages_without_dedup_are_two(self, queue: Queue[Any]) -> None:
        queue.send("same")
        queue.send("same")
        assert queue.send_many(["same", "other"]) == []
        received = queue.driver().receive(10, timedelta(0), timedelta(seconds=30))
        assert [one.body for one in received] == ['"same"', '"same"', '"same"', '"other"']

    def test_no_delay(self, queue: Queue[Any]) -> None:
        with pytest.raises(UnsupportedError, match="queue emails"):
            queue.send("a", delay=timedelta(seconds=1))


def test_what_sqs_refuses_is_escaped() -> None:
    assert fit('{"a":"é🐍"}') == '{"a":"é🐍"}'
    text = '"a\ufffeb\uffffc\ud800"'
    assert json.loads(fit(text)) == "a\ufffeb\uffffc\ud800"
    assert fit(text).isascii()


def test_delay_beyond_sqs(account: Any) -> None:
    environment = account.environment | {"PORTABLE_QUEUE_EMAILS": account.queue("delays")}
    with use_platform(platform(environment)), pytest.raises(UnsupportedError, match="0 to 900 s"):
        Queue("emails").send("a", delay=timedelta(seconds=901))


def test_no_address() -> None:
    with use_platform(platform({})), pytest.raises(ConfigError, match="PORTABLE_QUEUE_EMAILS"):
        Queue("emails").send("a")
