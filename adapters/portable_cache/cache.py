"""Opens a cache by its address, on every platform.

* ``redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]``, ``rediss://…`` with TLS: any Redis or Valkey that answers at one
  address (ElastiCache and MemoryDB with cluster mode disabled or serverless, Memorystore, Azure Cache, your own)
* ``https://:TOKEN@HOST``: Upstash's REST interface; the token may be in ``UPSTASH_REDIS_REST_TOKEN`` instead
* ``memory:``: this process, which shares nothing with another instance

``?prefix=TEXT`` at the end of the first two goes before every key, for a server that several deployments share.
"""

from __future__ import annotations

from portable.drivers import address_variable, read_address
from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str] | None, default: str | None = None) -> Any:
    """The driver of a declared cache. Raises ConfigError without an address and a default, or for one of no such form.

    Errors never hold the address: it may hold a password.
    """
    from os import environ

    known = environ if environment is None else environment
    variable = address_variable("cache", resource.name)
    address = known.get(variable) or default or read_address("cache", resource.name, known)
    base, _, prefix = address.partition("?prefix=")
    space = f"{prefix}:{resource.name}:" if prefix else f"{resource.name}:"
    scheme = base.partition(":")[0].lower()
    if "?" in base:
        raise ConfigError(f"{variable} has an option after '?' that is not known: only prefix=TEXT is")
    if scheme in ("redis", "rediss"):
        from portable_cache.redis import RedisCache

        return RedisCache(resource.name, base, space)
    if scheme in ("http", "https"):
        from portable_cache.upstash import UpstashCache

        return UpstashCache(resource.name, base, space, known.get("UPSTASH_REDIS_REST_TOKEN") or "")
    if base == "memory:":
        from portable_cache.memory import MemoryCache

        return MemoryCache(resource.name)
    raise ConfigError(f"{variable} is no address of a cache: redis://…, rediss://…, https://… or memory:")
