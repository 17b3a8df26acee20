"""This machine, as a target."""

from portable.hookspecs import Adapter, hookimpl


@hookimpl
def portable_adapters() -> list[Adapter]:
    """The local adapter."""
    return [Adapter("local", "portable_local", "this machine")]
