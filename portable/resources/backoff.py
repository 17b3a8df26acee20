"""How long a failed message waits for its next attempt."""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

__all__ = ["Backoff"]


class Backoff:
    """A wait that grows with each failed attempt: ``first``, then ``factor`` times as much, up to ``limit``.

    Args:
        first: before the second attempt. factor: 1 to 100; 1 always waits ``first``. limit: the longest wait.
        jitter: 0 to 1, what part of each wait is left to chance, so that what failed together does not come again
            together: the wait is between ``1 - jitter`` of it and all of it.

    A ``Retry(after=…)`` of the handler's own counts for more. Raises ConfigError.
    """

    __slots__ = ("factor", "first", "jitter", "limit")

    def __init__(
        self, first: timedelta, *, factor: float = 2.0, limit: timedelta | None = None, jitter: float = 0.1
    ) -> None:
        if not hasattr(first, "total_seconds") or first.total_seconds() < 0:
            raise ConfigError(f"Backoff: first is a timedelta, not below 0, got {first!r}")
        if limit is None:
            from datetime import timedelta

            limit = max(first, timedelta(minutes=10))
        if not hasattr(limit, "total_seconds") or limit < first:
            raise ConfigError(f"Backoff: limit is a timedelta, not below first, got {limit!r}")
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= 100:
            raise ConfigError(f"Backoff: factor is 1 to 100, got {factor!r}")
        if isinstance(jitter, bool) or not isinstance(jitter, (int, float)) or not 0 <= jitter <= 1:
            raise ConfigError(f"Backoff: jitter is 0 to 1, got {jitter!r}")
        self.first = first
        self.factor = float(factor)
        self.limit = limit
        self.jitter = float(jitter)

    def after(self, attempt: int) -> timedelta:
        """The wait behind a failed attempt, the first of which is 1."""
        from random import random

        longest = self.limit.total_seconds()
        first = self.first.total_seconds()
        # 100 to the power of 150 is still a float, and beyond any limit.
        grown = min(first * self.factor ** min(attempt - 1, 150), longest)
        return type(self.first)(seconds=grown * (1 - self.jitter * random()))  # noqa: S311 - nothing to guess

    @property
    def options(self) -> tuple[float, float, float, float]:
        """As a declaration keeps it: seconds first, factor, seconds at most, jitter."""
        return self.first.total_seconds(), self.factor, self.limit.total_seconds(), self.jitter

    @classmethod
    def of_options(cls, options: Any) -> Backoff:
        """The inverse of :attr:`options`."""
        from datetime import timedelta

        first, factor, limit, jitter = options
        return cls(timedelta(seconds=first), factor=factor, limit=timedelta(seconds=limit), jitter=jitter)

    def __repr__(self) -> str:
        first, factor, limit, jitter = self.options
        return f"Backoff({first:g} s, factor={factor:g}, limit={limit:g} s, jitter={jitter:g})"
