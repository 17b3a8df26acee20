"""What a secret and a config value share: a value is kept for a while, and read again when that is over."""

from __future__ import annotations

from _thread import allocate_lock
from time import time

from portable.errors import ConfigError, UnavailableError
from portable.resources import Resource, declared_at, on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

__all__ = ["GRACE", "PAUSE", "TTL", "Refreshing"]

TTL = 300.0
"""Seconds a value is kept where nothing else is said."""

GRACE = 3600.0
"""Seconds after its time that a value is still given while it cannot be read again."""

PAUSE = 5.0
"""Seconds between two attempts to read again what could not be read."""


class _Held:
    """What was read, by which driver, and when (wall clock). Shows nothing of it."""

    __slots__ = ("driver", "read_at", "record", "until")

    def __init__(self, driver: Any, record: Any, read_at: float, until: float) -> None:
        self.driver = driver
        self.record = record
        self.read_at = read_at
        self.until = until


class Refreshing(Resource):
    """A resource whose driver has ``read()``. Kept once an instance; of many threads one reads."""

    __slots__ = ("_failures", "_held", "_last_failure", "_reading", "_ttl")

    def __init__(self, name: str, ttl: timedelta | None, options: dict[str, Any], depth: int) -> None:
        seconds = TTL if ttl is None else ttl.total_seconds()
        if not 0 <= seconds <= 31_536_000:
            raise ConfigError(f"{self.kind} {name!r}: ttl is 0 to 365 days, got {ttl}")
        super().__init__(name, {"ttl": seconds, **options}, declared_at(depth + 1))
        self._ttl = seconds
        self._held: _Held | None = None
        self._reading = allocate_lock()
        self._failures = 0
        self._last_failure: Exception | None = None

    def _latest(self) -> Any:
        driver = self.driver()
        held = self._held
        if held is not None and held.driver is driver and held.read_at <= time() < held.until:
            return held.record
        return self._renewed(driver, held)

    async def _alatest(self) -> Any:
        held = self._held
        if held is not None and held.driver is self.driver() and held.read_at <= time() < held.until:
            return held.record
        return await on_thread(self._latest)

    def refresh(self) -> None:
        """Read again now, whatever is kept. Raises what reading raises; what was kept stays."""
        driver = self.driver()
        with self._reading:
            self._read(driver)

    async def arefresh(self) -> None:
        """See :meth:`refresh`."""
        await on_thread(self.refresh)

    def _renewed(self, driver: Any, held: _Held | None) -> Any:
        # The wall clock: the other one stands still while an instance is frozen. Set back, it makes a value old.
        age = -1.0 if held is None or held.driver is not driver else time() - held.read_at
        usable = 0 <= age < self._ttl + GRACE
        failures = self._failures
        # Where somebody reads already, a value that is only a little old serves meanwhile; the others wait.
        if not self._reading.acquire(not 0 <= age < 2 * self._ttl):
            assert held is not None
            return held.record
        try:
            again = self._held
            if again is not None and again is not held and again.driver is driver:
                return again.record
            if self._failures != failures and self._last_failure is not None and not usable:
                raise self._last_failure  # what the thread before this one waited for and did not get
            return self._read_or_keep(driver, held if usable else None)
        finally:
            self._reading.release()

    def _read_or_keep(self, driver: Any, held: _Held | None) -> Any:
        try:
            return self._read(driver)
        except UnavailableError as error:
            self._failed(error)
            if held is None:
                raise
            now = time()
            self._held = _Held(driver, held.record, held.read_at, now + PAUSE)
            from logging import getLogger

            getLogger("portable").warning(
                "%s could not be read again; the value of %d s ago is given: %s", self, now - held.read_at, error
            )
            return held.record
        except Exception as error:
            self._failed(error)
            raise

    def _failed(self, error: Exception) -> None:
        self._last_failure = error
        self._failures += 1

    def _read(self, driver: Any) -> Any:
        record = driver.read()
        now = time()
        self._held = _Held(driver, record, now, now + self._ttl)
        self._last_failure = None
        return record
