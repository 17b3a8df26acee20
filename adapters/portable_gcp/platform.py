"""Opens the drivers of Google Cloud."""

from __future__ import annotations

import os
from threading import Lock

from portable.drivers import address_variable, read_address
from portable.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["GoogleCloud"]


class GoogleCloud:
    """See ``portable.drivers.Platform``.

    Credentials are Google's Application Default Credentials; ``STORAGE_EMULATOR_HOST`` and ``PUBSUB_EMULATOR_HOST`` of
    ``environment`` lead to emulators, without credentials.
    """

    target = "gcp"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._drivers: dict[tuple[str, str], Any] = {}
        self._lock = Lock()

    def open(self, resource: Resource) -> Any:
        """The driver of a resource, one for each name."""
        key = (resource.kind, resource.name)
        with self._lock:
            driver = self._drivers.get(key)
            if driver is None:
                driver = self._drivers[key] = self._open(*key)
        return driver

    def _open(self, kind: str, name: str) -> Any:
        if kind == "queue":
            from portable_gcp.queue import PubSubQueue

            address = read_address(kind, name, self._environment)
            dead_letters = self._environment.get(address_variable("deadletter", name)) or None
            return PubSubQueue(name, address, dead_letters, self._environment)
        if kind == "bucket":
            from portable_gcp.bucket import StorageBucket

            return StorageBucket(name, read_address(kind, name, self._environment), self._environment)
        raise UnsupportedError("Google Cloud has no driver for it", resource=f"{kind} {name}")

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            drivers, self._drivers = list(self._drivers.values()), {}
        for driver in drivers:
            driver.close()
