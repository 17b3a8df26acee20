"""Opens AWS drivers at run time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["KINDS", "AWSPlatform"]

KINDS = ("bucket", "cache", "config", "queue", "secret", "sockets", "stream", "table", "topic")


class AWSPlatform:
    """Buckets on S3, queues on SQS. Each kind's driver is in the module that bears its name.

    Args:
        environment: where addresses, region, endpoint and credentials are read from; None reads the process's own,
            and leaves credentials to the SDK's usual chain.
    """

    target = "aws"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._drivers: dict[tuple[str, str], Any] = {}

    def open(self, resource: Resource) -> Any:
        """The driver of a resource. Raises ConfigError: no address, no SDK, or no driver for the kind."""
        known = self._drivers.get((resource.kind, resource.name))
        if known is not None:
            return known
        driver = self._make(resource)
        return self._drivers.setdefault((resource.kind, resource.name), driver)

    def _make(self, resource: Resource) -> Any:
        if resource.kind not in KINDS:
            from portable.errors import ConfigError

            raise ConfigError(f"portable has no {resource.kind} on AWS ({resource})")
        from portable.drivers import module_of

        return module_of("portable_aws", resource.kind).open_driver(resource, self._environment)

    def close(self) -> None:
        """Close every client. The drivers can be used again: they connect anew."""
        for driver in self._drivers.values():
            driver.close()
