"""Registers the container target."""

from __future__ import annotations

from portable.hookspecs import Adapter, hookimpl


@hookimpl
def portable_adapters() -> list[Adapter]:
    """The adapters this plugin brings."""
    return [Adapter("container", "portable_container", "a container")]
