"""Streams on Event Hubs: ``sb://NAMESPACE.servicebus.windows.net/HUB``. They are handled, and not sent to."""

from __future__ import annotations

from portable.drivers import read_address
from portable.drivers.stream import HandledStream
from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portable.resources import Resource

__all__ = ["open_driver"]

ADVICE = (
    "an event hub can be handled here, and is written to with azure-eventhub: nothing that speaks its protocol runs on "
    "a development machine, so a driver would be unproven"
)


def open_driver(resource: Resource, environment: Mapping[str, str]) -> HandledStream:
    """The driver of a declared stream. Raises ConfigError without an address."""
    address = read_address("stream", resource.name, environment)
    if not address.startswith("sb://"):
        raise ConfigError(
            f"the address of stream {resource.name!r} is sb://NAMESPACE.servicebus.windows.net/HUB, not {address!r}"
        )
    return HandledStream(resource.name, ADVICE)
