"""What stands behind a Topic."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any, Protocol

    from portable.drivers.queue import Received, SendFailure
else:
    Protocol = object

__all__ = ["SubscriptionDriver", "TopicDriver"]


class SubscriptionDriver(Protocol):
    """One subscription's own copies of a topic's messages; a QueueDriver that nothing is sent to.

    Every method raises NotFoundError for a subscription that is not there, PermissionDeniedError, UnavailableError.
    """

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """Up to ``limit`` messages, waiting up to ``wait`` for the first; each hidden from others for ``lease``."""

    def acknowledge(self, received: Received) -> None:
        """Done, for this subscription. After the lease ended this may do nothing, and the message come back."""

    def retry(self, received: Received, after: timedelta | None) -> None:
        """Give the message back for another attempt, now or after a while; the attempt counts."""

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Put a copy among this subscription's dead letters. Raises UnsupportedError where it has none."""

    def dead_letters(self, limit: int) -> list[Received]:
        """Look at dead letters without taking them for good. Raises UnsupportedError where there are none."""


class TopicDriver(Protocol):
    """Messages of text, each copied to every subscription whose filter it fits, and delivered there at least once.

    A message that no subscription wants is dropped, as is one published before there was any. Which subscriptions
    there are, and their filters, is the deployment's business: a driver makes none by itself.
    """

    def publish(self, body: str, *, attributes: Mapping[str, str], group: str | None) -> str:
        """Accept one message and return its id; once this returns it reaches every subscription, whatever crashes.

        The id a subscriber sees may be another one. ``group`` comes only for a topic declared as ordered.

        Raises UnsupportedError for what this topic cannot give and for a body that is too large, NotFoundError,
        PermissionDeniedError, UnavailableError (the message may have been accepted all the same).
        """

    def publish_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """Accept each body on its own, in as few calls as the cloud allows; return those that were refused."""

    def subscription(self, name: str) -> SubscriptionDriver:
        """The subscription of one function, by the function's name. Opened once; it need not exist yet.

        Raises ConfigError without an address where the cloud needs one.
        """

    def native(self) -> Any:
        """The vendor's own client or handle."""
