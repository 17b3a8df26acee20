"""A queue compared with a model of it, over operations that Hypothesis chooses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import pytest

from portable.resources.queue import Queue
from portable.testing.conformance.queue_cases import LONG, QueueCases

__all__ = ["QueueModel"]


class QueueModel(QueueCases):
    """One case. It needs Hypothesis, and is skipped without.

    Attributes:
        model_examples: how often it begins with an empty queue. model_steps: operations each time.
    """

    model_examples: ClassVar[int] = 4
    model_steps: ClassVar[int] = 15

    def test_queue_is_like_its_model(self, queue: Queue[Any]) -> None:
        hypothesis = pytest.importorskip("hypothesis")
        from hypothesis.stateful import run_state_machine_as_test

        settings = hypothesis.settings(
            max_examples=self.model_examples,
            stateful_step_count=self.model_steps,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        run_state_machine_as_test(_machine(self, queue), settings=settings)


def _machine(suite: QueueModel, queue: Queue[Any]) -> Any:
    """Messages are numbers: each one is waiting, leased, dead or done, and never two of these."""
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

    moment = min(timedelta(milliseconds=300), suite.silence)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.next = 0
            self.waiting: dict[int, int] = {}  # number, and the attempts made
            self.leased: dict[int, Any] = {}
            self.dead: set[int] = set()

        def number(self) -> int:
            self.next += 1
            self.waiting[self.next] = 0
            return self.next

        @rule()
        def send(self) -> None:
            number = self.number()
            queue.send(number, attributes={"n": str(number)})

        @rule(count=st.integers(0, 12))
        def send_many(self, count: int) -> None:
            assert queue.send_many([self.number() for _ in range(count)]) == []

        @rule(limit=st.integers(1, 12))
        def receive(self, limit: int) -> None:
            found = queue.receive(limit, wait=moment, lease=LONG)
            assert len(found) <= limit
            for delivery in found:
                number = delivery.body
                attempts = self.waiting.pop(number)  # KeyError: it is leased, dead, done, or was never sent
                assert delivery.attributes in ({}, {"n": str(number)})
                if suite.gives("attempts"):
                    assert delivery.attempt == attempts + 1
                self.leased[number] = delivery, attempts + 1

        @precondition(lambda self: self.leased)
        @rule(data=st.data())
        def acknowledge(self, data: Any) -> None:
            delivery, _ = self.leased.pop(data.draw(st.sampled_from(sorted(self.leased))))
            delivery.ack()

        @precondition(lambda self: self.leased)
        @rule(data=st.data())
        def give_back(self, data: Any) -> None:
            number = data.draw(st.sampled_from(sorted(self.leased)))
            delivery, attempts = self.leased.pop(number)
            delivery.nack()
            if suite.gives("moves_dead_letters") and attempts == queue.max_attempts:
                self.dead.add(number)
            else:
                self.waiting[number] = attempts

        @precondition(lambda self: self.leased and suite.gives("dead_letters"))
        @rule(data=st.data())
        def reject(self, data: Any) -> None:
            number = data.draw(st.sampled_from(sorted(self.leased)))
            delivery, _ = self.leased.pop(number)
            queue.driver().dead_letter(delivery.native.body, delivery.attributes)
            delivery.ack()
            self.dead.add(number)

        @precondition(lambda self: suite.gives("redrive"))
        @rule()
        def redrive(self) -> None:
            moved = 0
            while moved < len(self.dead):  # a cloud may see some of them late
                moved += queue.redrive()
            assert moved == len(self.dead)
            self.waiting |= dict.fromkeys(self.dead, 0)
            self.dead.clear()

        def teardown(self) -> None:
            """What is left is exactly what the model says is left."""
            for delivery, _ in self.leased.values():
                delivery.ack()
            if suite.gives("redrive"):
                self.redrive()
            left = set(self.waiting)
            while left:
                [delivery] = suite.pull(queue)
                left.remove(delivery.body)
                delivery.ack()
            assert suite.is_empty(queue, moment)

    return Machine
