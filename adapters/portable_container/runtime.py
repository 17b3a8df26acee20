"""The platform whose drivers a container uses: the one the bundle was built for."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portable.drivers import Platform

__all__ = ["PLATFORM", "PLATFORMS", "platform"]

PLATFORM = "PORTABLE_PLATFORM"
"""The variable that names it, for those who are in no bundle."""

PLATFORMS = ("local", "aws", "gcp", "azure", "nats")


def platform(environment: Mapping[str, str] | None = None, name: str | None = None) -> Platform:
    """The drivers of a platform: of ``name``, else of ``PORTABLE_PLATFORM``, else this machine's.

    Raises ConfigError for one that there is not, or that is not in the bundle.
    """
    from os import environ

    known = environ if environment is None else environment
    chosen = name or known.get(PLATFORM) or PLATFORMS[0]
    module = f"portable_{chosen}.runtime"
    try:
        if chosen not in PLATFORMS:
            raise ModuleNotFoundError(name=module)
        __import__(module)  # by name: adapters do not import one another, and a bundle has one of them
    except ModuleNotFoundError as error:
        if error.name not in (module, f"portable_{chosen}"):
            raise
        from portable.errors import ConfigError

        raise ConfigError(f"this bundle has no drivers of {chosen!r}: it is built with --platform {chosen}") from error
    opened: Platform = sys.modules[module].platform(environment)
    return opened
