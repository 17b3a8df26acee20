"""Caches: values by key that may be gone at any time."""

from __future__ import annotations

from portable.errors import ConfigError, ServiceError
from portable.generics import Generic, T
from portable.resources import Resource, declared_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from typing import Any, overload

    from portable.drivers import CacheDriver

__all__ = ["Cache", "Taken"]

KEY_BYTES = 512
LARGEST = 1 << 63  # what Redis counts in is a signed integer of 64 bits
LONGEST = 10 * 366 * 86_400_000  # milliseconds: ten years; more is a mistake of units


class Taken:
    """What became of an attempt to take tokens out of a bucket; spans in seconds.

    Attributes:
        allowed: whether they were taken. remaining: tokens that are left.
        retry_after: until as many are there; 0 where they were taken. full_after: until the bucket is full.
    """

    __slots__ = ("allowed", "full_after", "remaining", "retry_after")

    def __init__(self, limit: int, cost: int, interval: int, allowed: bool, ahead: int) -> None:
        most = limit * interval
        self.allowed = allowed
        self.remaining = max(most - ahead, 0) // interval
        self.retry_after = 0.0 if allowed else max(ahead + cost * interval - most, 0) / 1_000_000
        self.full_after = ahead / 1_000_000

    def __repr__(self) -> str:
        return f"<Taken {self.allowed}, {self.remaining} left, full in {self.full_after:g} s>"


class Cache(Resource, Generic[T]):
    """Values of type ``T`` by key, each for a while. Any of them may be gone at any time: keep nothing here only.

    Every method has an async twin with the prefix ``a``. A key is a str of 1 to 512 bytes in UTF-8. Values travel as
    bytes: those of type ``bytes`` as they are, of ``str`` as UTF-8, all others as JSON. None cannot be stored: it is
    what a miss gives.

    ``increment`` and ``add`` are atomic and never tried twice, so an UnavailableError of theirs leaves open whether
    they happened. ``get``, ``set`` and ``delete`` do no harm twice and are tried again. Between a ``get`` that missed
    and the ``set`` that follows, somebody else may have stored or deleted: the last write stays. Where that matters,
    use ``add``.

    Args:
        name: see ``portable.resources.check_name``. It is a part of every key that is stored, so two caches may share
            one server.
        type: the type of values; any JSON value when left out.
    """

    __slots__ = ("_read", "type")
    kind = "cache"

    if TYPE_CHECKING:

        @overload
        def __init__(self: Cache[Any], name: str, *, _depth: int = 0) -> None: ...
        @overload
        def __init__(self, name: str, type: type[T], *, _depth: int = 0) -> None: ...
        @overload
        def __init__(self: Cache[Any], name: str, type: Any, *, _depth: int = 0) -> None: ...

    def __init__(self, name: str, type: Any = None, *, _depth: int = 0) -> None:
        super().__init__(name, {}, declared_at(_depth + 1))
        self.type = type
        self._read: Callable[[bytes], T] | None = None

    if TYPE_CHECKING:

        def driver(self) -> CacheDriver: ...

    @property
    def model(self) -> Any:
        """The type that is read from JSON, None where there is none."""
        return None if self.type in (bytes, str) else self.type

    def same_as(self, other: Resource) -> bool:
        """Whether both declare the same cache with the same type."""
        return super().same_as(other) and isinstance(other, Cache) and self.type == other.type

    # --- values

    def get(self, key: str) -> T | None:
        """The value, or None. Raises ServiceError for one that does not fit the type."""
        return self._decoded(key, self.driver().get(self._key(key)))

    async def aget(self, key: str) -> T | None:
        """See :meth:`get`."""
        return self._decoded(key, await self._await("get", self._key(key)))

    def get_many(self, keys: Iterable[str]) -> dict[str, T]:
        """Those of the keys that have a value, in as few calls as the server allows."""
        asked = list(dict.fromkeys(self._key(key) for key in keys))
        return self._many(asked, self.driver().get_many(asked) if asked else [])

    async def aget_many(self, keys: Iterable[str]) -> dict[str, T]:
        """See :meth:`get_many`."""
        asked = list(dict.fromkeys(self._key(key) for key in keys))
        return self._many(asked, await self._await("get_many", asked) if asked else [])

    def set(self, key: str, value: T, *, ttl: timedelta | None = None) -> None:
        """Store a value in place of any other. Without ``ttl`` it stays until it has to make room."""
        self.driver().set(self._key(key), self._encoded(key, value), self._ttl(ttl))

    async def aset(self, key: str, value: T, *, ttl: timedelta | None = None) -> None:
        """See :meth:`set`."""
        await self._await("set", self._key(key), self._encoded(key, value), self._ttl(ttl))

    def add(self, key: str, value: T, *, ttl: timedelta | None = None) -> bool:
        """Store a value unless there is one, atomically. Whether it was stored: of several callers one gets True."""
        return self.driver().add(self._key(key), self._encoded(key, value), self._ttl(ttl))

    async def aadd(self, key: str, value: T, *, ttl: timedelta | None = None) -> bool:
        """See :meth:`add`."""
        added: bool = await self._await("add", self._key(key), self._encoded(key, value), self._ttl(ttl))
        return added

    def delete(self, key: str) -> None:
        """Forget a value; one that is not there is no error."""
        self.driver().delete(self._key(key))

    async def adelete(self, key: str) -> None:
        """See :meth:`delete`."""
        await self._await("delete", self._key(key))

    # --- counters

    def increment(self, key: str, by: int = 1, *, ttl: timedelta | None = None) -> int:
        """Add ``by`` to the integer under a key, atomically, and return the sum. A key that is not there counts as 0.

        ``ttl`` counts from the call that made the key and is left alone by later ones, so that a limit a minute ends
        with the minute. Raises UnsupportedError where the value is no integer, or the sum has more than 64 bits.
        """
        return self.driver().increment(self._key(key), self._step(key, by), self._ttl(ttl))

    async def aincrement(self, key: str, by: int = 1, *, ttl: timedelta | None = None) -> int:
        """See :meth:`increment`."""
        total: int = await self._await("increment", self._key(key), self._step(key, by), self._ttl(ttl))
        return total

    # --- rates

    def take(self, key: str, *, limit: int, per: timedelta, cost: int = 1) -> Taken:
        """Take ``cost`` tokens out of the bucket under a key, atomically, where it has as many.

        A bucket holds ``limit`` tokens and is full at first; they come back evenly, all of them in ``per``. It is kept
        under the key as an integer, and forgotten when it is full. Never tried twice. Raises UnsupportedError where
        another kind of value lies there.
        """
        interval = self._interval(limit, per, cost)
        return Taken(limit, cost, interval, *self.driver().advance(self._key(key), cost * interval, limit * interval))

    async def atake(self, key: str, *, limit: int, per: timedelta, cost: int = 1) -> Taken:
        """See :meth:`take`."""
        interval = self._interval(limit, per, cost)
        found = await self._await("advance", self._key(key), cost * interval, limit * interval)
        return Taken(limit, cost, interval, *found)

    def _interval(self, limit: int, per: timedelta, cost: int) -> int:
        """Microseconds from one token to the next."""
        for what, number in (("limit", limit), ("cost", cost)):
            if type(number) is not int or number < 1:
                raise ValueError(f"{self}: {what} is a whole number above 0, got {number!r}")
        if cost > limit:
            raise ValueError(f"{self}: a bucket of {limit} tokens never has {cost}")
        span = round(per.total_seconds() * 1_000_000)
        if not limit <= span <= LONGEST * 1000:
            raise ValueError(f"{self}: per is a token a microsecond at most, and ten years at most, got {per}")
        return span // limit

    # --- checks

    def _key(self, key: str) -> str:
        if not isinstance(key, str):
            raise TypeError(f"{self}: a key is a str, got {key!r}")
        try:
            size = len(key.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"{self}: key {key!r} holds half a surrogate pair") from error
        if not 0 < size <= KEY_BYTES:
            raise ValueError(f"{self}: a key has 1 to {KEY_BYTES} bytes in UTF-8, key {key[:40]!r} has {size}")
        return key

    def _step(self, key: str, by: int) -> int:
        if isinstance(by, bool) or not isinstance(by, int) or not -LARGEST <= by < LARGEST:
            raise ValueError(f"{self}, key {key!r}: increment takes an integer of 64 bits, got {by!r}")
        return by

    def _ttl(self, ttl: timedelta | None) -> int | None:
        if ttl is None:
            return None
        span = round(ttl.total_seconds() * 1000)
        if not 0 < span <= LONGEST:
            raise ValueError(f"{self}: a time to live is 1 ms to ten years, got {ttl}")
        return span

    def _encoded(self, key: str, value: T) -> bytes:
        if value is None:
            raise ValueError(f"{self}, key {key!r}: None cannot be stored, it is what a miss gives; use delete")
        if self.type is bytes or self.type is str:
            if not isinstance(value, self.type):
                raise TypeError(f"{self}, key {key!r}: takes {self.type.__name__}, got {type(value).__name__}")
            return value.encode() if isinstance(value, str) else bytes(value)
        from portable.jsontext import encode_text

        return encode_text(value).encode()

    def _decoded(self, key: str, data: bytes | None) -> T | None:
        if data is None:
            return None
        if self._read is None:
            self._read = self._reader()
        try:
            return self._read(data)
        except ValueError as error:
            raise ServiceError(f"the stored value does not fit: {error}", resource=str(self), key=key) from error

    def _reader(self) -> Callable[[bytes], Any]:
        if self.type is bytes:
            return bytes
        if self.type is str:
            return bytes.decode
        from portable.jsontext import quick_decoder_of

        try:
            return quick_decoder_of(self.type)
        except Exception as error:  # whatever msgspec or pydantic has against the type
            raise ConfigError(
                f"cache {self.name!r} at {self.where[0]}:{self.where[1]}: values cannot be read from JSON as "
                f"{self.type!r}: {error}"
            ) from error

    def _many(self, keys: list[str], values: list[bytes | None]) -> dict[str, T]:
        found = {key: self._decoded(key, data) for key, data in zip(keys, values, strict=True)}
        return {key: value for key, value in found.items() if value is not None}
