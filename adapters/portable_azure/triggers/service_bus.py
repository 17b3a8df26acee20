"""A queue of Service Bus, or a subscription of a topic: ``azure.functions.ServiceBusMessage``, one an invocation.

The host completes a message whose function returned and abandons one whose function failed, which comes back at once;
Service Bus moves it to the dead letters after the queue's ``MaxDeliveryCount``. A function cannot choose when its
message comes back, nor that it is dead now: for that, the entry sends a copy, scheduled or to the dead letters, and
then succeeds. A crash between the two delivers twice; nothing is lost. The messages of an ordered queue come back at
once, whatever ``Retry(after=…)`` says: a copy would lose its place. So do those of a topic: a copy would reach every
subscription.
"""

from __future__ import annotations

from portable.drivers import Received
from portable.errors import Reject, Retry, UnsupportedError
from portable.events import Message
from portable_azure.servicebus_queue import read_properties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ServiceBusTrigger"]


class ServiceBusTrigger:
    """``serviceBusTrigger`` of a queue, or of a topic's subscription.

    Args:
        source: the declared queue or topic. subscription: of a topic, gives the function's own.
    """

    def __init__(self, source: Any, subscription: Callable[[], Any] | None = None) -> None:
        self._queue = source
        self._driver = subscription or source.driver
        self._ordered = bool(self._queue.options.get("ordered"))
        self._at_once = self._ordered or subscription is not None  # to a subscription alone nothing can be sent

    def decode(self, native: Any) -> Message[Any]:
        """The message; its body is the text as sent. Raises ValueError for one without an id."""
        if not native.message_id:
            raise ValueError("a Service Bus trigger's message has a MessageId in its metadata")
        known = read_properties(native.application_properties)
        attempt = known.attempts + (native.delivery_count or 1)
        group = native.session_id if self._ordered else None
        sent_at = known.sent_at or native.enqueued_time_utc
        if sent_at is not None and sent_at.tzinfo is None:
            from datetime import UTC

            sent_at = sent_at.replace(tzinfo=UTC)
        text = native.get_body().decode()
        return Message(known.id or native.message_id, text, known.attributes, attempt, sent_at, group, native)

    def encode(self, outcome: BaseException | None, sent: Message[Any], text: str) -> Callable[[], Any] | None:
        """What is left to do for a message whose outcome this is; ``text`` is its body as sent.

        None: nothing, it is done. Raises the outcome where the message is to be abandoned.
        """
        if outcome is None:
            return None
        spent = sent.attempt >= self._queue.max_attempts > (sent.native.delivery_count or 1)  # counted over copies
        if isinstance(outcome, Reject) or spent:
            return lambda: self._bury(outcome, sent, text)
        if (
            isinstance(outcome, Retry)
            and outcome.after
            and not self._at_once
            and sent.attempt < self._queue.max_attempts
        ):
            again = Received(sent.id, text, None, sent.attributes, sent.attempt, sent.sent_at)
            after = outcome.after
            return lambda: self._driver().send_again(again, after)
        raise outcome

    def _bury(self, outcome: BaseException, sent: Message[Any], text: str) -> None:
        try:
            self._driver().dead_letter(text, sent.attributes)
        except UnsupportedError:  # its dead letters cannot be sent to: it takes the attempts that are left
            raise outcome from None
