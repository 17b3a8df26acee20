"""What a pull worker gets from a queue: messages that it acknowledges, gives back or keeps for longer."""

from __future__ import annotations

from portable.errors import Reject, Retry
from portable.events import Message
from portable.generics import Generic, T
from portable.resources import on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from portable.drivers import Received
    from portable.resources.queue import Queue

__all__ = ["Delivery", "Letter"]


def _read_body(letter: Any) -> Any:
    if isinstance(letter._text, Exception):
        raise letter._text
    return letter._queue.decode(letter._text)


class Letter(Message[T], Generic[T]):
    """A message whose body is decoded on first use: one that does not fit the queue's type keeps no other from you.

    ``body`` raises ValueError naming the field, or the ServiceError that its blob could not be read with.
    """

    __slots__ = ("_queue", "_text")
    _lazy = {**Message._lazy, "body": _read_body}

    def __init__(self, queue: Queue[T], received: Received, text: str | Exception) -> None:
        # `body` stays unset: Lazy computes it.
        self.id = received.id
        self.attributes = received.attributes
        self.attempt = received.attempt
        self.sent_at = received.sent_at
        self.group = received.group
        self.native = received
        self._queue = queue
        self._text = text


class Delivery(Letter[T], Generic[T]):
    """A message leased to you by ``Queue.receive``. Finish it, or it comes back when its lease ends.

    Every method has an async twin: ``aack``, ``anack``, ``aextend``. ``with delivery:`` (or ``async with``) does it by
    itself: the end of the block acknowledges, ``Retry`` gives the message back, ``Reject`` makes it a dead letter
    (both end there), and any other error gives it back and goes on.
    """

    __slots__ = ()

    def ack(self) -> None:
        """The message is done. After the lease ended this may do nothing, and the message come back."""
        self._queue.driver().acknowledge(self.native)
        self._queue.drop_large(self.native.body)

    async def aack(self) -> None:
        """See :meth:`ack`."""
        await self._queue._await("acknowledge", self.native)
        if self._queue.is_large(self.native.body):
            await on_thread(self._queue.drop_large, self.native.body)

    def nack(self, after: timedelta | None = None) -> None:
        """Give the message back for another attempt, at once or after a while. The attempt counts, and after the last
        one the message goes to the dead letters. UnsupportedError for a while that the cloud cannot give.
        """
        self._queue.driver().retry(self.native, after)

    async def anack(self, after: timedelta | None = None) -> None:
        """See :meth:`nack`."""
        await self._queue._await("retry", self.native, after)

    def extend(self, lease: timedelta) -> None:
        """Keep the message for ``lease`` from now on. NotFoundError where the cloud says the lease had ended."""
        self._queue.driver().extend(self.native, lease)

    async def aextend(self, lease: timedelta) -> None:
        """See :meth:`extend`."""
        await self._queue._await("extend", self.native, lease)

    def __enter__(self) -> Delivery[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            self.ack()
        elif isinstance(error, Reject):  # a copy first: a crash between the two duplicates
            self._queue.driver().dead_letter(self.native.body, self.attributes)
            self._queue.driver().acknowledge(self.native)
        else:
            self.nack(error.after if isinstance(error, Retry) else None)
        return isinstance(error, (Retry, Reject))

    async def __aenter__(self) -> Delivery[T]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            await self.aack()
        elif isinstance(error, Reject):
            await self._queue._await("dead_letter", self.native.body, self.attributes)
            await self._queue._await("acknowledge", self.native)
        else:
            await self.anack(error.after if isinstance(error, Retry) else None)
        return isinstance(error, (Retry, Reject))
