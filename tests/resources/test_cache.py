"""The portable type: what it checks and how values travel. What drivers have to keep is in the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from portable import App, Cache, ConfigError, ServiceError
from portable.resources import use_platform
from portable_cache.memory import MemoryCache


class One:
    """A platform with one driver, whatever is asked for."""

    target = "test"

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, resource: Any) -> Any:
        return self.driver

    def close(self) -> None:
        self.driver.close()


@pytest.fixture
def driver() -> Iterator[MemoryCache]:
    made = MemoryCache("limits")
    with use_platform(One(made)):
        yield made


@dataclass
class User:
    id: int


@pytest.mark.parametrize("key", ["", "x" * 513, "é" * 257, "a\ud800"])
def test_keys_that_are_refused(driver: MemoryCache, key: str) -> None:
    cache: Cache[Any] = Cache("limits")
    for call in (cache.get, cache.delete, cache.increment, lambda key: cache.get_many([key])):
        with pytest.raises(ValueError, match="cache limits"):
            call(key)


def test_a_key_is_text(driver: MemoryCache) -> None:
    with pytest.raises(TypeError, match="cache limits: a key is a str"):
        Cache("limits").get(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), timedelta(microseconds=1), timedelta(days=4000)])
def test_times_to_live_that_are_refused(driver: MemoryCache, ttl: timedelta) -> None:
    with pytest.raises(ValueError, match="1 ms to ten years"):
        Cache("limits").set("a", 1, ttl=ttl)


@pytest.mark.parametrize("by", [True, 1.0, "1", 1 << 63, -(1 << 63) - 1])
def test_steps_that_are_refused(driver: MemoryCache, by: Any) -> None:
    with pytest.raises(ValueError, match="integer of 64 bits"):
        Cache("limits").increment("a", by)


def test_none_is_what_a_miss_gives(driver: MemoryCache) -> None:
    with pytest.raises(ValueError, match="None cannot be stored"):
        Cache("limits").set("a", None)


def test_typed_values(driver: MemoryCache) -> None:
    users = Cache("limits", User)
    users.set("a", User(7))
    assert driver.get("a") == b'{"id":7}'
    assert users.get("a") == User(7)
    driver.set("a", b'{"id":"x"}', None)
    with pytest.raises(ServiceError, match="cache limits, key 'a': the stored value does not fit"):
        users.get("a")


def test_bytes_and_text_travel_as_they_are(driver: MemoryCache) -> None:
    Cache("limits", bytes).set("b", b"\xff\x00")
    Cache("limits", str).set("s", "é")
    assert driver.get_many(["b", "s"]) == [b"\xff\x00", "é".encode()]
    with pytest.raises(TypeError, match="takes bytes, got str"):
        Cache("limits", bytes).set("b", "text")  # type: ignore[arg-type]
    with pytest.raises(ServiceError):
        Cache("limits", str).get("b")


def test_declarations() -> None:
    app = App("saas")
    assert app.cache("limits", User) is app.cache("limits", User)
    with pytest.raises(ConfigError, match="differs from its declaration"):
        app.cache("limits", int)
    assert app.cache("limits", User).where[0] == __file__
