"""Opens Azure's drivers, each from the module that bears its kind's name, by addresses in ``PORTABLE_<KIND>_<NAME>``.

* a bucket: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``
* a queue: ``https://ACCOUNT.queue.core.windows.net/QUEUE``; ``PORTABLE_DEADLETTER_<NAME>`` only where its dead letters
  are not in ``QUEUE-poison``
* a stream: ``sb://NAMESPACE.servicebus.windows.net/HUB``, an event hub
* a table: ``https://ACCOUNT.documents.azure.com/dbs/DATABASE/colls/CONTAINER``
* sockets: ``https://NAME.webpubsub.azure.com/hubs/HUB``
"""

from __future__ import annotations

from threading import Lock

from portable.drivers import module_of
from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["KINDS", "AzurePlatform"]

KINDS = ("bucket", "cache", "config", "queue", "secret", "sockets", "stream", "table", "topic")


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
        """The driver of a resource. Raises ConfigError: no address, no SDK, no such kind."""
        with self._opening:
            driver = self._open.get((resource.kind, resource.name))
            if driver is None:
                if resource.kind not in KINDS:
                    raise ConfigError(f"portable has no {resource.kind} on Azure ({resource})")
                driver = module_of("portable_azure", resource.kind).open_driver(resource, self._environment)
                self._open[resource.kind, resource.name] = driver
        return driver

    def close(self) -> None:
        """Close every client."""
        with self._opening:
            for driver in self._open.values():
                driver.close()
            self._open = {}
