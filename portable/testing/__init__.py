"""What tests use: a client for an app's tests; the suites every driver has to pass, for adapters in this tree and
third parties alike.

Names are looked up on first use, so that importing this package imports no pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portable.testing.client import Client as Client
    from portable.testing.client import TestClient as TestClient
    from portable.testing.conformance import BucketConformance as BucketConformance
    from portable.testing.conformance import CacheConformance as CacheConformance
    from portable.testing.conformance import ConfigConformance as ConfigConformance
    from portable.testing.conformance import QueueConformance as QueueConformance
    from portable.testing.conformance import SecretConformance as SecretConformance
    from portable.testing.conformance import SocketsConformance as SocketsConformance
    from portable.testing.conformance import StreamConformance as StreamConformance
    from portable.testing.conformance import TableConformance as TableConformance
    from portable.testing.conformance import TopicConformance as TopicConformance
    from portable.testing.sockets import SocketClosedError as SocketClosedError
    from portable.testing.sockets import SocketRefusedError as SocketRefusedError
    from portable.testing.sockets import SocketSession as SocketSession

_HOME = {
    "BucketConformance": "portable.testing.conformance",
    "CacheConformance": "portable.testing.conformance",
    "Client": "portable.testing.client",
    "QueueConformance": "portable.testing.conformance",
    "SecretConformance": "portable.testing.conformance",
    "ConfigConformance": "portable.testing.conformance",
    "SocketsConformance": "portable.testing.conformance",
    "StreamConformance": "portable.testing.conformance",
    "TableConformance": "portable.testing.conformance",
    "SocketClosedError": "portable.testing.sockets",
    "SocketRefusedError": "portable.testing.sockets",
    "SocketSession": "portable.testing.sockets",
    "TestClient": "portable.testing.client",
    "TopicConformance": "portable.testing.conformance",
}

__all__ = [
    "BucketConformance",
    "CacheConformance",
    "Client",
    "ConfigConformance",
    "QueueConformance",
    "SecretConformance",
    "SocketClosedError",
    "SocketRefusedError",
    "SocketSession",
    "SocketsConformance",
    "StreamConformance",
    "TableConformance",
    "TestClient",
    "TopicConformance",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
