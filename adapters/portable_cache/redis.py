"""Caches on Redis, with redis-py."""

from __future__ import annotations

from threading import Lock

from portable_cache._sdk import redis_client
from portable_cache.errors import translate
from portable_cache.retrying import retrying
from portable_cache.scripts import ADVANCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["RedisCache"]


class RedisCache:
    """See ``portable.drivers.cache``. ``space`` goes before every key."""

    def __init__(self, name: str, address: str, space: str) -> None:
        self._label = f"cache {name}"
        self._address = address
        self._space = space
        self._making = Lock()
        self._client: Any = None

    def get(self, key: str) -> bytes | None:
        """See ``portable.drivers.cache``."""
        found: bytes | None = retrying(lambda: self._call(key, lambda client: client.get(self._space + key)))
        return found

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See ``portable.drivers.cache``. One call, of one moment."""
        names = [self._space + key for key in keys]
        found: list[bytes | None] = retrying(lambda: self._call(None, lambda client: client.mget(names)))
        return found

    def set(self, key: str, value: bytes, ttl: int | None) -> None:
        """See ``portable.drivers.cache``."""
        retrying(lambda: self._call(key, lambda client: client.set(self._space + key, value, px=ttl)))

    def add(self, key: str, value: bytes, ttl: int | None) -> bool:
        """See ``portable.drivers.cache``."""
        return bool(self._call(key, lambda client: client.set(self._space + key, value, px=ttl, nx=True)))

    def delete(self, key: str) -> None:
        """See ``portable.drivers.cache``."""
        retrying(lambda: self._call(key, lambda client: client.delete(self._space + key)))

    def increment(self, key: str, by: int, ttl: int | None) -> int:
        """See ``portable.drivers.cache``. With a time to live it is a transaction of two commands, without a script:
        Lua's numbers are exact to 53 bits only.
        """
        name = self._space + key

        def call(client: Any) -> int:
            if ttl is None:
                alone: int = client.incrby(name, by)
                return alone
            with client.pipeline(transaction=True) as transaction:
                transaction.set(name, 0, px=ttl, nx=True)
                transaction.incrby(name, by)
                both: int | Exception = transaction.execute(raise_on_error=False)[1]
            if isinstance(both, Exception):
                raise both
            return both

        total: int = self._call(key, call)
        return total

    def advance(self, key: str, by: int, most: int) -> tuple[bool, int]:
        """See ``portable.drivers.cache``. One script, by the server's clock."""
        moved, ahead = self._call(key, lambda client: client.eval(ADVANCE, 1, self._space + key, by, most))
        return bool(moved), int(ahead)

    def native(self) -> Any:
        """The client of redis-py."""
        with self._making:
            if self._client is None:
                self._client = redis_client(self._address)
            return self._client

    def close(self) -> None:
        """Close its connections. The next use makes new ones."""
        with self._making:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _call(self, key: str | None, call: Callable[[Any], Any]) -> Any:
        client = self._client or self.native()
        try:
            return call(client)
        except Exception as error:
            raise translate(error, self._label, key) from error
