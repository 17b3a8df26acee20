"""Registers the adapter; imports nothing else of it."""

from __future__ import annotations

from portable.hookspecs import Adapter, hookimpl

__all__ = ["portable_adapters"]


@hookimpl
def portable_adapters() -> list[Adapter]:
    """The NATS adapter."""
    return [Adapter("nats", "portable_nats", "NATS JetStream")]
