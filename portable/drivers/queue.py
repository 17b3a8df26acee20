"""What stands behind a Queue."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Protocol
else:
    Protocol = object

__all__ = ["QueueDriver", "Received", "SendFailure"]


class Received:
    """A message as a pull gave it. ``receipt`` is what ``acknowledge`` and ``retry`` take; it ends with the lease.

    ``body`` is the text as sent. ``attempt`` is 1 on the first delivery.
    """

    __slots__ = ("attempt", "attributes", "body", "group", "id", "receipt", "sent_at")

    def __init__(
        self,
        id: str,
        body: str,
        receipt: Any,
        attributes: dict[str, str] | None = None,
        attempt: int = 1,
        sent_at: datetime | None = None,
        group: str | None = None,
    ) -> None:
        self.id = id
        self.body = body
        self.receipt = receipt
        self.attributes = {} if attributes is None else attributes
        self.attempt = attempt
        self.sent_at = sent_at
        self.group = group


class SendFailure:
    """One body of a ``send_many`` that was not accepted: its position and why."""

    __slots__ = ("error", "index")

    def __init__(self, index: int, error: Exception) -> None:
        self.index = index
        self.error = error

    def __repr__(self) -> str:
        return f"<SendFailure {self.index}: {self.error}>"


class QueueDriver(Protocol):
    """Messages of text, delivered at least once. A body is a str that UTF-8 can write; attributes are strings.

    The portable type asks for a group only of a queue declared ``ordered``, and for a deduplication id only of one
    declared ``dedup``: ``resource.options`` holds ``ordered`` and ``dedup`` where they are declared. What cannot be had
    raises UnsupportedError, and the adapter's ``CAPABILITIES["queue"]`` says it.

    After ``resource.options["max_attempts"]`` deliveries that were given back, or whose lease ended, a message is
    moved to the dead-letter queue, by the cloud or by this driver.

    ``acknowledge_many(batch)`` may be left out: it is ``acknowledge`` for each message, in fewer calls.
    """

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """Whether the queue takes a message of this size. Asks nobody."""

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        """Accept one message and return its id; once this returns the message survives a crash.

        ``delay``: hidden at least this long. ``group``: messages of one group are received in the order sent, the next
        one after the last is acknowledged or dead, or in one batch. ``dedup``: a second message with this id, within
        the time the cloud remembers it, is accepted and dropped.

        Raises UnsupportedError for an option this queue cannot give, NotFoundError, PermissionDeniedError,
        UnavailableError (the message may have been accepted all the same).
        """

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """Accept each body on its own, in as few calls as the cloud allows; return those that were refused."""

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """Up to ``limit`` messages, waiting up to ``wait`` for the first; each hidden from others for ``lease``."""

    def acknowledge(self, received: Received) -> None:
        """The message is done. After the lease ended this may do nothing, and the message come back."""

    def retry(self, received: Received, after: timedelta | None) -> None:
        """Give the message back for another attempt, now or after a while; the attempt counts. After the last
        attempt it goes to the dead letters. After the lease ended this may do nothing.
        """

    def extend(self, received: Received, lease: timedelta) -> None:
        """Hide the message for ``lease`` from now on. ``received.receipt`` is replaced where the cloud gives a new one.

        Raises UnsupportedError, and NotFoundError where the cloud says that the lease had ended.
        """

    def depth(self) -> int:
        """About how many messages are not done: waiting, delayed or leased. Raises UnsupportedError."""

    def purge(self) -> None:
        """Drop every message, leased ones where the cloud can; not the dead letters. Raises UnsupportedError.

        A message sent while this runs may go or stay.
        """

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a copy on the dead-letter queue. Raises UnsupportedError where there is none."""

    def dead_letters(self, limit: int) -> list[Received]:
        """Look at dead letters without taking them for good. Raises UnsupportedError where there is none."""

    def redrive(self, limit: int | None) -> int:
        """Send up to ``limit`` dead letters to the queue again, for their attempts anew, and return how many.

        Each is sent first and removed from the dead letters then: a crash between duplicates it and loses nothing.
        Raises UnsupportedError.
        """

    def native(self) -> Any:
        """The vendor's own client or handle."""
