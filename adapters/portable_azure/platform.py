"""Opens Azure's drivers, by addresses in ``PORTABLE_<KIND>_<NAME>``.

* a bucket: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``
* a queue: ``https://ACCOUNT.queue.core.windows.net/QUEUE``; ``PORTABLE_DEADLETTER_<NAME>`` only where its dead letters
  are not in ``QUEUE-poison``
"""

from __future__ import annotations

from threading import Lock

from portable.drivers import address_variable, read_address
from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["AzurePlatform"]


class AzurePlatform:
    """See ``portable.drivers.Platform``. ``environment`` is the process's when left out."""

    target = "azure"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        if environment is None:
            from os import environ

            environment = environ
        self._environment = environment
        self._open: dict[tuple[str, str], Any] = {}
        self._opening = Lock()

    def open(self, resource: Resource) -> Any:
        """The driver of a bucket or queue. Raises ConfigError without an address, or for another kind."""
        with self._opening:
            driver = self._open.get((resource.kind, resource.name))
            if driver is None:
                driver = self._open[resource.kind, resource.name] = self._driver(resource)
        return driver

    def _driver(self, resource: Resource) -> Any:
        if resource.kind == "queue":
            from portable_azure.queue import AzureQueue, poison_address

            address = read_address("queue", resource.name, self._environment)
            dead_letters = self._environment.get(address_variable("deadletter", resource.name))
            return AzureQueue(resource.name, address, dead_letters or poison_address(address), self._environment)
        if resource.kind == "bucket":
            from portable_azure.bucket import AzureBucket

            return AzureBucket(
                resource.name, read_address("bucket", resource.name, self._environment), self._environment
            )
        raise ConfigError(f"{resource} cannot be had on Azure yet")

    def close(self) -> None:
        """Close every client."""
        with self._opening:
            for driver in self._open.values():
                driver.close()
            self._open = {}
