"""Registers the adapter."""

from __future__ import annotations

from portable.hookspecs import Adapter, hookimpl


@hookimpl
def portable_adapters() -> list[Adapter]:
    """Microsoft Azure: Functions, Blob Storage, Queue Storage."""
    return [Adapter("azure", "portable_azure", "Microsoft Azure")]
