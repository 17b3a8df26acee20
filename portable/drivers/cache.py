"""What stands behind a Cache, and the package every platform takes it from."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol
else:
    Protocol = object

__all__ = ["CacheDriver"]


class CacheDriver(Protocol):
    """Bytes by key, for a while. Keys arrive checked: a non-empty str of at most 512 bytes in UTF-8.

    A time to live is whole milliseconds, 1 or more; None keeps the value until it is deleted or makes room for others.
    Every call is atomic for its key. Raises UnavailableError, PermissionDeniedError.
    """

    def get(self, key: str) -> bytes | None:
        """The value; None for a miss."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """One for each key, in their order; together they need not be of one moment."""

    def set(self, key: str, value: bytes, ttl: int | None) -> None:
        """Store a value in place of any other, its time to live too."""

    def add(self, key: str, value: bytes, ttl: int | None) -> bool:
        """Store a value unless there is one; whether it was stored. Never tried twice."""

    def delete(self, key: str) -> None:
        """Forget a value; one that is not there is no error."""

    def increment(self, key: str, by: int, ttl: int | None) -> int:
        """Add to the integer under a key, 0 where there is none, and return the sum. Never tried twice.

        ``ttl`` counts only where this call made the key. Raises UnsupportedError where the value is no integer of 64
        bits in decimal digits, or the sum would not be one.
        """

    def advance(self, key: str, by: int, most: int) -> tuple[bool, int]:
        """Move the instant under a key on by ``by``, unless it would then lie more than ``most`` ahead of now; both in
        microseconds. An instant that is past, or not there, counts as now.

        Whether it was moved, and how far ahead it lies then. It is forgotten when it is past. Raises UnsupportedError
        where the value is no integer in decimal digits. Now is by the server's clock where it has one, else by the
        caller's. Never tried twice.
        """

    def native(self) -> Any:
        """The client itself."""
