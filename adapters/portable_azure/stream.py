"""Streams on Event Hubs: ``sb://NAMESPACE.servicebus.windows.net/HUB``. They are handled, and not sent to."""

from __future__ import annotations

from portable.drivers import read_address
from portable.errors import ConfigError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from portable.drivers import SendFailure, StoredRecord
    from portable.resources import Resource

__all__ = ["EventHub", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> EventHub:
    """The driver of a declared stream. Raises ConfigError without an address."""
    address = read_address("stream", resource.name, environment)
    if not address.startswith("sb://"):
        raise ConfigError(
            f"the address of stream {resource.name!r} is sb://NAMESPACE.servicebus.windows.net/HUB, not {address!r}"
        )
    return EventHub(resource.name)


class EventHub:
    """One event hub: its trigger brings the records."""

    def __init__(self, name: str) -> None:
        self._label = f"stream {name}"

    def _refuse(self) -> UnsupportedError:
        return UnsupportedError(
            "an event hub can be handled here, and is written to with azure-eventhub: nothing that speaks its protocol "
            "runs on a development machine, so a driver would be unproven",
            resource=self._label,
        )

    def send_many(self, records: Sequence[tuple[str, bytes]]) -> list[SendFailure]:  # noqa: ARG002
        """Raises UnsupportedError."""
        raise self._refuse()

    def partitions(self) -> list[str]:
        """None that could be read here."""
        return []

    def read(self, partition: str, after: str | None, limit: int) -> list[StoredRecord]:  # noqa: ARG002
        """Raises UnsupportedError."""
        raise self._refuse()

    def native(self) -> Any:
        """Raises UnsupportedError."""
        raise self._refuse()

    def close(self) -> None:
        """Nothing is open."""
