"""The cache driver against a NATS server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portable import Cache, NotFoundError
from portable.drivers import Platform
from portable.resources import use_platform
from portable.run.processes import LOOPBACK, free_port
from portable.testing.conformance import CacheConformance
from portable_nats import _sdk
from portable_nats.capabilities import CAPABILITIES
from portable_nats.runtime import platform


class TestCache(CacheConformance):
    capabilities = CAPABILITIES["cache"]

    @pytest.fixture
    def environment(self, place: Callable[..., dict[str, str]]) -> dict[str, str]:
        return place(Cache("limits"), Cache("other"))

    @pytest.fixture
    def cache(self, environment: dict[str, str]) -> Iterator[Cache[Any]]:
        opened = platform(environment)
        with use_platform(opened):
            yield Cache("limits")
        opened.close()

    @pytest.fixture
    def elsewhere(self, environment: dict[str, str]) -> Iterator[Platform]:
        opened = platform(environment)
        yield opened
        opened.close()

    @pytest.fixture
    def unreachable(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache[Any]]:
        monkeypatch.setattr(_sdk, "PATIENCE_SECONDS", 0.2)
        monkeypatch.setattr(_sdk, "TRY_SECONDS", 0.2)
        opened = platform({"PORTABLE_CACHE_GONE": f"nats://{LOOPBACK}:{free_port()}/gone"})
        with use_platform(opened):
            yield Cache("gone")
        opened.close()

    def test_a_bucket_that_is_not_there(self, cache: Cache[Any]) -> None:
        for call in (lambda: Cache("missing").get("a"), lambda: Cache("missing").set("a", 1)):
            with pytest.raises(NotFoundError, match="cache missing, key 'a'"):
                call()
        assert cache.get("a") is None


def test_any_other_address_is_opened_as_everywhere() -> None:
    with use_platform(platform({"PORTABLE_CACHE_LIMITS": "memory:"})):
        cache: Cache[Any] = Cache("limits")
        cache.set("a", 1)
        assert type(cache.driver()).__module__ == "portable_cache.memory"
