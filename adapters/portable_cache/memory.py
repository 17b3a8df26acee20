"""A cache in this process: bounded, shared with no other instance, gone with the process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from time import monotonic

from portable.errors import UnsupportedError
from portable_cache.limits import LARGEST, MEMORY_BYTES, MEMORY_ENTRIES, SMALLEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["MemoryCache"]


class MemoryCache:
    """See ``portable.drivers.cache``. What was used longest ago makes room.

    Args:
        entries, size: the most it holds, and the most bytes of keys and values. now: seconds that never go back.
    """

    def __init__(
        self,
        name: str,
        *,
        entries: int = MEMORY_ENTRIES,
        size: int = MEMORY_BYTES,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._label = f"cache {name}"
        self._most = (entries, size)
        self._now = now
        self._lock = Lock()
        self._size = 0
        self._held: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """See ``portable.drivers.cache``."""
        with self._lock:
            return self._look(key)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See ``portable.drivers.cache``. Of one moment."""
        with self._lock:
            return [self._look(key) for key in keys]

    def set(self, key: str, value: bytes, ttl: int | None) -> None:
        """See ``portable.drivers.cache``. A value larger than the whole cache is forgotten at once."""
        with self._lock:
            self._put(key, value, self._ends(ttl))

    def add(self, key: str, value: bytes, ttl: int | None) -> bool:
        """See ``portable.drivers.cache``."""
        with self._lock:
            if self._look(key) is not None:
                return False
            self._put(key, value, self._ends(ttl))
            return True

    def delete(self, key: str) -> None:
        """See ``portable.drivers.cache``."""
        with self._lock:
            self._drop(key)

    def increment(self, key: str, by: int, ttl: int | None) -> int:
        """See ``portable.drivers.cache``."""
        with self._lock:
            old = self._look(key)
            ends = self._ends(ttl) if old is None else self._held[key][1]
            total = by + (0 if old is None else self._integer(key, old))
            if not SMALLEST <= total <= LARGEST:
                raise UnsupportedError("the sum has more than 64 bits", resource=self._label, key=key)
            self._put(key, str(total).encode(), ends)
            return total

    def advance(self, key: str, by: int, most: int) -> tuple[bool, int]:
        """See ``portable.drivers.cache``."""
        with self._lock:
            now = int(self._now() * 1_000_000)
            old = self._look(key)
            ahead = max(0 if old is None else self._integer(key, old) - now, 0)
            if ahead + by > most:
                return False, ahead
            ahead += by
            self._put(key, str(now + ahead).encode(), (now + ahead) / 1_000_000)
            return True, ahead

    def native(self) -> Any:
        """The values and their ends, by key."""
        return self._held

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
            self._size = 0

    def _integer(self, key: str, data: bytes) -> int:
        digits = data.removeprefix(b"-")
        # As Redis reads it: no blanks, no plus sign, no leading zeros.
        if digits.isdigit() and len(digits) < 20 and str(int(data)).encode() == data:
            return int(data)
        raise UnsupportedError("the stored value is no integer", resource=self._label, key=key)

    def _ends(self, ttl: int | None) -> float | None:
        return None if ttl is None else self._now() + ttl / 1000

    def _look(self, key: str) -> bytes | None:
        found = self._held.get(key)
        if found is None:
            return None
        if found[1] is not None and found[1] <= self._now():
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return found[0]

    def _put(self, key: str, value: bytes, ends: float | None) -> None:
        self._drop(key)
        self._held[key] = (value, ends)
        self._size += len(key.encode()) + len(value)
        entries, size = self._most
        while len(self._held) > entries or self._size > size:
            self._drop(next(iter(self._held)))

    def _drop(self, key: str) -> None:
        found = self._held.pop(key, None)
        if found is not None:
            self._size -= len(key.encode()) + len(found[0])
