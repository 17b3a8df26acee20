"""What every topic keeps: the promises of ``portable.drivers.TopicDriver``, published through ``portable.Topic``.

Delivery is at least once, so a case bears a message it has seen before, and waits for one that is late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from portable.capabilities import Capability
from portable.drivers import Received, SubscriptionDriver
from portable.errors import NotFoundError, ServiceError, UnsupportedError
from portable.resources.topic import Topic
from portable.testing.conformance.cases import Conformance, assert_names, together
from portable.testing.conformance.queue import BODIES

__all__ = ["FILTER", "TopicConformance"]

NOW = timedelta(0)
LONG = timedelta(seconds=120)

FILTER: dict[str, Any] = {"plan": ["pro", 'team\'s "best" \\ %_'], "region-of_user": [{"prefix": "eu-"}, "us"]}
"""What subscription ``paid`` wants: any of two values of one attribute, and a prefix or a value of another."""

FITTING: list[dict[str, str]] = [
    {"plan": "pro", "region-of_user": "eu-west"},
    {"plan": "pro", "region-of_user": "us"},
    {"plan": 'team\'s "best" \\ %_', "region-of_user": "eu-"},
    {"plan": "pro", "region-of_user": "eu-é", "other": "x"},
]
NOT_FITTING: list[dict[str, str]] = [
    {},
    {"plan": "pro"},
    {"region-of_user": "us"},
    {"plan": "free", "region-of_user": "us"},
    {"plan": "Pro", "region-of_user": "us"},
    {"plan": "pro", "region-of_user": "us-east"},
    {"plan": "pro", "region-of_user": "EU-west"},
    {"plan": 'team\'s "best" \\ xx', "region-of_user": "us"},
    {"plan": "pro ", "region-of_user": "us"},
]


class TopicConformance(Conformance):
    """Subclass it, and give it one fixture, ``topic``, that yields ``Topic("signups")`` with its platform in force.

    The topic has ``max_attempts`` of 5 and three empty subscriptions, made as a deployment makes them: ``welcome`` and
    ``audit`` for every message, ``paid`` with the filter ``FILTER``; each with dead letters where the cloud has them.
    The platform also has an address for a topic named ``missing``, and nothing is at that address. Where ``ordered`` is
    given, ``Topic("orders", ordered=True)`` has a subscription ``welcome``.

    Attributes:
        capabilities: what the adapter says of topics.
        largest_body: most bytes a body has in JSON, None where there is no limit worth a test.
        shortest_lease: the shortest the cloud takes. patience: how long a message may take to arrive. silence: how long
            nothing has to come before a subscription is called empty; shorter for a store that shows all at once.
    """

    capabilities: ClassVar[Mapping[str, Capability]]
    largest_body: ClassVar[int | None] = None
    shortest_lease: ClassVar[timedelta] = timedelta(seconds=1)
    patience: ClassVar[timedelta] = timedelta(seconds=15)
    silence: ClassVar[timedelta] = timedelta(seconds=1)

    @pytest.fixture
    def ordered_topic(self, topic: Topic[Any]) -> Topic[Any]:  # noqa: ARG002 - it puts the platform in force
        """A topic whose groups are kept in order."""
        return Topic("orders", ordered=True)

    @pytest.fixture
    def missing_topic(self, topic: Topic[Any]) -> Topic[Any]:  # noqa: ARG002
        """A declared topic that is not there."""
        return Topic("missing")

    def given(self, feature: str) -> bool:
        """Whether the adapter says that it gives a feature."""
        return self.capabilities[feature].given

    def of(self, topic: Topic[Any], name: str) -> SubscriptionDriver:
        """A subscription."""
        return topic.driver().subscription(name)

    def take(
        self, topic: Topic[Any], count: int = 1, *, name: str = "welcome", lease: timedelta = LONG
    ) -> list[Received]:
        """``count`` different messages of a subscription, as soon as they come. Fails when ``patience`` ends before."""
        found: dict[str, Received] = {}
        limit = time.monotonic() + self.patience.total_seconds()
        while len(found) < count:
            left = limit - time.monotonic()
            assert left > 0, f"{len(found)} of {count} messages came to {name} within {self.patience}"
            wait = timedelta(seconds=min(1.0, left))
            for received in self.of(topic, name).receive(min(10, count - len(found)), wait, lease):
                found[received.id] = received
        return list(found.values())

    def is_empty(self, topic: Topic[Any], name: str = "welcome", wait: timedelta | None = None) -> bool:
        """Whether nothing comes to a subscription within ``wait``; left out, within ``silence``."""
        return self.of(topic, name).receive(1, self.silence if wait is None else wait, LONG) == []

    # --- publish and receive

    @pytest.mark.parametrize("name", BODIES)
    def test_body(self, topic: Topic[Any], name: str) -> None:
        topic.publish(BODIES[name])
        [received] = self.take(topic)
        assert topic.decode(received.body) == BODIES[name]

    def test_body_is_the_text_as_published(self, topic: Topic[Any]) -> None:
        topic.publish({"b": 1, "a": "é\n🐍"})
        [received] = self.take(topic)
        assert received.body == '{"b":1,"a":"é\\n🐍"}'

    def test_received_fields(self, topic: Topic[Any]) -> None:
        published = topic.publish("body")
        [received] = self.take(topic)
        assert isinstance(published, str)
        assert published
        assert (received.attempt, received.attributes, received.group) == (1, {}, None)
        assert (received.id == published) is self.given("same_id")
        assert received.sent_at is not None
        assert abs(datetime.now(UTC) - received.sent_at) < timedelta(minutes=5)

    def test_attributes(self, topic: Topic[Any]) -> None:
        attributes = {f"name-{n}": f"value {n} é 🐍 <&>" for n in range(9)} | {"Upper_Case": "Kept"}
        topic.publish("body", attributes=attributes)
        [received] = self.take(topic)
        assert received.attributes == attributes
        assert topic.decode(received.body) == "body"

    def test_ids_differ(self, topic: Topic[Any]) -> None:
        assert len({topic.publish("the same") for _ in range(5)}) == 5
        assert len(self.take(topic, 5)) == 5

    def test_size_of_bodies(self, topic: Topic[Any]) -> None:
        if self.largest_body is None:
            topic.publish("x" * 1_000_000)
            [received] = self.take(topic)
            assert len(topic.decode(received.body)) == 1_000_000
            return
        most = "x" * (self.largest_body - 2)  # JSON puts it in quotes
        topic.publish(most)
        [received] = self.take(topic)
        assert topic.decode(received.body) == most
        with pytest.raises(ServiceError) as caught:
            topic.publish(most + "x")
        assert_names(caught.value, f"topic {topic.name}", None)

    # --- fan-out and filters

    def test_every_subscription_has_a_copy(self, topic: Topic[Any]) -> None:
        topic.publish({"n": 1}, attributes={"a": "b"})
        for name in ("welcome", "audit"):
            [received] = self.take(topic, name=name)
            assert (topic.decode(received.body), received.attributes) == ({"n": 1}, {"a": "b"})

    def test_copies_are_apart(self, topic: Topic[Any]) -> None:
        topic.publish("body")
        [first] = self.take(topic, name="welcome")
        self.of(topic, "welcome").acknowledge(first)
        [second] = self.take(topic, name="audit")
        self.of(topic, "audit").retry(second, None)
        [again] = self.take(topic, name="audit")
        self.of(topic, "audit").acknowledge(again)
        assert self.is_empty(topic, "welcome")
        assert self.is_empty(topic, "audit")

    def test_filter(self, topic: Topic[Any]) -> None:
        for number, attributes in enumerate(FITTING):
            topic.publish({"fits": number}, attributes=attributes)
        for number, attributes in enumerate(NOT_FITTING):
            topic.publish({"fits not": number}, attributes=attributes)
        came = [topic.decode(one.body) for one in self.take(topic, len(FITTING), name="paid")]
        assert sorted(came, key=str) == [{"fits": number} for number in range(len(FITTING))]
        assert self.is_empty(topic, "paid")
        assert len(self.take(topic, len(FITTING) + len(NOT_FITTING), name="audit")) == 13

    # --- many at once

    def test_publish_many(self, topic: Topic[Any]) -> None:
        assert topic.publish_many({"n": n} for n in range(25)) == []
        for name in ("welcome", "audit"):
            received = self.take(topic, 25, name=name)
            assert sorted(topic.decode(one.body)["n"] for one in received) == list(range(25))

    def test_publish_many_of_none(self, topic: Topic[Any]) -> None:
        assert topic.publish_many([]) == []
        assert self.is_empty(topic)

    def test_publish_many_beyond_one_call(self, topic: Topic[Any]) -> None:
        bodies = [f"{n:02}" + "x" * 30_000 for n in range(25)]  # more than SNS takes in one call, by count and by size
        assert topic.publish_many(bodies) == []
        assert sorted(topic.decode(one.body) for one in self.take(topic, 25)) == bodies

    def test_publish_many_names_those_refused(self, topic: Topic[Any]) -> None:
        if self.largest_body is None:
            assert topic.publish_many(["a", "b" * 1_000_000, "c"]) == []
            assert len(self.take(topic, 3)) == 3
            return
        refused = topic.publish_many(["a", "b" * self.largest_body, "c"])
        assert [failure.index for failure in refused] == [1]
        assert isinstance(refused[0].error, ServiceError)
        assert_names(refused[0].error, f"topic {topic.name}", None)
        assert sorted(topic.decode(one.body) for one in self.take(topic, 2)) == ["a", "c"]

    # --- leases, attempts, dead letters

    def test_lease_ends(self, topic: Topic[Any]) -> None:
        topic.publish("body", attributes={"a": "b"})
        [first] = self.take(topic, lease=self.shortest_lease)
        time.sleep(self.shortest_lease.total_seconds())
        [second] = self.take(topic)
        assert (second.id, second.body, second.attributes) == (first.id, first.body, first.attributes)
        assert second.attempt == (2 if self.given("attempts") else 1)

    def test_retry_after(self, topic: Topic[Any]) -> None:
        topic.publish("body")
        [received] = self.take(topic)
        start = time.monotonic()
        self.of(topic, "welcome").retry(received, timedelta(seconds=3))
        if self.given("retry_after"):
            assert self.is_empty(topic, wait=NOW)
        [again] = self.take(topic)
        assert again.id == received.id
        if self.given("retry_after"):
            assert time.monotonic() - start > 2  # a cloud counts whole seconds

    def _look(self, topic: Topic[Any], count: int) -> list[Received]:
        limit = time.monotonic() + self.patience.total_seconds()
        while len(found := self.of(topic, "welcome").dead_letters(10)) < count:
            assert time.monotonic() < limit, f"{len(found)} of {count} dead letters were seen within {self.patience}"
            time.sleep(0.05)
        return found

    def test_dead_letters(self, topic: Topic[Any]) -> None:
        subscription = self.of(topic, "welcome")
        if not self.given("dead_letters"):
            for call in (lambda: subscription.dead_letter('"body"', {}), lambda: subscription.dead_letters(1)):
                with pytest.raises(UnsupportedError):
                    call()
            return
        assert subscription.dead_letters(10) == []
        subscription.dead_letter('{"n":"é\\n🐍"}', {"why": "rejected"})
        for _ in range(2):  # a look takes nothing away
            [letter] = self._look(topic, 1)
            assert (letter.body, letter.attributes) == ('{"n":"é\\n🐍"}', {"why": "rejected"})
        assert self.of(topic, "audit").dead_letters(10) == []
        assert self.is_empty(topic)

    def test_after_max_attempts(self, topic: Topic[Any]) -> None:
        topic.publish("body", attributes={"a": "b"})
        for attempt in range(topic.max_attempts):
            [received] = self.take(topic)
            assert received.attempt == (attempt + 1 if self.given("attempts") else 1)
            self.of(topic, "welcome").retry(received, None)
        if not self.given("moves_dead_letters"):
            assert len(self.take(topic)) == 1
            return
        assert self.is_empty(topic)
        [letter] = self._look(topic, 1)
        assert (topic.decode(letter.body), letter.attributes) == ("body", {"a": "b"})
        assert len(self.take(topic, name="audit")) == 1

    # --- order

    def test_ordered(self, ordered_topic: Topic[Any]) -> None:
        if not self.given("ordered"):
            with pytest.raises(UnsupportedError) as caught:
                ordered_topic.publish(0, group="a")
            assert_names(caught.value, "topic orders", None)
            return
        for number in range(5):
            ordered_topic.publish(number, group="a")
        came: list[int] = []
        limit = time.monotonic() + self.patience.total_seconds()
        while len(came) < 5 and time.monotonic() < limit:
            subscription = self.of(ordered_topic, "welcome")
            for received in subscription.receive(1, timedelta(seconds=1), LONG):
                assert received.group == "a"
                came.append(ordered_topic.decode(received.body))
                subscription.acknowledge(received)
        assert came == [0, 1, 2, 3, 4]

    # --- what is missing, threads, async twins

    def test_missing_topic(self, missing_topic: Topic[Any]) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: missing_topic.publish("body"),
            lambda: missing_topic.publish_many(["body"]),
        ]
        for call in calls:
            with pytest.raises(NotFoundError) as caught:
                call()
            assert_names(caught.value, "topic missing", None)

    def test_threads(self, topic: Topic[Any]) -> None:
        published = together(4, lambda position: [topic.publish(position * 10 + n) for n in range(10)])
        assert not [result for result in published if isinstance(result, Exception)]
        received = self.take(topic, 40)
        assert sorted(topic.decode(one.body) for one in received) == list(range(40))

    def test_async_twins(self, topic: Topic[Any]) -> None:
        async def work() -> str:
            assert await topic.apublish_many(["a", "b"]) == []
            return await topic.apublish({"n": "é"}, attributes={"x": "y"})

        assert asyncio.run(work())
        received = {one.body: one for one in self.take(topic, 3)}
        assert set(received) == {'"a"', '"b"', '{"n":"é"}'}
        assert received['{"n":"é"}'].attributes == {"x": "y"}

    def test_async_errors(self, missing_topic: Topic[Any]) -> None:
        async def work() -> None:
            with pytest.raises(NotFoundError):
                await missing_topic.apublish("body")

        asyncio.run(work())
