"""The drivers of caches: memory, and a real Redis."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from portable import Cache, ConfigError, PermissionDeniedError, UnavailableError
from portable.drivers import Platform
from portable.resources import use_platform
from portable.run.emulators import Emulator
from portable.run.processes import LOOPBACK, free_port
from portable.testing.conformance import CacheConformance
from portable_aws.runtime import platform as aws
from portable_cache.capabilities import CAPABILITIES
from portable_cache.memory import MemoryCache
from portable_gcp.runtime import platform as gcp
from portable_local.platform import LocalPlatform


@contextlib.contextmanager
def on(**addresses: str) -> Iterator[None]:
    """A platform with these addresses in force; closed at the end."""
    platform = aws(addresses)
    with use_platform(platform):
        yield
    platform.close()


class TestMemory(CacheConformance):
    capabilities = CAPABILITIES["memory"]

    @pytest.fixture
    def cache(self, tmp_path: Any) -> Iterator[Cache[Any]]:
        with use_platform(LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})):
            yield Cache("limits")

    @pytest.fixture
    def elsewhere(self, tmp_path: Any) -> Platform:
        return LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})


class TestRedis(CacheConformance):
    capabilities = CAPABILITIES["redis"]

    @pytest.fixture
    def elsewhere(self, redis_server: Emulator) -> Iterator[Platform]:
        platform = gcp({"PORTABLE_CACHE_LIMITS": f"{redis_server.endpoint}?prefix=test"})
        yield platform
        platform.close()

    @pytest.fixture
    def cache(self, redis_server: Emulator) -> Iterator[Cache[Any]]:
        redis_server.reset()
        names = ("LIMITS", "OTHER")
        platform = aws({f"PORTABLE_CACHE_{name}": f"{redis_server.endpoint}?prefix=test" for name in names})
        with use_platform(platform):
            yield Cache("limits")
        platform.close()

    @pytest.fixture
    def unreachable(self) -> Iterator[Cache[Any]]:
        with use_platform(aws({"PORTABLE_CACHE_GONE": f"redis://:word@{LOOPBACK}:{free_port()}/0"})):
            yield Cache("gone")


class TestBounds:
    def test_the_longest_unused_make_room(self) -> None:
        cache = MemoryCache("limits", entries=3)
        for key in "abc":
            cache.set(key, b"x", None)
        cache.get("a")
        cache.set("d", b"x", None)
        assert cache.get_many("abcd") == [b"x", None, b"x", b"x"]

    def test_size_is_bounded(self) -> None:
        cache = MemoryCache("limits", size=1000)
        for number in range(1000):
            cache.set(f"{number:03}", b"x" * 97, None)
        assert len(cache.native()) == 10
        cache.set("large", b"x" * 1000, None)
        assert cache.get("large") is None

    def test_a_value_ends_by_the_clock(self) -> None:
        now = 0.0
        cache = MemoryCache("limits", now=lambda: now)
        cache.set("a", b"x", 1500)
        cache.increment("n", 1, 1500)
        now = 1.4
        assert (cache.get("a"), cache.increment("n", 1, 9000)) == (b"x", 2)
        now = 1.5
        assert (cache.get("a"), cache.increment("n", 1, 9000)) == (None, 1)


TOKEN = "a-token%2Fof%3Dours"  # of conftest, quoted


class TestUpstash(CacheConformance):
    """In front of a real Redis; the REST interface itself is a small server of ours."""

    capabilities = CAPABILITIES["upstash"]

    @pytest.fixture
    def elsewhere(self, upstash: str) -> Iterator[Platform]:
        platform = gcp({"PORTABLE_CACHE_LIMITS": f"http://:{TOKEN}@{upstash}?prefix=test"})
        yield platform
        platform.close()

    @pytest.fixture
    def cache(self, redis_server: Emulator, upstash: str) -> Iterator[Cache[Any]]:
        redis_server.reset()
        address = f"http://:{TOKEN}@{upstash}?prefix=test"
        platform = aws({"PORTABLE_CACHE_LIMITS": address, "PORTABLE_CACHE_OTHER": address})
        with use_platform(platform):
            yield Cache("limits")
        platform.close()

    @pytest.fixture
    def unreachable(self) -> Iterator[Cache[Any]]:
        address = f"http://{LOOPBACK}:{free_port()}"
        with use_platform(aws({"PORTABLE_CACHE_GONE": address, "UPSTASH_REDIS_REST_TOKEN": "x"})):
            yield Cache("gone")


def test_redis_and_upstash_see_the_same_values(redis_server: Emulator, upstash: str) -> None:
    redis_server.reset()
    cache: Cache[Any] = Cache("a")
    with on(PORTABLE_CACHE_A=redis_server.endpoint):
        cache.set("é", {"n": 1})
        cache.increment("n", 5)
    with on(PORTABLE_CACHE_A=f"http://:{TOKEN}@{upstash}"):
        assert cache.get("é") == {"n": 1}
        assert cache.increment("n") == 6


def test_connections_that_the_server_closed_are_made_anew(redis_server: Emulator) -> None:
    redis_server.reset()
    cache: Cache[Any] = Cache("a")
    with on(PORTABLE_CACHE_A=redis_server.endpoint):
        assert cache.increment("n") == 1
        for total in (2, 3):
            redis = pytest.importorskip("redis").Redis.from_url(redis_server.endpoint)
            assert redis.client_kill_filter(_type="normal", skipme=True) >= 1
            redis.close()
            assert cache.increment("n", ttl=timedelta(minutes=1)) == total


def test_without_redis_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with on(PORTABLE_CACHE_A="redis://localhost/0"), pytest.raises(ConfigError, match=r"portable-functions\[redis\]"):
        Cache("a").get("k")


def test_a_refused_token(upstash: str) -> None:
    address = f"http://:wrong-token@{upstash}"
    with on(PORTABLE_CACHE_A=address), pytest.raises(PermissionDeniedError) as caught:
        Cache("a").get("k")
    assert "wrong-token" not in str(caught.value)


def test_a_refused_password(redis_server: Emulator) -> None:
    address = redis_server.endpoint.replace("redis://:", "redis://:not-this")
    with on(PORTABLE_CACHE_A=address), pytest.raises(PermissionDeniedError) as caught:
        Cache("a").get("k")
    assert "not-this" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "PORTABLE_CACHE_A is not set"),
        ("memcached://hidden:1", "is no address of a cache"),
        ("memory:hidden", "is no address of a cache"),
        ("redis://x:hidden@h?ssl_cert_reqs=none", "option"),
        ("redis://:hidden@h:port/0", "form"),
        ("https://h", "UPSTASH_REDIS_REST_TOKEN"),
    ],
)
def test_addresses_that_are_refused(address: str, says: str) -> None:
    with on(PORTABLE_CACHE_A=address), pytest.raises(ConfigError, match=says) as caught:
        Cache("a").get("k")
    assert "hidden" not in str(caught.value)


class TestUpstashFailures:
    """An increment that may have happened is not tried again; a get is."""

    @pytest.fixture
    def seen(self) -> list[str]:
        return []

    @pytest.fixture
    def cache(self, serve: Callable[[type[BaseHTTPRequestHandler]], str], seen: list[str]) -> Iterator[Cache[Any]]:
        class Failing(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(body.decode())
                self.send_response(503)
                self.end_headers()
                self.wfile.write(b"<html>busy</html>")

            def log_message(self, *_: Any) -> None:
                pass

        with on(PORTABLE_CACHE_A=f"http://:x@{serve(Failing)}"):
            yield Cache("a")

    def test_increment_and_add_are_tried_once(self, cache: Cache[Any], seen: list[str]) -> None:
        for call in (lambda: cache.increment("n"), lambda: cache.add("n", 1)):
            seen.clear()
            with pytest.raises(UnavailableError, match="cache a, key 'n'"):
                call()
            assert len(seen) == 1

    def test_get_set_and_delete_are_tried_twice(self, cache: Cache[Any], seen: list[str]) -> None:
        for call in (lambda: cache.get("n"), lambda: cache.set("n", 1), lambda: cache.delete("n")):
            seen.clear()
            with pytest.raises(UnavailableError, match="cache a, key 'n'"):
                call()
            assert len(seen) == 2
