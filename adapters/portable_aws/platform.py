"""Opens AWS drivers at run time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["AWSPlatform"]


class AWSPlatform:
    """Buckets on S3, queues on SQS.

    Args:
        environment: where addresses, region, endpoint and credentials are read from; None reads the process's own,
            and leaves credentials to the SDK's usual chain.
    """

    target = "aws"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment
        self._open: list[Any] = []

    def open(self, resource: Resource) -> Any:
        """The driver of a bucket or a queue. Raises ConfigError: no address, no SDK, or no driver for the kind."""
        driver: Any
        if resource.kind == "bucket":
            from portable_aws.bucket import S3Bucket

            driver = S3Bucket(resource.name, self._environment)
        elif resource.kind == "queue":
            from portable_aws.queue import SQSQueue

            driver = SQSQueue(resource.name, self._environment)
        else:
            from portable.errors import ConfigError

            raise ConfigError(f"portable has no {resource.kind} on AWS ({resource})")
        self._open.append(driver)
        return driver

    def close(self) -> None:
        """Close every client. The drivers can be used again: they connect anew."""
        for driver in self._open:
            driver.close()
