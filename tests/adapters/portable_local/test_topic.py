"""The local topic: the suite, what a crash leaves, subscriptions that come and go, and a model of it all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from portable import NotFoundError, Topic
from portable.resources import use_platform
from portable.resources.filters import fits, read_filter
from portable.testing.conformance import TopicConformance
from portable.testing.conformance.topic import FILTER
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform
from portable_local.topic import LocalTopic

NOW = timedelta(0)
LEASE = timedelta(seconds=60)


class TestTopic(TopicConformance):
    capabilities = CAPABILITIES["topic"]
    silence = timedelta(seconds=0.1)  # one database: a copy is there as soon as it is published

    @pytest.fixture
    def topic(self, tmp_path: Path) -> Iterator[Topic[Any]]:
        platform = LocalPlatform(
            {"PORTABLE_LOCAL_STATE": str(tmp_path), "PORTABLE_TOPIC_MISSING": str(tmp_path / "gone")}
        )
        subscriptions = {"welcome": None, "audit": None, "paid": read_filter(FILTER, "test")}
        platform.open(Topic("signups")).subscribe(subscriptions)
        platform.open(Topic("orders", ordered=True)).subscribe({"welcome": None})
        with use_platform(platform):
            yield Topic("signups")
        platform.close()


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LocalTopic]:
    driver = LocalTopic("signups", tmp_path, 2)
    yield driver
    driver.close()


def bodies(driver: LocalTopic, name: str) -> list[str]:
    return [one.body for one in driver.subscription(name).receive(100, NOW, LEASE)]


def test_a_message_nobody_wants_is_dropped(driver: LocalTopic) -> None:
    assert driver.publish("1", attributes={}, group=None) == "1"
    driver.subscribe({"paid": {"plan": ["pro"]}})
    driver.publish("2", attributes={"plan": "free"}, group=None)
    assert bodies(driver, "paid") == []
    with driver._database.connection() as connection:
        assert connection.execute("SELECT count(*) FROM publications").fetchone() == (0,)


def test_a_publication_goes_with_its_last_copy(driver: LocalTopic) -> None:
    driver.subscribe({"a": None, "b": None})
    driver.publish("1", attributes={}, group=None)
    for name in ("a", "b"):
        subscription = driver.subscription(name)
        with driver._database.connection() as connection:
            assert connection.execute("SELECT count(*) FROM publications").fetchone() == (1,)
        subscription.acknowledge_many(subscription.receive(1, NOW, LEASE))
    with driver._database.connection() as connection:
        assert connection.execute("SELECT count(*) FROM publications").fetchone() == (0,)


def test_a_subscription_left_out_keeps_what_it_has(driver: LocalTopic) -> None:
    driver.subscribe({"a": None, "b": None})
    driver.publish("1", attributes={}, group=None)
    driver.subscribe({"b": None})
    driver.publish("2", attributes={}, group=None)
    assert (bodies(driver, "a"), bodies(driver, "b")) == (["1"], ["1", "2"])


def test_a_subscription_nobody_made(driver: LocalTopic) -> None:
    driver.subscribe({"a": None})
    with pytest.raises(NotFoundError, match="topic signups: it has no subscription b"):
        driver.subscription("b").receive(1, NOW, LEASE)


def test_redrive_and_counts(driver: LocalTopic) -> None:
    driver.subscribe({"a": None, "b": None})
    driver.publish("1", attributes={"x": "y"}, group=None)
    subscription = driver.subscription("a")
    for _ in range(2):
        [received] = subscription.receive(1, NOW, LEASE)
        subscription.retry(received, None)
    assert (subscription.depth(), subscription.dead_letter_count()) == (0, 1)
    assert subscription.redrive() == 1
    assert (subscription.depth(), subscription.dead_letter_count()) == (1, 0)
    [received] = subscription.receive(1, NOW, LEASE)
    assert (received.body, received.attributes, received.attempt) == ("1", {"x": "y"}, 1)
    assert bodies(driver, "b") == ["1"]


def test_a_lease_is_extended_while_it_lasts(driver: LocalTopic) -> None:
    driver.subscribe({"a": None})
    driver.publish("1", attributes={}, group=None)
    subscription = driver.subscription("a")
    [received] = subscription.receive(1, NOW, timedelta(milliseconds=200))
    subscription.extend(received, LEASE)
    time.sleep(0.25)
    assert bodies(driver, "a") == []
    [late] = [received] if subscription.retry(received, None) else subscription.receive(1, NOW, NOW)
    with pytest.raises(NotFoundError, match="has ended"):
        subscription.extend(late, LEASE)


_PUBLISHER = """
import sys
from pathlib import Path
from portable_local.topic import LocalTopic
topic = LocalTopic("signups", Path(sys.argv[1]), 2)
for number in range(1_000_000):
    print(topic.publish(str(number), attributes={}, group=None), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process")
def test_a_killed_publisher_leaves_every_copy_or_none(tmp_path: Path) -> None:
    driver = LocalTopic("signups", tmp_path, 2)
    driver.subscribe({"a": None, "b": None})
    accepted: set[str] = set()
    for _ in range(5):
        command = [sys.executable, "-c", _PUBLISHER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20):
                accepted.add(process.stdout.readline().strip())
            os.kill(process.pid, signal.SIGKILL)
            # what it had printed by then was accepted too; the last line may be torn
            accepted |= {line.strip() for line in process.stdout if line.endswith("\n")}
    found = {name: [one.id for one in driver.subscription(name).receive(10**6, NOW, LEASE)] for name in "ab"}
    driver.close()
    assert found["a"] == found["b"]
    assert accepted <= set(found["a"])


names = st.sampled_from(["a", "b"])
attributes = st.dictionaries(st.sampled_from(["plan", "region"]), st.sampled_from(["pro", "prof", "eu-1"]), max_size=2)
WANTED: dict[str, Any] = {"a": None, "b": {"plan": [{"prefix": "pro"}], "region": ["eu-1"]}}


class TopicModel(RuleBasedStateMachine):
    """Each subscription is a list of what waits, what is in hand and what is dead."""

    def __init__(self) -> None:
        super().__init__()
        from tempfile import TemporaryDirectory

        self._folder = TemporaryDirectory()
        self.topic = LocalTopic("model", Path(self._folder.name), 2)
        self.topic.subscribe(WANTED)
        self.waiting: dict[str, dict[str, int]] = {"a": {}, "b": {}}
        self.dead: dict[str, list[str]] = {"a": [], "b": []}
        self.count = 0

    def teardown(self) -> None:
        self.topic.close()
        self._folder.cleanup()

    @rule(found=attributes)
    def publish(self, found: dict[str, str]) -> None:
        self.count += 1
        self.topic.publish(str(self.count), attributes=found, group=None)
        for name, wanted in WANTED.items():
            if wanted is None or fits(wanted, found):
                self.waiting[name][str(self.count)] = 0

    @rule(name=names, limit=st.integers(1, 3), works=st.booleans())
    def receive(self, name: str, limit: int, works: bool) -> None:
        subscription = self.topic.subscription(name)
        batch = subscription.receive(limit, NOW, LEASE)
        waiting = self.waiting[name]
        assert len(batch) == min(limit, len(waiting))
        for one in batch:
            waiting[one.body] += 1
            assert one.attempt == waiting[one.body]
            if works:
                subscription.acknowledge(one)
                del waiting[one.body]
            else:
                subscription.retry(one, None)
                if one.attempt == 2:
                    del waiting[one.body]
                    self.dead[name].append(one.body)

    @rule(name=names)
    def redrive(self, name: str) -> None:
        assert self.topic.subscription(name).redrive() == len(self.dead[name])
        self.waiting[name] |= dict.fromkeys(self.dead[name], 0)
        self.dead[name] = []

    @invariant()
    def counts_agree(self) -> None:
        for name in "ab":
            subscription = self.topic.subscription(name)
            assert subscription.depth() == len(self.waiting[name])
            assert sorted(one.body for one in subscription.dead_letters(1000)) == sorted(self.dead[name])


TestTopicModel = TopicModel.TestCase
TestTopicModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_a_group_waits_for_its_oldest_alone(tmp_path: Path) -> None:
    driver = LocalTopic("moves", tmp_path, 2)
    driver.subscribe({"a": None})
    for body, group in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("free", None), ("a3", "a")):
        driver.publish(body, attributes={}, group=group)
    subscription = driver.subscription("a")
    first = {one.body: one for one in subscription.receive(10, NOW, LEASE)}
    assert set(first) == {"a1", "b1", "free"}
    subscription.retry(first["a1"], None)  # it stays before the others of its group
    [again] = subscription.receive(10, NOW, LEASE)
    assert again.body == "a1"
    subscription.retry(again, None)  # its last attempt: dead, and no longer in the way
    [second] = subscription.receive(10, NOW, LEASE)
    assert second.body == "a2"
    assert subscription.redrive() == 1  # behind those that are there
    subscription.acknowledge_many([second])
    [third] = subscription.receive(10, NOW, LEASE)
    subscription.acknowledge(third)
    [last] = subscription.receive(10, NOW, LEASE)
    assert (third.body, last.body, last.group) == ("a3", "a1", "a")
    driver.close()


def test_a_claim_does_not_look_at_what_waits_in_its_group(driver: LocalTopic) -> None:
    driver.subscribe({"a": None})
    driver._publish([(str(number), {}, "g") for number in range(1000)])
    with driver._database.connection() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM deliveries WHERE subscription = 1 AND due <= 5 ORDER BY due LIMIT 1"
        ).fetchall()
        due = connection.execute("SELECT count(*) FROM deliveries WHERE due < ?", (2**62,)).fetchone()
    assert due == (1,)
    assert [row[3] for row in plan] == [
        "SEARCH deliveries USING COVERING INDEX deliveries_due (subscription=? AND due<?)"
    ]


_CONSUMER = """
import sys
from datetime import timedelta
from pathlib import Path
from portable_local.topic import LocalTopic
subscription = LocalTopic("signups", Path(sys.argv[1]), 1000).subscription(sys.argv[2])
print("ready", flush=True)
while True:
    for one in subscription.receive(3, timedelta(seconds=1), timedelta(milliseconds=50)):
        print(one.id, flush=True)
        subscription.acknowledge(one)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill a process")
def test_killed_consumers_lose_nothing(tmp_path: Path) -> None:
    driver = LocalTopic("signups", tmp_path, 1000)
    driver.subscribe({"a": None, "b": None})
    accepted = {driver._publish([(str(number), {}, None)])[0] for number in range(300)}
    seen: dict[str, set[str]] = {"a": set(), "b": set()}
    for name in "abab":
        command = [sys.executable, "-c", _CONSUMER, str(tmp_path), name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(40):
                seen[name].add(process.stdout.readline().strip())
            os.kill(process.pid, signal.SIGKILL)
            seen[name] |= {line.strip() for line in process.stdout if line.endswith("\n")}
    for name in "ab":
        subscription = driver.subscription(name)
        while subscription.depth():
            batch = subscription.receive(100, timedelta(seconds=1), LEASE)
            seen[name] |= {one.id for one in batch}
            subscription.acknowledge_many(batch)
        assert accepted <= seen[name]
    driver.close()
