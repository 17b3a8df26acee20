"""Opens the drivers of Google Cloud."""

from __future__ import annotations

import os
from threading import Lock

from portable.drivers import module_of
from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["KINDS", "GoogleCloud"]

KINDS = ("bucket", "cache", "config", "queue", "secret", "sockets", "table", "topic")


class GoogleCloud:
    """See ``portable.drivers.Platform``. Each kind's driver is in the module that bears its name.

    Credentials are Google's Application Default Credentials; ``STORAGE_EMULATOR_HOST`` and ``PUBSUB_EMULATOR_HOST`` of
    ``environment`` lead to emulators, without credentials.
    """

    target = "gcp"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._drivers: dict[tuple[str, str], Any] = {}
        self._lock = Lock()

    def open(self, resource: Resource) -> Any:
        """The driver of a resource, one for each name. Raises ConfigError: no address, no SDK, no such kind."""
        key = (resource.kind, resource.name)
        with self._lock:
            driver = self._drivers.get(key)
            if driver is None:
                if resource.kind not in KINDS:
                    raise ConfigError(f"portable has no {resource.kind} on Google Cloud ({resource})")
                driver = module_of("portable_gcp", resource.kind).open_driver(resource, self._environment)
                self._drivers[key] = driver
        return driver

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            drivers, self._drivers = list(self._drivers.values()), {}
        for driver in drivers:
            driver.close()
