"""Messages of queues, handed to their functions: batches, retries, dead letters.

A message is leased for longer than its function may take. One that fails comes back after 1 s, 2 s, 4 s … 60 s, or
after what ``Retry(after=…)`` says, until the queue's ``max_attempts`` is reached; ``Reject`` ends it at once. What a
worker had in hand when it was killed is noted in the state, and comes back when the next one starts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from portable.dev.application import DevFunction
from portable.dev.delivery import Desk, Invocation, Part, backoff
from portable.drivers import Received
from portable.errors import Reject, Retry
from portable.events import Message
from portable.triggers import MessageTrigger

__all__ = ["QueueDelivery"]

_WAIT = timedelta(milliseconds=200)
"""How long one look at an empty queue lasts: a message sent meanwhile ends it at once."""

_MARGIN = 15.0
"""Seconds a lease outlives the deadline: for the queue to be told the outcome."""


class QueueDelivery(Part):
    """The messages of one queue, or one function's copies of a topic's."""

    def __init__(self, desk: Desk, function: DevFunction, trigger: MessageTrigger) -> None:
        super().__init__(desk)
        self._function = function
        self._trigger = trigger
        self._queue = trigger.key if trigger.source.kind == "queue" else f"{trigger.key}/{function.name}"
        self._driver = desk.application.driver(desk.platform, trigger.source.kind, trigger.source.name)
        if trigger.source.kind == "topic":
            self._driver = self._driver.subscription(function.name)
        self._lease = timedelta(seconds=function.timeout + _MARGIN)

    def recover(self) -> None:
        """Give back what a worker before this one had in hand. It counts as an attempt. Blocks."""
        state = self.desk.state
        for identity, receipt in state.in_hand(self._queue):
            self._driver.retry(Received(identity, "", receipt), None)
            state.let_go(self._queue, [identity])

    async def find(self) -> None:
        """See ``Part.find``."""
        await self.free()
        batch: list[Received] = []
        try:
            batch = await self.desk.threads.run(self._receive)
        finally:
            if not batch:
                self.give_back()
        if batch:
            self.begin(self._deliver(batch))

    def _receive(self) -> list[Received]:
        batch: list[Received] = self._driver.receive(self._trigger.batch_size, _WAIT, self._lease)
        if batch:
            self.desk.state.take(self._queue, [(one.id, one.receipt) for one in batch])
        return batch

    async def _deliver(self, batch: list[Received]) -> None:
        messages = [
            Message(one.id, one.body, one.attributes, one.attempt, one.sent_at, one.group, one) for one in batch
        ]
        invocation = await self.desk.invoke(
            self._function, self._function.call, self._trigger.is_async, messages, self._trigger.key
        )
        outcomes = [invocation.error] * len(batch) if invocation.error is not None else invocation.value
        words = await self.desk.threads.run(self._settle, batch, outcomes)
        self._note(invocation, batch, outcomes, words)

    def _settle(self, batch: list[Received], outcomes: list[BaseException | None]) -> list[str]:
        """Tell the queue each outcome, and say it in words."""
        words = []
        done = []
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                done.append(one)
                words.append("ok")
            elif isinstance(outcome, Reject):
                self._driver.dead_letter(one.body, one.attributes)
                self._driver.acknowledge(one)
                words.append("rejected")
            else:
                words.append(self._again(one, outcome))
        if done:
            self._driver.acknowledge_many(done)
            if (large := getattr(self._trigger.source, "large_bodies", None)) is not None:
                for one in done:
                    large.drop(one.body)
        self.desk.state.let_go(self._queue, [one.id for one in batch])
        return words

    def _again(self, received: Received, outcome: BaseException) -> str:
        if received.attempt >= self._trigger.source.max_attempts:
            self._driver.retry(received, None)  # the last attempt: the driver makes it a dead letter
            return "dead letter"
        wish = outcome.after if isinstance(outcome, Retry) else None
        after = timedelta(seconds=backoff(received.attempt)) if wish is None else wish
        self._driver.retry(received, after)
        return f"retry in {after.total_seconds():g} s"

    def _note(self, invocation: Invocation, batch: list[Received], outcomes: list[Any], words: list[str]) -> None:
        """One line for all that went well, one for each that did not."""
        good = [one for one, outcome in zip(batch, outcomes, strict=True) if outcome is None]
        if len(good) == 1:
            self.desk.note(invocation, _subject(good[0]), "ok")
        elif good:
            self.desk.note(invocation, f"messages {good[0].id}–{good[-1].id} ({len(good)})", "ok")
        for one, outcome, word in zip(batch, outcomes, words, strict=True):
            if outcome is not None:
                self.desk.note(invocation, _subject(one), word, outcome)


def _subject(one: Received) -> str:
    return f"message {one.id}" if one.attempt == 1 else f"message {one.id}, attempt {one.attempt}"
