"""Queue Storage: ``azure.functions.QueueMessage``, one an invocation.

Azure retries a message whose function failed, at once or after the ``visibilityTimeout`` of host.json, and moves it to
``<name>-poison`` after ``maxDequeueCount``. A function cannot choose when its message comes back, nor that it is poison
now: for that, the entry sends it again, or to the poison queue, and then succeeds. A crash between the two delivers
twice; nothing is lost.
"""

from __future__ import annotations

from portable.errors import Reject, Retry
from portable.events import Message
from portable_azure.queue import Envelope, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["StorageQueueTrigger"]


class StorageQueueTrigger:
    """``queueTrigger``.

    Args:
        queue: the declared queue. max_dequeue_count: of the Function App's host.json.
    """

    def __init__(self, queue: Any, max_dequeue_count: int) -> None:
        self._queue = queue
        self._max_dequeue_count = max_dequeue_count

    @staticmethod
    def decode(native: Any) -> Message[Any]:
        """The message; its body is the text as sent. Raises ValueError for one without an id."""
        if native.id is None:
            raise ValueError("a queue trigger's message has an Id in its metadata")
        text = native.get_body().decode()
        try:
            envelope = unpack(text)
        except ValueError:
            envelope = Envelope(text)  # its body will not fit the queue's type, which fails it where that is logged
        sent_at = native.insertion_time
        if envelope.sent_at:
            from datetime import datetime

            sent_at = datetime.fromisoformat(envelope.sent_at)
        attempt = envelope.attempts + (native.dequeue_count or 1)
        return Message(envelope.id or native.id, envelope.body, envelope.attributes, attempt, sent_at, None, native)

    def encode(self, outcome: BaseException | None, sent: Message[Any], text: str) -> Callable[[], Any] | None:
        """What is left to do for a message whose outcome this is; ``text`` is its body as sent.

        None: nothing, it is done. Raises the outcome where the host is to try again, or to make it poison.
        """
        if outcome is None:
            return None
        if isinstance(outcome, Reject):
            return self._bury(sent, text)
        if sent.attempt >= self._queue.max_attempts:
            if (sent.native.dequeue_count or 1) >= self._max_dequeue_count:
                raise outcome  # the host counts as far, and moves it itself
            return self._bury(sent, text)
        if isinstance(outcome, Retry) and outcome.after is not None and outcome.after.total_seconds() > 0:
            after = outcome.after
            sent_at = sent.sent_at.isoformat() if sent.sent_at is not None else None
            again = Envelope(text, sent.attributes, sent.attempt, sent.id, sent_at)
            return lambda: self._queue.driver().send_again(again, after)
        raise outcome

    def _bury(self, sent: Message[Any], text: str) -> Callable[[], Any]:
        return lambda: self._queue.driver().dead_letter(text, sent.attributes)
