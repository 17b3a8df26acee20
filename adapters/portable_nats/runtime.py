"""NATS's drivers. NATS runs no functions: compute is a container's, and there is no ``entry`` here."""

from __future__ import annotations

from portable_nats.platform import NATSPlatform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portable.drivers import Platform

__all__ = ["platform"]


def platform(environment: Mapping[str, str] | None = None) -> Platform:
    """NATS's drivers. ``environment``: addresses, servers and credentials; None reads the process's own."""
    return NATSPlatform(environment)
