"""What a queue keeps where its adapter says it can, and refuses where it says it cannot."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from portable.errors import Reject, Retry
from portable.resources.queue import Queue
from portable.testing.conformance.queue_cases import LONG, NOW, QueueCases

__all__ = ["QueueOptions"]


class QueueOptions(QueueCases):
    """Cases of capabilities."""

    # --- options

    def test_delay(self, queue: Queue[Any]) -> None:
        start = time.monotonic()
        delay = timedelta(seconds=3)
        if not self.gives("delay"):
            self.refuses(lambda: queue.send("body", delay=delay), queue)
            assert self.is_empty(queue)
            return
        queue.send("body", delay=delay)
        assert self.is_empty(queue, NOW)
        [received] = self.take(queue)
        assert time.monotonic() - start > 2
        assert received.attempt == 1

    def test_group_is_refused(self, queue: Queue[Any]) -> None:  # noqa: ARG002 - it puts the platform in force
        if not self.gives("ordered"):
            ordered = Queue[Any]("ordered", ordered=True)
            self.refuses(lambda: ordered.send("body", group="a"), ordered)

    def test_dedup_is_refused(self, queue: Queue[Any]) -> None:  # noqa: ARG002
        if not self.gives("dedup"):
            dedup = Queue[Any]("ordered", dedup=True)
            self.refuses(lambda: dedup.send("body", dedup="a"), dedup)

    def test_group(self, ordered_queue: Queue[Any]) -> None:
        if not self.gives("ordered"):
            return
        ordered_queue.send("body", group="a")
        [received] = self.take(ordered_queue)
        assert received.group == "a"

    def test_groups_keep_their_order(self, ordered_queue: Queue[Any]) -> None:
        if not self.gives("ordered"):
            return
        for n in range(4):
            for group in ("a", "b"):
                ordered_queue.send(n, group=group)
        seen: dict[str | None, list[int]] = {}
        limit = time.monotonic() + self.patience.total_seconds()
        while sum(map(len, seen.values())) < 8:
            assert time.monotonic() < limit, f"only {seen} came within {self.patience}"
            for received in ordered_queue.driver().receive(3, timedelta(seconds=1), LONG):
                seen.setdefault(received.group, []).append(ordered_queue.decode(received.body))
                ordered_queue.driver().acknowledge(received)
        assert seen == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}

    def test_a_group_waits_for_a_failed_message(self, ordered_queue: Queue[Any]) -> None:
        if not self.gives("ordered"):
            return
        for body in ("first", "second"):
            ordered_queue.send(body, group="a")
        [received] = self.take(ordered_queue)
        ordered_queue.driver().retry(received, None)
        [again] = self.take(ordered_queue)
        assert ordered_queue.decode(again.body) == "first"
        assert again.id == received.id

    def test_dedup(self, ordered_queue: Queue[Any]) -> None:
        if not self.gives("dedup"):
            return
        for _ in range(2):
            ordered_queue.send("body", dedup="once")
        ordered_queue.send("other", dedup="twice")
        seen = []
        for _ in range(2):
            [received] = self.take(ordered_queue)
            seen.append(ordered_queue.decode(received.body))
            ordered_queue.driver().acknowledge(received)
        assert sorted(seen) == ["body", "other"]
        assert self.is_empty(ordered_queue)

    def test_dedup_of_what_is_done(self, ordered_queue: Queue[Any]) -> None:
        if not self.gives("dedup"):
            return
        ordered_queue.send("body", dedup="once")
        [received] = self.take(ordered_queue)
        ordered_queue.driver().acknowledge(received)
        ordered_queue.send("body", dedup="once")
        assert self.is_empty(ordered_queue)

    def test_order_through_attempts_and_dead_letters(self, ordered_queue: Queue[Any]) -> None:
        if not (self.gives("ordered") and self.gives("moves_dead_letters")):
            return
        for body in ("poison", "next"):
            ordered_queue.send(body, group="a")
        for _ in range(ordered_queue.max_attempts):
            [received] = self.take(ordered_queue)
            assert ordered_queue.decode(received.body) == "poison"
            ordered_queue.driver().retry(received, None)
        [received] = self.take(ordered_queue)
        assert ordered_queue.decode(received.body) == "next"

    # --- longer leases, looking on, clearing up

    def test_extend(self, queue: Queue[Any]) -> None:
        queue.send("body")
        [received] = self.take(queue, lease=self.shortest_lease)
        if not self.gives("extend"):
            self.refuses(lambda: queue.driver().extend(received, LONG), queue)
            return
        queue.driver().extend(received, LONG)
        assert self.is_empty(queue, self.shortest_lease + timedelta(seconds=1))
        queue.driver().extend(received, self.shortest_lease)  # from now on: it may be made shorter as well
        time.sleep(self.shortest_lease.total_seconds())
        [again] = self.take(queue)
        assert again.id == received.id
        queue.driver().acknowledge(again)
        assert self.is_empty(queue)

    def test_acknowledge_after_extend(self, queue: Queue[Any]) -> None:
        if not self.gives("extend"):
            return
        queue.send("body")
        [received] = self.take(queue, lease=LONG)
        queue.driver().extend(received, self.shortest_lease)
        queue.driver().acknowledge(received)
        assert self.is_empty(queue, self.shortest_lease + timedelta(seconds=1))

    def test_depth(self, queue: Queue[Any]) -> None:
        if not self.gives("depth"):
            self.refuses(queue.depth, queue)
            return
        assert queue.depth() == 0
        queue.send_many(range(7))
        if self.gives("delay"):
            queue.send("later", delay=timedelta(minutes=1))
        count = 7 + self.gives("delay")
        assert self.reaches(queue.depth, count)
        received = self.take(queue, 2)
        assert queue.depth() == count  # what is leased is not done
        for one in received:
            queue.driver().acknowledge(one)
        assert self.reaches(queue.depth, count - 2)

    def test_purge(self, queue: Queue[Any]) -> None:
        queue.send_many(range(12))
        if not self.gives("purge"):
            self.refuses(queue.purge, queue)
            return
        queue.purge()
        assert self.is_empty(queue)
        queue.send("after")
        [received] = self.take(queue)
        assert queue.decode(received.body) == "after"

    # --- dead letters

    def test_dead_letters(self, queue: Queue[Any]) -> None:
        driver = queue.driver()
        if not self.gives("dead_letters"):
            for call in (lambda: driver.dead_letter('"body"', {}), lambda: driver.dead_letters(1)):
                self.refuses(call, queue)
            return
        assert driver.dead_letters(10) == []
        driver.dead_letter('{"n":"é\\n🐍"}', {"why": "rejected"})
        for _ in range(2):  # a look takes nothing away
            [letter] = self.look(queue, 1)
            assert (letter.body, letter.attributes) == ('{"n":"é\\n🐍"}', {"why": "rejected"})
        assert self.is_empty(queue)

    def test_after_max_attempts(self, queue: Queue[Any]) -> None:
        queue.send("body", attributes={"a": "b"})
        for _ in range(queue.max_attempts):
            [received] = self.take(queue)
            queue.driver().retry(received, None)
        if not self.gives("moves_dead_letters"):
            assert len(self.take(queue)) == 1
            return
        assert self.is_empty(queue)
        [letter] = self.look(queue, 1)
        assert (queue.decode(letter.body), letter.attributes) == ("body", {"a": "b"})

    def test_leases_that_end_make_a_dead_letter(self, queue: Queue[Any]) -> None:
        """A worker that dies over a message again and again never says a word."""
        if not self.gives("moves_dead_letters"):
            return
        queue.send("body")
        for _ in range(queue.max_attempts):
            self.take(queue, lease=self.shortest_lease)
            time.sleep(self.shortest_lease.total_seconds())
        assert self.is_empty(queue)
        [letter] = self.look(queue, 1)
        assert queue.decode(letter.body) == "body"

    def test_redrive(self, queue: Queue[Any]) -> None:
        if not self.gives("redrive"):
            self.refuses(queue.redrive, queue)
            return
        assert queue.redrive() == 0
        for n in range(3):
            queue.driver().dead_letter(f"{n}", {"n": str(n)})
        self.look(queue, 3)
        assert queue.redrive(2) == 2
        again = self.take(queue, 2)
        assert all(one.attributes == {"n": one.body} for one in again)
        if self.gives("attempts"):
            assert {one.attempt for one in again} == {1}
        [left] = self.look(queue, 1)
        assert {one.body for one in again} | {left.body} == {"0", "1", "2"}
        assert queue.redrive() == 1
        assert self.take(queue)[0].body == left.body
        assert self.reaches(lambda: queue.driver().dead_letters(10), [])

    # --- pull workers, through the portable type

    def test_worker(self, queue: Queue[Any]) -> None:
        queue.send({"n": 1}, attributes={"a": "b"})
        [delivery] = self.pull(queue)
        assert (delivery.body, delivery.attributes, delivery.attempt) == ({"n": 1}, {"a": "b"}, 1)
        delivery.nack()
        [again] = self.pull(queue)
        assert again.id == delivery.id
        if self.gives("extend"):
            again.extend(LONG)
        again.ack()
        assert self.is_empty(queue)

    def test_worker_blocks(self, queue: Queue[Any]) -> None:
        queue.send("body")
        with pytest.raises(ZeroDivisionError), self.pull(queue)[0]:
            raise ZeroDivisionError
        with self.pull(queue)[0]:
            raise Retry("once more")
        if self.gives("dead_letters"):
            with self.pull(queue)[0]:
                raise Reject("never")
            [letter] = self.look(queue, 1)
            assert queue.decode(letter.body) == "body"
        else:
            with self.pull(queue)[0] as message:
                assert message.body == "body"
        assert self.is_empty(queue)

    def test_async_worker(self, queue: Queue[Any]) -> None:
        async def work() -> None:
            await queue.asend("body")
            [first] = await self.apull(queue)
            await first.anack()
            [second] = await self.apull(queue)
            if self.gives("extend"):
                await second.aextend(LONG)
            async with second as message:
                assert message.body == "body"
            assert await queue.areceive(1, wait=timedelta(seconds=1)) == []

        asyncio.run(work())
