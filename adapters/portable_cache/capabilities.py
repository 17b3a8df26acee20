"""What the drivers of caches give, see ``portable.capabilities``: by the scheme of the address, not by the cloud."""

from __future__ import annotations

from portable.capabilities import Capabilities, native, refused
from portable_cache import limits

__all__ = ["CAPABILITIES"]

_REDIS_SET = "https://redis.io/docs/latest/commands/set"

CAPABILITIES: Capabilities = {
    "redis": {
        "shared": native("by every instance that has the address", source="tests here, against a real Redis"),
        "add_bytes": native("SET … NX takes any bytes", source=_REDIS_SET),
    },
    "upstash": {
        "shared": native(
            "by every instance that has the address",
            source="https://upstash.com/docs/redis/features/restapi; here against a real Redis behind a server of ours",
        ),
        "add_bytes": refused(
            "add() of bytes that are no UTF-8: what is no text goes in the body of one command, without NX; "
            "store text or JSON, or reach the same database by rediss://",
            source="https://upstash.com/docs/redis/features/restapi",
        ),
    },
    "memory": {
        "shared": refused(
            f"each instance has its own, {limits.MEMORY_ENTRIES} entries or {limits.MEMORY_BYTES} bytes at most; "
            "give the cache an address of a Redis",
            source="portable_cache.memory",
        ),
        "add_bytes": native("", source="portable_cache.memory"),
    },
}
