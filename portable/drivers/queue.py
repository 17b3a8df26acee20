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
    """Messages of text, delivered at least once. A body is JSON in UTF-8; attributes are strings."""

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
        """Give the message back for another attempt, now or after a while; the attempt counts."""

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a copy on the dead-letter queue. Raises UnsupportedError where there is none."""

    def dead_letters(self, limit: int) -> list[Received]:
        """Look at dead letters without taking them for good. Raises UnsupportedError where there is none."""

    def native(self) -> Any:
        """The vendor's own client or handle."""
