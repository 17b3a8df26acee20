"""What every queue keeps: the promises of ``portable.drivers.QueueDriver``, sent through ``portable.Queue``.

Delivery is at least once, so a case bears a message it has seen before, and waits for one that is late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portable.errors import NotFoundError, ServiceError, UnsupportedError
from portable.resources.queue import Queue
from portable.testing.conformance.cases import assert_names, together
from portable.testing.conformance.queue_cases import LONG, NOW
from portable.testing.conformance.queue_model import QueueModel
from portable.testing.conformance.queue_options import QueueOptions

__all__ = ["QueueConformance"]

BODIES: dict[str, Any] = {
    "object": {"id": 7, "email": "ann@example.com", "nested": [1, 2.5, None, True]},
    "text": "a string",
    "empty_text": "",
    "number": 12345678901234567890,
    "null": None,
    "empty_object": {},
    "unicode": "héllo 🐍 日本 \u2028\u2029 e\u0301",
    "control_characters": "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "markup": '<a href="x">&amp;\'</a> ]]>',
    "base64": "eyJhIjoxfQ==",
    "spaces": "  led and trailed  ",
}


class QueueConformance(QueueOptions, QueueModel):
    """Subclass it, and give it one fixture, ``queue``, that yields an empty ``Queue`` with its platform in force.

    The queue has no type, ``max_attempts`` of 5, and a dead-letter queue where the cloud has them. The platform also
    has an address for a queue named ``missing``, and nothing is at that address.

    It also has an address for a queue named ``ordered``, with dead letters likewise, which a case declares with
    ``ordered=True`` and ``dedup=True`` as far as the capabilities go.

    Attributes:
        capabilities: the adapter's of queues: ``CAPABILITIES["queue"]``. What is given has to work, what is refused has
            to raise UnsupportedError.
        keeps_noncharacters: whether a body may hold U+FFFE and U+FFFF.
        largest_body: most bytes a body has in JSON, None where there is no limit worth a test.
        shortest_lease: the shortest the cloud takes. patience: how long a message may take to arrive. silence: how long
            nothing has to come before a queue is called empty; shorter for a store that shows all at once.
    """

    # --- send and receive

    @pytest.mark.parametrize("name", BODIES)
    def test_body(self, queue: Queue[Any], name: str) -> None:
        queue.send(BODIES[name])
        [received] = self.take(queue)
        assert queue.decode(received.body) == BODIES[name]

    def test_body_is_the_text_as_sent(self, queue: Queue[Any]) -> None:
        queue.send({"b": 1, "a": "é\n🐍"})
        [received] = self.take(queue)
        assert received.body == '{"b":1,"a":"é\\n🐍"}'

    def test_noncharacters(self, queue: Queue[Any]) -> None:
        body = "a\ufffeb\uffffc"
        if not self.keeps_noncharacters:
            with pytest.raises(ServiceError):
                queue.send(body)
            return
        queue.send(body)
        [received] = self.take(queue)
        assert queue.decode(received.body) == body

    def test_received_fields(self, queue: Queue[Any]) -> None:
        sent = queue.send("body")
        [received] = self.take(queue)
        assert (received.id, received.attempt, received.attributes, received.group) == (sent, 1, {}, None)
        assert received.sent_at is not None
        assert abs(datetime.now(UTC) - received.sent_at) < timedelta(minutes=5)

    def test_attributes(self, queue: Queue[Any]) -> None:
        attributes = {f"name-{n}": f"value {n} é 🐍 <&>" for n in range(9)} | {"Upper_Case": "Kept"}
        queue.send("body", attributes=attributes)
        [received] = self.take(queue)
        assert received.attributes == attributes
        assert queue.decode(received.body) == "body"

    def test_ids_differ(self, queue: Queue[Any]) -> None:
        sent = {queue.send("the same") for _ in range(5)}
        assert len(sent) == 5
        assert {received.id for received in self.take(queue, 5)} == sent

    def test_receive_from_an_empty_queue(self, queue: Queue[Any]) -> None:
        assert queue.driver().receive(10, NOW, LONG) == []
        start = time.monotonic()
        assert queue.driver().receive(10, timedelta(seconds=1), LONG) == []
        assert time.monotonic() - start < 10

    def test_receive_takes_no_more_than_its_limit(self, queue: Queue[Any]) -> None:
        assert queue.send_many(range(5)) == []
        first = queue.driver().receive(2, timedelta(seconds=5), LONG)
        assert 1 <= len(first) <= 2
        rest = self.take(queue, 5 - len(first))
        assert sorted(queue.decode(received.body) for received in first + rest) == [0, 1, 2, 3, 4]

    def test_size_of_bodies(self, queue: Queue[Any]) -> None:
        if self.largest_body is None:
            queue.send("x" * 1_000_000)
            [received] = self.take(queue)
            assert len(queue.decode(received.body)) == 1_000_000
            return
        most = "x" * (self.largest_body - 2)  # JSON puts it in quotes
        queue.send(most)
        [received] = self.take(queue)
        assert queue.decode(received.body) == most
        with pytest.raises(ServiceError) as caught:
            queue.send(most + "x")
        assert_names(caught.value, f"queue {queue.name}", None)

    # --- many at once

    def test_send_many(self, queue: Queue[Any]) -> None:
        assert queue.send_many({"n": n} for n in range(25)) == []
        received = self.take(queue, 25)
        assert sorted(queue.decode(one.body)["n"] for one in received) == list(range(25))
        assert len({one.id for one in received}) == 25

    def test_send_many_of_none(self, queue: Queue[Any]) -> None:
        assert queue.send_many([]) == []
        assert self.is_empty(queue)

    def test_send_many_beyond_one_call(self, queue: Queue[Any]) -> None:
        bodies = [f"{n:02}" + "x" * 30_000 for n in range(45)]  # more than SQS takes in one call, by count and by size
        assert queue.send_many(bodies) == []
        received = self.take(queue, 45)
        assert sorted(queue.decode(one.body) for one in received) == bodies

    def test_send_many_names_those_refused(self, queue: Queue[Any]) -> None:
        if self.largest_body is None:
            assert queue.send_many(["a", "b" * 1_000_000, "c"]) == []
            assert len(self.take(queue, 3)) == 3
            return
        refused = queue.send_many(["a", "b" * self.largest_body, "c"])
        assert [failure.index for failure in refused] == [1]
        assert isinstance(refused[0].error, ServiceError)
        assert sorted(queue.decode(one.body) for one in self.take(queue, 2)) == ["a", "c"]

    # --- leases, attempts

    def test_acknowledged_is_gone(self, queue: Queue[Any]) -> None:
        queue.send("body")
        [received] = self.take(queue, lease=self.shortest_lease)
        queue.driver().acknowledge(received)
        assert self.is_empty(queue, self.shortest_lease + timedelta(seconds=1))

    def test_ack_many(self, queue: Queue[Any]) -> None:
        lease = self.shortest_lease + timedelta(seconds=4)
        assert queue.send_many(range(12)) == []
        taken: dict[str, Any] = {}
        while len(taken) < 12:
            found = queue.receive(12 - len(taken), wait=timedelta(seconds=1), lease=lease)
            taken.update((delivery.id, delivery) for delivery in found)
        queue.ack_many(taken.values())
        queue.ack_many([])
        assert self.is_empty(queue, lease + timedelta(seconds=1))

    def test_hidden_while_leased(self, queue: Queue[Any]) -> None:
        queue.send("body")
        self.take(queue)
        assert self.is_empty(queue)

    def test_lease_ends(self, queue: Queue[Any]) -> None:
        sent = queue.send("body", attributes={"a": "b"})
        [first] = self.take(queue, lease=self.shortest_lease)
        time.sleep(self.shortest_lease.total_seconds())
        [second] = self.take(queue)
        assert (first.id, second.id) == (sent, sent)
        assert (second.body, second.attributes) == (first.body, first.attributes)
        assert second.attempt == (2 if self.gives("attempts") else 1)

    def test_acknowledge_after_the_lease(self, queue: Queue[Any]) -> None:
        queue.send("body")
        [first] = self.take(queue, lease=self.shortest_lease)
        time.sleep(self.shortest_lease.total_seconds())
        [second] = self.take(queue)
        queue.driver().acknowledge(first)  # too late, and no error
        queue.driver().acknowledge(second)

    def test_retry(self, queue: Queue[Any]) -> None:
        sent = queue.send("body", attributes={"a": "b"})
        for attempt in (1, 2, 3):
            [received] = self.take(queue)
            assert (received.id, received.attributes) == (sent, {"a": "b"})
            assert received.attempt == (attempt if self.gives("attempts") else 1)
            queue.driver().retry(received, None)

    def test_retry_after(self, queue: Queue[Any]) -> None:
        queue.send("body")
        [received] = self.take(queue)
        start = time.monotonic()
        if not self.gives("retry_after"):
            self.refuses(lambda: queue.driver().retry(received, timedelta(seconds=3)), queue)
            return
        queue.driver().retry(received, timedelta(seconds=3))
        assert self.is_empty(queue, NOW)
        [again] = self.take(queue)
        assert again.id == received.id
        assert time.monotonic() - start > 2  # a cloud counts whole seconds

    def test_retry_after_the_lease(self, queue: Queue[Any]) -> None:
        queue.send("body")
        [first] = self.take(queue, lease=self.shortest_lease)
        time.sleep(self.shortest_lease.total_seconds())
        [second] = self.take(queue)
        queue.driver().retry(first, None)  # too late, and no error
        queue.driver().acknowledge(second)

    # --- what is missing, threads, async twins

    def test_missing_queue(self, missing_queue: Queue[Any]) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: missing_queue.send("body"),
            lambda: missing_queue.send_many(["body"]),
            lambda: missing_queue.driver().receive(1, NOW, LONG),
        ]
        for call in calls:
            with pytest.raises(NotFoundError) as caught:
                call()
            assert_names(caught.value, "queue missing", None)

    def test_threads(self, queue: Queue[Any]) -> None:
        sent = together(4, lambda position: [queue.send(position * 10 + n) for n in range(10)])
        assert not [result for result in sent if isinstance(result, Exception)]

        def consume(_: int) -> list[int]:
            bodies: list[int] = []
            idle = 0
            while idle < 2:
                batch = queue.driver().receive(5, timedelta(seconds=1), LONG)
                idle = 0 if batch else idle + 1
                for received in batch:
                    bodies.append(queue.decode(received.body))
                    queue.driver().acknowledge(received)
            return bodies

        results = together(4, consume)
        assert not [result for result in results if isinstance(result, Exception)]
        assert {body for bodies in results if isinstance(bodies, list) for body in bodies} == set(range(40))
        assert self.is_empty(queue)

    def test_async_twins(self, queue: Queue[Any]) -> None:
        async def work() -> str:
            assert await queue.asend_many(["a", "b"]) == []
            return await queue.asend({"n": "é"}, attributes={"x": "y"})

        sent = asyncio.run(work())
        received = {one.body: one for one in self.take(queue, 3)}
        assert set(received) == {'"a"', '"b"', '{"n":"é"}'}
        assert (received['{"n":"é"}'].id, received['{"n":"é"}'].attributes) == (sent, {"x": "y"})

    def test_async_errors(self, queue: Queue[Any], missing_queue: Queue[Any]) -> None:
        async def work() -> None:
            with pytest.raises(NotFoundError):
                await missing_queue.asend("body")
            if not self.gives("delay"):
                with pytest.raises(UnsupportedError):
                    await queue.asend("body", delay=timedelta(seconds=1))

        asyncio.run(work())
