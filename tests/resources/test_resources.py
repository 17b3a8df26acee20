"""Resources are declarations: names, places, and the driver each thread and test finds."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from portable import Bucket, ConfigError, Queue
from portable.drivers import address_variable, read_address
from portable.resources import Resource, current_platform, on_thread, set_platform, use_platform


class Platform:
    """Opens a new driver each time it is asked."""

    target = "test"

    def __init__(self, name: str = "platform") -> None:
        self.name = name
        self.opened: list[str] = []

    def open(self, resource: Resource) -> Any:
        self.opened.append(str(resource))
        time.sleep(0.005)
        return f"{self.name}'s driver {len(self.opened)} of {resource}"

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _no_platform() -> Iterator[None]:
    set_platform(None)
    yield
    set_platform(None)


def test_without_a_platform_use_says_what_to_do() -> None:
    for use in (Bucket("b").driver, current_platform, lambda: Bucket("b").read("a"), lambda: Queue("q").send(1)):
        with pytest.raises(ConfigError, match=r"no platform here.*TestClient.*app\.connect"):
            use()


def test_a_driver_is_opened_once_on_first_use() -> None:
    bucket, queue, platform = Bucket("b"), Queue("q"), Platform()
    set_platform(platform)
    assert platform.opened == []
    assert bucket.driver() is bucket.driver()
    assert queue.driver() == "platform's driver 2 of queue q"
    assert platform.opened == ["bucket b", "queue q"]


def test_threads_that_come_together_open_it_once() -> None:
    bucket, platform, found = Bucket("b"), Platform(), []
    set_platform(platform)
    barrier = threading.Barrier(8)

    def use() -> None:
        barrier.wait(10)
        found.append(bucket.driver())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert platform.opened == ["bucket b"]
    assert found == ["platform's driver 1 of bucket b"] * 8


def test_another_platform_is_another_driver() -> None:
    bucket = Bucket("b")
    set_platform(Platform("first"))
    assert bucket.driver().startswith("first")
    set_platform(Platform("second"))
    assert bucket.driver().startswith("second")


def test_a_platform_in_force_for_a_block_hides_the_process_own_and_no_more() -> None:
    bucket, seen = Bucket("b"), []
    set_platform(Platform("process"))
    assert bucket.driver().startswith("process")
    outer, inner = Platform("outer"), Platform("inner")
    with use_platform(outer) as given:
        assert given is current_platform() is outer
        assert bucket.driver().startswith("outer")
        with use_platform(inner):
            assert bucket.driver().startswith("inner")
        assert bucket.driver().startswith("outer")
        # Neither a thread nor code in another context is in the block.
        thread = threading.Thread(target=lambda: seen.append(bucket.driver()))
        thread.start()
        thread.join()
    assert seen[0].startswith("process")
    assert bucket.driver() == "process's driver 1 of bucket b"


def test_a_block_ends_when_it_raises() -> None:
    with pytest.raises(ZeroDivisionError), use_platform(Platform()):
        raise ZeroDivisionError
    with pytest.raises(ConfigError):
        current_platform()


def test_a_platform_that_fails_to_open_is_asked_again() -> None:
    class Broken(Platform):
        def open(self, resource: Resource) -> Any:
            if not self.opened:
                self.opened.append("tried")
                raise ConfigError("not yet")
            return "driver"

    set_platform(Broken())
    bucket = Bucket("b")
    with pytest.raises(ConfigError, match="not yet"):
        bucket.driver()
    assert bucket.driver() == "driver"


variable: ContextVar[str] = ContextVar("variable")


def test_what_runs_on_a_thread_is_in_the_callers_context() -> None:
    async def call() -> tuple[Any, ...]:
        variable.set("set")
        platform = Platform()
        with use_platform(platform):
            return await on_thread(lambda a, *, b: (variable.get(), current_platform() is platform, a, b), 1, b=2)

    found = copy_context().run(asyncio.run, call())
    assert found == ("set", True, 1, 2)


def test_what_a_thread_raises_passes_through() -> None:
    async def call() -> None:
        await on_thread(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(call())


def test_calls_on_threads_are_bounded() -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.pop()

    async def call() -> None:
        await asyncio.gather(*(on_thread(work) for _ in range(64)))

    asyncio.run(call())
    assert len(most) == 64
    assert 1 < max(most) <= 16


def test_a_declaration_knows_its_place_and_itself() -> None:
    bucket = Bucket("uploads")
    assert bucket.where == (__file__, sys._getframe().f_lineno - 1)
    assert (str(bucket), repr(bucket)) == ("bucket uploads", "Bucket('uploads')")
    assert bucket.same_as(Bucket("uploads"))
    assert not bucket.same_as(Bucket("other"))
    assert not bucket.same_as(Queue("uploads"))
    assert Queue("q", int).same_as(Queue("q", int))
    assert not Queue("q", int).same_as(Queue("q", str))
    assert not Queue("q").same_as(Queue("q", max_attempts=2))


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_variable("bucket", "in-box-2") == "PORTABLE_BUCKET_IN_BOX_2"
    assert read_address("bucket", "uploads", {"PORTABLE_BUCKET_UPLOADS": "here"}) == "here"
    monkeypatch.setenv("PORTABLE_QUEUE_EMAILS", "there")
    assert read_address("queue", "emails") == "there"
    for environment in ({}, {"PORTABLE_QUEUE_EMAILS": ""}):
        with pytest.raises(ConfigError, match="PORTABLE_QUEUE_EMAILS is not set"):
            read_address("queue", "emails", environment)
