"""The only PluginManager. No deployed function imports it."""

from __future__ import annotations

from functools import cache

import pluggy

from portable import hookspecs
from portable.errors import ConfigError
from portable.hookspecs import Adapter

__all__ = ["adapter", "adapters"]


@cache
def manager() -> pluggy.PluginManager:
    """The manager with every installed plugin. Broken plugins raise here, naming the distribution."""
    found = pluggy.PluginManager("portable")
    found.add_hookspecs(hookspecs)
    found.load_setuptools_entrypoints("portable")
    found.check_pending()
    return found


def adapters() -> dict[str, Adapter]:
    """Every installed adapter by its name. Raises ConfigError when two bear one name."""
    found: dict[str, Adapter] = {}
    for brought in manager().hook.portable_adapters():
        for one in brought:
            if one.name in found:
                raise ConfigError(
                    f"two plugins bring an adapter {one.name!r}: {found[one.name].package}, {one.package}"
                )
            found[one.name] = one
    return dict(sorted(found.items()))


def adapter(name: str) -> Adapter:
    """The adapter of a target. Raises ConfigError naming those there are."""
    found = adapters()
    if name not in found:
        raise ConfigError(f"no target {name!r}; there are {', '.join(found)}")
    return found[name]
