"""Caches on JetStream's key-value streams. The address names the bucket.

A value begins with eight bytes: when it ends, in milliseconds since the epoch by the writer's clock, or 0. The server
removes nothing by that; what has ended is a miss, and lies there until it is overwritten or makes room for others.
"""

from __future__ import annotations

from time import time

from portable.errors import UnavailableError, UnsupportedError
from portable_nats._sdk import JetStreamError
from portable_nats.keys import read_place, token_of
from portable_nats.store import WRONG_REVISION, Store
from portable_nats.together import together
from portable_nats.twins import Twins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portable.resources import Resource
    from portable_nats._sdk import Link, Server
    from portable_nats.store import Value

__all__ = ["CacheCalls", "open_driver"]

ATTEMPTS = 200  # of a call that meets other writers of its key again and again
AT_ONCE = 64
GREATEST = 2**63
_HEAD = 8


def open_driver(resource: Resource, environment: Mapping[str, str] | None, link: Link) -> Twins:
    """The driver of a declared cache. Raises ConfigError without an address."""
    urls, bucket = read_place("cache", resource.name, environment)
    return Twins(link, CacheCalls(str(resource), link.server(urls), bucket), name_of=_key_in)


def _key_in(first: object) -> str | None:
    return first if isinstance(first, str) else None


class CacheCalls:
    """One cache, as coroutines. The server decides whether a value is still the one that was seen."""

    def __init__(self, label: str, server: Server, bucket: str) -> None:
        self.label = label
        self.server = server
        self._store = Store(server, bucket)

    async def get(self, key: str) -> bytes | None:
        """See ``portable.drivers``."""
        return _living(await self._store.find(token_of(key)))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See ``portable.drivers``. A call a key."""
        return await together(self.get, keys, AT_ONCE)

    async def set(self, key: str, value: bytes, ttl: int | None) -> None:
        """See ``portable.drivers``."""
        await self._store.put(token_of(key), _head(ttl) + value, None)

    async def add(self, key: str, value: bytes, ttl: int | None) -> bool:
        """See ``portable.drivers``. After a lost answer it is sent again, and the server knows it."""
        for _ in range(ATTEMPTS):
            old = await self._store.find(token_of(key))
            if _living(old) is not None:
                return False
            if await self._replaces(key, _head(ttl) + value, old):
                return True
        raise self._crowded(key)

    async def delete(self, key: str) -> None:
        """See ``portable.drivers``."""
        await self._store.clear(token_of(key))

    async def increment(self, key: str, by: int, ttl: int | None) -> int:
        """See ``portable.drivers``. As :meth:`add`."""
        for _ in range(ATTEMPTS):
            old = await self._store.find(token_of(key))
            have = _living(old)
            total = (0 if have is None else self._integer(key, have)) + by
            if not -GREATEST <= total < GREATEST:
                raise UnsupportedError("the sum is no integer of 64 bits", resource=self.label, key=key)
            head = _head(ttl) if have is None or old is None or old.data is None else old.data[:_HEAD]
            if await self._replaces(key, head + b"%d" % total, old):
                return total
        raise self._crowded(key)

    async def advance(self, key: str, by: int, most: int) -> tuple[bool, int]:
        """See ``portable.drivers``. As :meth:`add`, by this machine's clock."""
        for _ in range(ATTEMPTS):
            old = await self._store.find(token_of(key))
            have = _living(old)
            now = int(time() * 1_000_000)
            ahead = max(0 if have is None else self._integer(key, have) - now, 0)
            if ahead + by > most:
                return False, ahead
            ahead += by
            if await self._replaces(key, _head(-(-ahead // 1000)) + b"%d" % (now + ahead), old):
                return True, ahead
        raise self._crowded(key)

    async def _replaces(self, key: str, data: bytes, old: Value | None) -> bool:
        try:
            await self._store.put(token_of(key), data, 0 if old is None else old.revision)
        except JetStreamError as error:
            if error.err_code not in WRONG_REVISION:
                raise
            return False
        return True

    def _integer(self, key: str, data: bytes) -> int:
        try:
            number = int(data)
        except ValueError:
            number = GREATEST
        if b"%d" % number != data or not -GREATEST <= number < GREATEST:
            raise UnsupportedError("the value is no integer of 64 bits", resource=self.label, key=key)
        return number

    def _crowded(self, key: str) -> UnavailableError:
        return UnavailableError("too many others write this key", resource=self.label, key=key)


def _head(ttl: int | None) -> bytes:
    return (0 if ttl is None else int(time() * 1000) + ttl).to_bytes(_HEAD, "big")


def _living(value: Value | None) -> bytes | None:
    if value is None or value.data is None:
        return None
    end = int.from_bytes(value.data[:_HEAD], "big")
    return value.data[_HEAD:] if end == 0 or end > time() * 1000 else None
