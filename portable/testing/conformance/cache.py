"""What every driver of a cache has to keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from portable import Cache, UnsupportedError
from portable.capabilities import Capability
from portable.drivers import Platform
from portable.errors import ServiceError, UnavailableError
from portable.resources import use_platform
from portable.testing.conformance.cases import Conformance, assert_names, together

__all__ = ["CacheConformance"]

SHORT = timedelta(milliseconds=300)
LONG = timedelta(minutes=5)

KEYS = {
    "plain": "a",
    "slashes": "/a//b/",
    "parent": "../../a",
    "colons": "a:b::c",
    "spaces": " a b\t\r\n",
    "nul": "a\x00b",
    "query": "a?b=c&d#e%2F+",
    "quotes": "a\"b'c\\d",
    "glob": "a*b[c]{d}",
    "unicode": "é\u0301漢字🐍",
    "longest": "é" * 256,
}

VALUES: dict[str, Any] = {
    "object": {"a": [1, 2.5, None, True], "é": "🐍\n\x00"},
    "array": [],
    "number": -12345678901234567890,
    "text": 'quotes " and \\ and \ud7ff',
    "empty": "",
    "false": False,
    "zero": 0,
}


class CacheConformance(Conformance):
    """Cases for a cache. A subclass gives the fixtures ``cache``, an empty ``Cache("limits")`` with its platform in
    force; ``elsewhere``, the platform of another instance with the same addresses; and ``unreachable``, a
    ``Cache("gone")`` whose server does not answer, or None where there is no server.

    Attributes:
        capabilities: what the adapter says of this kind.
        clock_slack: how much later than asked a value may still be there.
        model_examples: how often the comparison with a dict begins anew. model_steps: operations each time.
    """

    model_examples: ClassVar[int] = 8
    model_steps: ClassVar[int] = 25

    capabilities: ClassVar[Mapping[str, Capability]] = {}
    clock_slack: ClassVar[timedelta] = timedelta(seconds=5)

    @pytest.fixture
    def cache(self) -> Cache[Any]:
        raise NotImplementedError("a subclass gives the cache")

    @pytest.fixture
    def elsewhere(self) -> Platform:
        raise NotImplementedError("a subclass gives the platform")

    @pytest.fixture
    def unreachable(self) -> Cache[Any] | None:
        return None

    def await_gone(self, cache: Cache[Any], key: str) -> None:
        """Return once the key has no value; fail when that takes longer than ``clock_slack``."""
        limit = time.monotonic() + self.clock_slack.total_seconds()
        while cache.get(key) is not None:
            assert time.monotonic() < limit, f"{key!r} outlived its time by {self.clock_slack}"
            time.sleep(0.02)

    # --- get, set, delete

    def test_miss(self, cache: Cache[Any]) -> None:
        assert cache.get("nothing") is None

    @pytest.mark.parametrize("name", VALUES)
    def test_value(self, cache: Cache[Any], name: str) -> None:
        cache.set("a", VALUES[name])
        assert cache.get("a") == VALUES[name]
        assert type(cache.get("a")) is type(VALUES[name])

    @pytest.mark.parametrize("name", KEYS)
    def test_key(self, cache: Cache[Any], name: str) -> None:
        cache.set(KEYS[name], name)
        assert cache.get(KEYS[name]) == name
        cache.delete(KEYS[name])
        assert cache.get(KEYS[name]) is None

    def test_keys_do_not_collide(self, cache: Cache[Any]) -> None:
        keys = [*KEYS.values(), "A", "a ", "a:", "e\u0301", "é"]
        for number, key in enumerate(keys):
            cache.set(key, number)
        assert cache.get_many(keys) == {key: number for number, key in enumerate(keys)}

    def test_set_replaces(self, cache: Cache[Any]) -> None:
        cache.set("a", 1)
        cache.set("a", {"now": 2})
        assert cache.get("a") == {"now": 2}

    def test_delete(self, cache: Cache[Any]) -> None:
        cache.set("a", 1)
        cache.set("b", 2)
        cache.delete("a")
        cache.delete("a")  # no error
        assert (cache.get("a"), cache.get("b")) == (None, 2)

    def test_bytes(self, cache: Cache[Any]) -> None:
        raw = Cache(cache.name, bytes)
        data = bytes(range(256)) * 4
        for value in (data, b"", b"plain"):
            raw.set("a", value)
            assert raw.get("a") == value
        raw.set("b", data, ttl=LONG)
        assert raw.get_many(["a", "b", "c"]) == {"a": b"plain", "b": data}

    def test_text(self, cache: Cache[Any]) -> None:
        text = Cache(cache.name, str)
        text.set("a", 'é"🐍\x00')
        assert text.get("a") == 'é"🐍\x00'

    def test_large_value(self, cache: Cache[Any]) -> None:
        raw = Cache(cache.name, bytes)
        raw.set("a", b"x" * 500_000)
        assert raw.get("a") == b"x" * 500_000

    def test_value_of_another_type(self, cache: Cache[Any]) -> None:
        cache.set("a", {"n": "text"})
        with pytest.raises(ServiceError) as caught:
            Cache(cache.name, dict[str, int]).get("a")
        assert_names(caught.value, f"cache {cache.name}", "a")

    def test_two_caches_share_nothing(self, cache: Cache[Any]) -> None:
        cache.set("a", 1)
        assert Cache("other").get("a") is None

    # --- many

    def test_get_many(self, cache: Cache[Any]) -> None:
        for number in range(50):
            cache.set(f"k{number}", number)
        asked = [f"k{number}" for number in range(60)] + ["k1", "k1"]
        assert cache.get_many(asked) == {f"k{number}": number for number in range(50)}

    def test_get_many_of_none(self, cache: Cache[Any]) -> None:
        assert cache.get_many([]) == {}

    # --- time to live

    def test_ttl(self, cache: Cache[Any]) -> None:
        cache.set("short", 1, ttl=SHORT)
        cache.set("long", 2, ttl=LONG)
        self.await_gone(cache, "short")
        assert cache.get_many(["short", "long"]) == {"long": 2}

    def test_ttl_is_not_cut_short(self, cache: Cache[Any]) -> None:
        start = time.monotonic()
        cache.set("a", 1, ttl=timedelta(seconds=1))
        self.await_gone(cache, "a")
        assert time.monotonic() - start > 0.9

    def test_set_replaces_the_ttl(self, cache: Cache[Any]) -> None:
        cache.set("a", 1, ttl=SHORT)
        cache.set("a", 2)
        cache.set("b", 1, ttl=SHORT)
        self.await_gone(cache, "b")
        assert cache.get("a") == 2

    # --- add

    def test_add(self, cache: Cache[Any]) -> None:
        assert cache.add("a", 1) is True
        assert cache.add("a", 2) is False
        assert cache.get("a") == 1
        cache.delete("a")
        assert cache.add("a", 3) is True

    def test_add_after_the_ttl(self, cache: Cache[Any]) -> None:
        assert cache.add("a", 1, ttl=SHORT) is True
        assert cache.add("a", 2, ttl=LONG) is False  # and leaves the time of the first alone
        self.await_gone(cache, "a")
        assert cache.add("a", 3) is True

    def test_add_is_atomic(self, cache: Cache[Any]) -> None:
        added = together(8, lambda number: cache.add("lock", number, ttl=LONG))
        assert sorted(map(str, added)) == ["False"] * 7 + ["True"]
        assert cache.get("lock") == added.index(True)

    def test_add_of_bytes(self, cache: Cache[Any]) -> None:
        raw = Cache(cache.name, bytes)
        if self.capabilities["add_bytes"].given:
            assert raw.add("a", b"\xff\x00", ttl=LONG) is True
            assert raw.get("a") == b"\xff\x00"
            return
        with pytest.raises(UnsupportedError) as caught:
            raw.add("a", b"\xff\x00", ttl=LONG)
        assert_names(caught.value, f"cache {cache.name}", "a")
        assert raw.get("a") is None

    # --- take

    def test_take(self, cache: Cache[Any]) -> None:
        taken = [cache.take("t", limit=3, per=timedelta(hours=3)) for _ in range(5)]
        assert [one.allowed for one in taken] == [True, True, True, False, False]
        assert [one.remaining for one in taken] == [2, 1, 0, 0, 0]
        assert [one.retry_after for one in taken[:3]] == [0.0, 0.0, 0.0]
        # By the server's clock; what time passes meanwhile brings tokens back.
        assert 3600 - 60 < taken[3].retry_after <= 3600
        assert 3 * 3600 - 60 < taken[3].full_after <= 3 * 3600

    def test_take_of_several(self, cache: Cache[Any]) -> None:
        assert cache.take("t", limit=10, per=timedelta(days=10), cost=7).remaining == 3
        refused = cache.take("t", limit=10, per=timedelta(days=10), cost=4)
        assert (refused.allowed, refused.remaining) == (False, 3)  # nothing was taken
        assert cache.take("t", limit=10, per=timedelta(days=10), cost=3).allowed is True

    def test_take_refills(self, cache: Cache[Any]) -> None:
        per = timedelta(seconds=1)
        while cache.take("t", limit=2, per=per).allowed:
            pass
        limit = time.monotonic() + self.clock_slack.total_seconds()
        while not cache.take("t", limit=2, per=per).allowed:
            assert time.monotonic() < limit
            time.sleep(0.02)

    def test_take_is_atomic(self, cache: Cache[Any]) -> None:
        taken = together(8, lambda _: [cache.take("t", limit=20, per=LONG * 100).allowed for _ in range(5)])
        assert sum(one for part in taken if isinstance(part, list) for one in part) == 20

    def test_take_from_what_is_no_bucket(self, cache: Cache[Any]) -> None:
        cache.set("t", "text")
        with pytest.raises(UnsupportedError) as caught:
            cache.take("t", limit=2, per=LONG)
        assert_names(caught.value, f"cache {cache.name}", "t")

    def test_take_of_nonsense(self, cache: Cache[Any]) -> None:
        for options in ({"limit": 0}, {"limit": 2, "cost": 3}, {"limit": 2, "cost": 0}, {"limit": 2, "per": -LONG}):
            with pytest.raises(ValueError, match=cache.name):
                cache.take("t", **{"per": LONG, **options})  # type: ignore[arg-type]

    # --- increment

    def test_increment(self, cache: Cache[Any]) -> None:
        assert [cache.increment("n") for _ in range(3)] == [1, 2, 3]
        assert cache.increment("n", 10) == 13
        assert cache.increment("n", -20) == -7
        assert cache.increment("n", 0) == -7
        assert cache.get("n") == -7

    def test_increment_of_a_set_value(self, cache: Cache[Any]) -> None:
        cache.set("n", 40)
        assert cache.increment("n", 2) == 42

    def test_increment_is_exact(self, cache: Cache[Any]) -> None:
        large = (1 << 53) + 1
        assert cache.increment("n", large, ttl=LONG) == large
        assert cache.increment("n", 1, ttl=LONG) == large + 1

    def test_increment_is_atomic(self, cache: Cache[Any]) -> None:
        sums = together(8, lambda _: [cache.increment("n", ttl=LONG) for _ in range(20)])
        seen = [one for part in sums if isinstance(part, list) for one in part]
        assert sorted(seen) == list(range(1, 161))

    def test_increment_counts_its_ttl_from_the_first(self, cache: Cache[Any]) -> None:
        assert cache.increment("n", ttl=timedelta(seconds=1)) == 1
        assert cache.increment("n", ttl=LONG) == 2
        self.await_gone(cache, "n")
        assert cache.increment("n", ttl=LONG) == 1

    def test_increment_leaves_a_value_without_ttl_alone(self, cache: Cache[Any]) -> None:
        cache.set("n", 0)
        cache.set("b", 1, ttl=SHORT)
        assert cache.increment("n", ttl=SHORT) == 1
        self.await_gone(cache, "b")
        assert cache.get("n") == 1

    @pytest.mark.parametrize("value", ["a", "1", 1.5, [1], {}, True])
    def test_increment_of_no_integer(self, cache: Cache[Any], value: Any) -> None:
        cache.set("n", value)
        for ttl in (None, LONG):
            with pytest.raises(UnsupportedError) as caught:
                cache.increment("n", ttl=ttl)
            assert_names(caught.value, f"cache {cache.name}", "n")
        assert cache.get("n") == value

    def test_increment_beyond_64_bits(self, cache: Cache[Any]) -> None:
        most = (1 << 63) - 1
        assert cache.increment("n", most) == most
        with pytest.raises(UnsupportedError):
            cache.increment("n")
        assert cache.get("n") == most

    # --- other instances

    def test_shared(self, cache: Cache[Any], elsewhere: Platform) -> None:
        cache.set("a", "here")
        cache.increment("n", 5)
        shared = self.capabilities["shared"].given
        with use_platform(elsewhere):
            other: Cache[Any] = Cache(cache.name)
            assert other.get("a") == ("here" if shared else None)
            assert other.increment("n") == (6 if shared else 1)

    def test_cache_is_like_a_dict(self, cache: Cache[Any]) -> None:
        hypothesis = pytest.importorskip("hypothesis")
        from hypothesis.stateful import run_state_machine_as_test

        settings = hypothesis.settings(
            max_examples=self.model_examples,
            stateful_step_count=self.model_steps,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        run_state_machine_as_test(_machine(cache), settings=settings)

    # --- failures, threads, async twins

    def test_unreachable(self, unreachable: Cache[Any] | None) -> None:
        if unreachable is None:
            return
        calls: dict[str, Callable[[], Any]] = {
            "get": lambda: unreachable.get("a"),
            "set": lambda: unreachable.set("a", 1),
            "add": lambda: unreachable.add("a", 1),
            "delete": lambda: unreachable.delete("a"),
            "increment": lambda: unreachable.increment("a", ttl=LONG),
            "take": lambda: unreachable.take("a", limit=1, per=LONG),
        }
        for call in calls.values():
            with pytest.raises(UnavailableError) as caught:
                call()
            assert_names(caught.value, f"cache {unreachable.name}", "a")
        with pytest.raises(UnavailableError):
            unreachable.get_many(["a", "b"])

    def test_threads(self, cache: Cache[Any]) -> None:
        def work(number: int) -> dict[str, Any]:
            for step in range(10):
                cache.set(f"{number}-{step}", step)
            return cache.get_many([f"{number}-{step}" for step in range(10)])

        for number, found in enumerate(together(8, work)):
            assert found == {f"{number}-{step}": step for step in range(10)}

    def test_async_twins(self, cache: Cache[Any]) -> None:
        async def work() -> None:
            await cache.aset("a", {"n": "é"}, ttl=LONG)
            assert await cache.aget("a") == {"n": "é"}
            assert await cache.aadd("a", 1, ttl=LONG) is False
            assert await cache.aincrement("n", 2, ttl=LONG) == 2
            assert (await cache.atake("t", limit=2, per=LONG)).remaining == 1
            assert await cache.aget_many(["a", "n", "x"]) == {"a": {"n": "é"}, "n": 2}
            assert await cache.aget_many([]) == {}
            await cache.adelete("a")
            assert await cache.aget("a") is None

        asyncio.run(work())


def _machine(cache: Cache[Any]) -> Any:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

    names = list(KEYS.values())
    keys, numbers = st.sampled_from(names), st.integers(-5, 5)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, Any] = {}
            for name in names:
                cache.delete(name)

        @rule(key=keys, value=numbers | st.text(max_size=5) | st.lists(numbers, max_size=3))
        def set(self, key: str, value: Any) -> None:
            cache.set(key, value)
            self.model[key] = value

        @rule(key=keys, value=numbers)
        def add(self, key: str, value: int) -> None:
            assert cache.add(key, value) is (key not in self.model)
            self.model.setdefault(key, value)

        @rule(key=keys)
        def delete(self, key: str) -> None:
            cache.delete(key)
            self.model.pop(key, None)

        @rule(key=keys, by=numbers)
        def increment(self, key: str, by: int) -> None:
            known = self.model.get(key, 0)
            if isinstance(known, int):
                self.model[key] = known + by
                assert cache.increment(key, by) == known + by
            else:
                with pytest.raises(UnsupportedError):
                    cache.increment(key, by)

        @invariant()
        def same(self) -> None:
            assert cache.get_many(names) == self.model

    return Machine
