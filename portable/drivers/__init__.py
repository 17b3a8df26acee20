"""What an adapter implements: one Protocol a kind of resource, and the Platform that opens them.

A driver does only what its cloud must. Argument checks, encoding of bodies, async twins and the names in error
messages live once, in the portable types of ``portable.resources``. A driver translates its vendor's errors into the
classes of ``portable.errors`` with ``raise … from``, and retries nothing that is not idempotent.

Every driver is safe under threads. An async twin (``aread`` …) is optional: where a driver has none, the portable type
calls the sync method on a bounded thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from portable.drivers.bucket import BlobInfo as BlobInfo
    from portable.drivers.bucket import BucketDriver as BucketDriver
    from portable.drivers.bucket import Chunks as Chunks
    from portable.drivers.bucket import DeleteFailure as DeleteFailure
    from portable.drivers.bucket import SignedURL as SignedURL
    from portable.drivers.cache import CacheDriver as CacheDriver
    from portable.drivers.config import ConfigDriver as ConfigDriver
    from portable.drivers.config import ConfigText as ConfigText
    from portable.drivers.queue import QueueDriver as QueueDriver
    from portable.drivers.queue import Received as Received
    from portable.drivers.queue import SendFailure as SendFailure
    from portable.drivers.secret import SecretDriver as SecretDriver
    from portable.drivers.secret import SecretVersion as SecretVersion
    from portable.drivers.sockets import SocketsDriver as SocketsDriver
    from portable.drivers.stream import StoredRecord as StoredRecord
    from portable.drivers.stream import StreamDriver as StreamDriver
    from portable.drivers.table import Row as Row
    from portable.drivers.table import Rows as Rows
    from portable.drivers.table import Schema as Schema
    from portable.drivers.table import Sort as Sort
    from portable.drivers.table import TableDriver as TableDriver
    from portable.drivers.table import TableQuery as TableQuery
    from portable.drivers.table import Write as Write
    from portable.drivers.topic import SubscriptionDriver as SubscriptionDriver
    from portable.drivers.topic import TopicDriver as TopicDriver
    from portable.resources import Resource
else:
    Protocol = object

__all__ = [
    "SHARED",
    "BlobInfo",
    "BucketDriver",
    "CacheDriver",
    "Chunks",
    "ConfigDriver",
    "ConfigText",
    "DeleteFailure",
    "Platform",
    "QueueDriver",
    "Received",
    "Row",
    "Rows",
    "Schema",
    "SecretDriver",
    "SecretVersion",
    "SendFailure",
    "SignedURL",
    "SocketsDriver",
    "Sort",
    "StoredRecord",
    "StreamDriver",
    "SubscriptionDriver",
    "TableDriver",
    "TableQuery",
    "TopicDriver",
    "Write",
    "module_of",
]

_HOME = {
    "BlobInfo": "bucket",
    "BucketDriver": "bucket",
    "Chunks": "bucket",
    "DeleteFailure": "bucket",
    "SignedURL": "bucket",
    "CacheDriver": "cache",
    "ConfigDriver": "config",
    "ConfigText": "config",
    "QueueDriver": "queue",
    "Received": "queue",
    "SendFailure": "queue",
    "SecretDriver": "secret",
    "SecretVersion": "secret",
    "StoredRecord": "stream",
    "StreamDriver": "stream",
    "SocketsDriver": "sockets",
    "SubscriptionDriver": "topic",
    "TopicDriver": "topic",
    "Row": "table",
    "Rows": "table",
    "Schema": "table",
    "Sort": "table",
    "TableDriver": "table",
    "TableQuery": "table",
    "Write": "table",
}


if not TYPE_CHECKING:

    def __getattr__(name):  # noqa: ANN001, ANN202 - each kind is imported by those who use it
        module = _HOME.get(name)
        if module is None:
            raise AttributeError(f"module 'portable.drivers' has no attribute {name!r}")
        import sys

        __import__(f"portable.drivers.{module}")
        return getattr(sys.modules[f"portable.drivers.{module}"], name)


SHARED: Mapping[str, str] = {"cache": "portable_cache"}
"""Kinds that are the same on every platform, and the package of their drivers: a cache is found by its address, not by
the cloud. A table here, so that nothing deployed looks for plugins. A bundle has such a package when its app has the
kind.
"""


def module_of(adapter: str, kind: str) -> Any:
    """``portable_aws.bucket`` for ``portable_aws`` and ``bucket``: where the drivers of a kind are."""
    import sys

    name = f"{SHARED.get(kind, adapter)}.{kind}"
    __import__(name)
    return sys.modules[name]


class Platform(Protocol):
    """Opens one cloud's drivers at run time. Made once an instance; safe under threads; opens nothing by itself."""

    target: str

    def open(self, resource: Resource) -> Any:
        """The driver of a declared resource. Raises ConfigError when its address is not in the environment,
        or the extra with the SDK is not installed (the message says what to type).
        """

    def close(self) -> None:
        """Close every client. The platform can be used again: it opens anew."""


def address_variable(kind: str, name: str) -> str:
    """The environment variable that holds a resource's address: ``PORTABLE_BUCKET_UPLOADS``.

    ``kind`` is one word; names have no underscore and no upper case, so two names never share a variable.
    """
    return f"PORTABLE_{kind.upper()}_{name.upper().replace('-', '_')}"


def read_address(kind: str, name: str, environment: Mapping[str, str] | None = None) -> str:
    """The address of a resource from the environment. Raises ConfigError naming the variable."""
    import os

    from portable.errors import ConfigError

    variable = address_variable(kind, name)
    address = (os.environ if environment is None else environment).get(variable)
    if not address:
        raise ConfigError(
            f"{kind} {name!r} has no address: the environment variable {variable} is not set. "
            "A deployment sets it on the functions that use the resource; see docs/reference/addresses.md"
        )
    return address
