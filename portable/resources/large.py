"""Claim-check: a body too large for a queue goes to a bucket, and the message holds a reference to it.

The blob is written before the message is sent, and deleted after the message is acknowledged. So a crash leaves a blob
that no message refers to, never a message whose blob is gone: give the bucket a lifecycle rule on ``PREFIX`` that is
longer than the queue keeps its messages, dead letters among them. A reference whose blob is gone all the same fails
with NotFoundError, which names the queue, the bucket and the key.

Who pulls acknowledges, and deletes then. Of a function the cloud acknowledges, after the function has answered and
without telling it: its blobs are deleted when it is called again, ``GRACE`` seconds later at the earliest. What an
instance had handled last when it ended stays, for the lifecycle rule.
"""

from __future__ import annotations

from time import monotonic

from portable.errors import NotFoundError, ServiceError, UnavailableError
from portable.resources import on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from portable.drivers import QueueDriver
    from portable.events import Message
    from portable.resources.bucket import Bucket

    Outcomes = list[BaseException | None]

__all__ = ["GRACE", "PREFIX", "LargeBodies"]

GRACE = 60.0
"""Seconds between a handler's return and the deletion of its message's blob: the cloud has acknowledged it by then."""

PREFIX = "portable-queues/"
"""What the keys of all such blobs start with; the queue's name and a random part follow."""

_MARK = "portable-large/1 "  # no JSON text starts like this, so no body is taken for a reference


class LargeBodies:
    """The large bodies of one queue."""

    __slots__ = ("_handled", "bucket", "queue")

    def __init__(self, queue: str, bucket: Bucket) -> None:
        self.queue = queue
        self.bucket = bucket
        self._handled: dict[str, float] = {}  # key, and when its message was done

    def put(self, driver: QueueDriver, body: str, attributes: Mapping[str, str]) -> str:
        """What to send: ``body`` where it fits, else a reference to the blob it was written to."""
        if driver.fits(body, attributes):
            return body
        from uuid import uuid4

        key = f"{PREFIX}{self.queue}/{uuid4().hex}"
        self.bucket.write(key, body, content_type="application/json")
        return _MARK + key

    @staticmethod
    def key_of(text: str) -> str | None:
        """The key that a message refers to; None for a body that is in the message."""
        return text[len(_MARK) :] if text.startswith(_MARK) else None

    def get(self, text: str) -> str:
        """The body of a message. Raises NotFoundError for a lost reference, and what reading a blob raises."""
        key = self.key_of(text)
        if key is None:
            return text
        self._handled.pop(key, None)  # it comes again: its acknowledgement failed
        try:
            return self.bucket.read(key).decode()
        except NotFoundError as error:
            raise NotFoundError(
                f"the message's body was put into bucket {self.bucket.name}, and is not there: it was deleted, or the "
                "message was acknowledged before and came again",
                resource=f"queue {self.queue}",
                key=key,
            ) from error

    def drop(self, text: str) -> None:
        """Delete the blob of a message that is done. Does nothing for a body that is in the message."""
        key = self.key_of(text)
        if key is not None:
            self.bucket.delete(key)

    def unsent(self, text: str, error: Exception) -> None:
        """A message was not sent: its blob is of no use, unless the queue may have accepted it all the same."""
        if not isinstance(error, UnavailableError):
            self.drop(text)

    # --- around a function, whose messages the cloud acknowledges

    async def deliver(
        self, batch: list[Message[Any]], call: Callable[[list[Message[Any]]], Awaitable[Outcomes]], waits: bool
    ) -> Outcomes:
        """The outcomes of ``call`` for a batch with its bodies put back. ``waits``: whether I/O goes to a thread.

        A body that cannot be read fails its message alone.
        """
        sent = [message.body for message in batch]
        outcomes: Outcomes = [None] * len(batch)
        whole = []
        for position, message in enumerate(batch):
            try:
                if self.key_of(message.body) is not None:
                    message.body = await on_thread(self.get, message.body) if waits else self.get(message.body)
                whole.append(position)
            except Exception as error:
                from logging import getLogger

                getLogger("portable").exception("message %s of queue %s: its body", message.id, self.queue)
                outcomes[position] = error
        for position, outcome in zip(whole, await call([batch[position] for position in whole]), strict=True):
            outcomes[position] = outcome
        now = monotonic()
        for text, outcome in zip(sent, outcomes, strict=True):
            if outcome is None and (key := self.key_of(text)) is not None:
                self._handled[key] = now
        await on_thread(self.sweep) if waits else self.sweep()
        return outcomes

    def sweep(self) -> None:
        """Delete the blobs of messages that were done long enough ago. What fails stays for the next time."""
        limit = monotonic() - GRACE
        for key in [key for key, done in list(self._handled.items()) if done < limit]:
            try:
                self.bucket.delete(key)
            except ServiceError:  # the lifecycle rule is there for this, too
                continue
            self._handled.pop(key, None)
