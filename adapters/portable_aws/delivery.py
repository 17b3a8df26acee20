"""A batch of SQS messages from its event to the answer that says which come again."""

from __future__ import annotations

from portable.drivers import Received
from portable.errors import Reject, Retry
from portable.invoke import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Message
    from portable.invoke.messages import MessageFunction, Outcomes
    from portable.triggers import MessageTrigger

__all__ = ["Delivery"]


class Delivery:
    """Hands the batches of one function's queues to its handlers.

    What raises here fails the invocation, and then Lambda leaves the whole batch in the queue: no message is lost.
    """

    def __init__(self, function: MessageFunction, codec: Any) -> None:
        self._function = function
        self._codec = codec
        self._only = function.triggers[0] if len(function.triggers) == 1 else None

    def deliver(self, event: Any) -> dict[str, Any]:
        """The answer to one event."""
        batch = self._codec.decode(event)
        if not batch:
            return {"batchItemFailures": []}
        trigger = self._only or self._trigger_of(event)
        if str(batch[0].native.get("eventSourceARN")).endswith(".fifo"):
            outcomes = self._in_order(trigger, batch)
        else:
            outcomes = self._call(trigger, batch)
            if outcomes.count(None) == len(batch):
                return {"batchItemFailures": []}
            outcomes = self._settle_all(trigger, batch, outcomes)
        answer: dict[str, Any] = self._codec.encode(batch, outcomes)
        return answer

    def _call(self, trigger: MessageTrigger, batch: list[Message[Any]]) -> Outcomes:
        outcomes: Any = self._function(batch, None if self._only else trigger.key)
        return run(outcomes) if trigger.is_async else outcomes  # type: ignore[no-any-return]

    def _in_order(self, trigger: MessageTrigger, batch: list[Message[Any]]) -> Outcomes:
        """After a failed message, the later ones of its group fail too, so that they come again behind it.

        A handler of single messages does not see them. One that takes the batch has seen them all already; so has one
        that has several in hand, where a ``Reject`` could not be carried out.
        """
        at_once = trigger.plan[2]  # it minds the order of a group itself, as far as it hands messages over one by one
        whole = self._call(trigger, batch) if at_once else None
        outcomes: Outcomes = []
        stopped: set[str | None] = set()
        for position, message in enumerate(batch):
            group = message.group
            if group in stopped:
                outcomes.append(Retry(f"an earlier message of group {group} failed"))
                continue
            outcome = self._call(trigger, [message])[0] if whole is None else whole[position]
            outcome = self._settle(trigger, message, outcome)
            if outcome is not None:
                stopped.add(group)
            outcomes.append(outcome)
        return outcomes

    def _settle_all(self, trigger: MessageTrigger, batch: list[Message[Any]], outcomes: Outcomes) -> Outcomes:
        """What becomes of messages in no order: those that are to wait are told SQS in as few calls as it takes."""
        waits = []
        settled: Outcomes = []
        for message, wish in zip(batch, outcomes, strict=True):
            if isinstance(wish, Retry) and wish.after is not None:
                waits.append((_received(message), wish.after))
                settled.append(wish)
            else:
                settled.append(self._settle(trigger, message, wish))
        if len(waits) == 1:
            [(received, after)] = waits
            self._wait(trigger, received.id, lambda: trigger.driver().retry(received, after))
        elif waits:
            ids = ", ".join(received.id for received, _ in waits)
            self._wait(trigger, ids, lambda: trigger.driver().retry_many(waits))
        return settled

    @staticmethod
    def _wait(trigger: MessageTrigger, ids: str, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Exception:  # they come back when their lease ends
            from logging import getLogger

            getLogger("portable").exception("message %s of %s asked for a later attempt, in vain", ids, trigger.source)

    @staticmethod
    def _settle(trigger: MessageTrigger, message: Message[Any], wish: BaseException | None) -> BaseException | None:
        """What becomes of a message: None when it is done. A wish that fails leaves it to be delivered again."""
        if not isinstance(wish, (Retry, Reject)) or (isinstance(wish, Retry) and wish.after is None):
            return wish
        try:
            queue = trigger.driver()
            if isinstance(wish, Retry):
                queue.retry(_received(message), wish.after)
                return wish
            queue.dead_letter(message.native["body"], message.attributes)
        except Exception:
            from logging import getLogger

            asked = "a later attempt" if isinstance(wish, Retry) else "the dead-letter queue"
            getLogger("portable").exception("message %s of %s asked for %s, in vain", message.id, trigger.source, asked)
            return wish
        return None

    def _trigger_of(self, event: Any) -> MessageTrigger:
        from portable.errors import ConfigError

        physical = self._codec.queue(event)
        for trigger in self._function.triggers:
            if _address(trigger).rpartition("/")[2] == physical:
                return trigger
        names = ", ".join(trigger.key for trigger in self._function.triggers)
        raise ConfigError(f"a batch of queue {physical!r}, whose address is none of those of {names}")


def _received(message: Message[Any]) -> Received:
    """A message of an event as its queue's driver knows it."""
    return Received(message.id, message.native["body"], message.native["receiptHandle"])


def _address(trigger: MessageTrigger) -> str:
    """URL of the queue that a trigger's messages come through."""
    from portable.drivers import read_address

    if trigger.source.kind == "queue":
        return read_address("queue", trigger.source.name)
    from portable.resources.topic import subscription_name

    return read_address("subscription", subscription_name(trigger.source.name, trigger.function))
