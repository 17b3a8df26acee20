"""Opens the drivers on NATS. They share one connection a server, see ``portable_nats._sdk``."""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource
    from portable_nats._sdk import Link

__all__ = ["KINDS", "NATSPlatform"]

KINDS = ("bucket", "cache", "queue", "table", "topic")


class NATSPlatform:
    """Queues and topics on streams, tables and caches on key-value streams, buckets on one of those and chunks.

    Args:
        environment: where addresses, servers and credentials are read from; None reads the process's own.
    """

    target = "nats"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._drivers: dict[tuple[Any, ...], Any] = {}
        self._link: Link | None = None
        self._lock = allocate_lock()

    def open(self, resource: Resource) -> Any:
        """The driver of a resource. Raises ConfigError: no address, no client library, or no driver for the kind."""
        if resource.kind not in KINDS:
            from portable.errors import ConfigError

            raise ConfigError(f"portable has no {resource.kind} on NATS ({resource})")
        key = (resource.kind, resource.name, repr(sorted(resource.options.items())))
        with self._lock:
            if self._link is None:
                from portable_nats._sdk import Link

                self._link = Link(self._environment)
            driver = self._drivers.get(key)
            if driver is None:
                driver = self._drivers[key] = self._make(resource, self._link)
        return driver

    def _make(self, resource: Resource, link: Link) -> Any:
        from portable.drivers import module_of

        if resource.kind == "cache" and not self._is_ours(resource):
            return module_of("portable_nats", "cache").open_driver(resource, self._environment)  # Redis, as everywhere
        import sys

        name = f"portable_nats.{resource.kind}"
        __import__(name)
        return sys.modules[name].open_driver(resource, self._environment, link)

    def _is_ours(self, resource: Resource) -> bool:
        from portable.drivers import read_address

        return read_address(resource.kind, resource.name, self._environment).partition("://")[0] in ("nats", "tls")

    def close(self) -> None:
        """Close every connection and end the thread that serves them. The drivers can be used again."""
        for driver in list(self._drivers.values()):
            driver.close()
        if self._link is not None:
            self._link.close()
