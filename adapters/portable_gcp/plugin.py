"""Registers the Google Cloud adapter."""

from __future__ import annotations

from portable.hookspecs import Adapter, hookimpl


@hookimpl
def portable_adapters() -> list[Adapter]:
    """The adapters this plugin brings."""
    return [Adapter("gcp", "portable_gcp", "Google Cloud")]
