"""How secrets and config values are kept and read again. What drivers have to keep is in the conformance suites."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from portable import App, Config, ConfigError, NotFoundError, Secret, UnavailableError
from portable.drivers import ConfigText, SecretVersion
from portable.resources import refreshing, use_platform
from portable.testing.conformance.cases import together

HIDDEN = "hidden-0123456789"


class Driver:
    """Gives each version of a value in turn; fails when told to; may be held up."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None
        self.gate: threading.Event | None = None
        self.reading = threading.Event()

    def read(self) -> Any:
        self.reads += 1
        read = self.reads
        self.reading.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return SecretVersion(f"{HIDDEN}-{read}".encode(), f"v{read}")


class One:
    target = "test"

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, resource: Any) -> Any:
        return self.driver


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(refreshing, "time", made)
    return made


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver()
    with use_platform(One(made)):
        yield made


def test_read_once_within_its_ttl(driver: Driver, clock: Clock) -> None:
    secret = Secret("key", ttl=timedelta(seconds=60))
    assert secret.value() == f"{HIDDEN}-1"
    clock.now += 59.9
    assert (secret.value(), secret.bytes_value(), secret.version()) == (f"{HIDDEN}-1", f"{HIDDEN}-1".encode(), "v1")
    assert driver.reads == 1
    clock.now += 0.1
    assert (secret.value(), driver.reads) == (f"{HIDDEN}-2", 2)


def test_a_clock_set_back_makes_it_old(driver: Driver, clock: Clock) -> None:
    secret = Secret("key")
    secret.value()
    clock.now -= 3600
    assert secret.version() == "v2"


def test_an_old_value_is_given_while_it_cannot_be_read(
    driver: Driver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = Secret("key", ttl=timedelta(seconds=60))
    secret.value()
    driver.error = UnavailableError("busy", resource="secret key")
    clock.now += 61
    assert (secret.value(), driver.reads) == (f"{HIDDEN}-1", 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "secret key could not be read again; the value of 61 s ago is given: secret key: busy" in caplog.text
    assert HIDDEN not in caplog.text
    clock.now += refreshing.PAUSE - 0.1
    assert (secret.value(), driver.reads) == (f"{HIDDEN}-1", 2)  # not asked again so soon
    clock.now += 0.1
    assert (secret.value(), driver.reads) == (f"{HIDDEN}-1", 3)
    clock.now = 1_000_000.0 + 60 + refreshing.GRACE
    with pytest.raises(UnavailableError):
        secret.value()
    driver.error = None
    assert secret.version() == f"v{driver.reads}"


def test_what_is_gone_is_not_given(driver: Driver, clock: Clock) -> None:
    secret = Secret("key")
    secret.value()
    driver.error = NotFoundError("gone", resource="secret key")
    clock.now += 301
    with pytest.raises(NotFoundError):
        secret.value()


def test_refresh_raises_and_keeps(driver: Driver, clock: Clock) -> None:
    secret = Secret("key")
    secret.value()
    driver.error = UnavailableError("busy", resource="secret key")
    with pytest.raises(UnavailableError):
        secret.refresh()
    assert secret.version() == "v1"


def test_one_of_many_threads_reads(driver: Driver) -> None:
    secret = Secret("key")
    assert together(16, lambda _: secret.value()) == [f"{HIDDEN}-1"] * 16
    assert driver.reads == 1


def test_one_of_many_tasks_reads(driver: Driver) -> None:
    async def work() -> list[str]:
        return await asyncio.gather(*(secret.avalue() for _ in range(50)))

    secret = Secret("key")
    assert asyncio.run(work()) == [f"{HIDDEN}-1"] * 50
    assert driver.reads == 1


def test_others_go_on_while_one_reads_again(driver: Driver, clock: Clock) -> None:
    secret = Secret("key")
    secret.value()
    clock.now += 301
    driver.gate = threading.Event()
    driver.reading.clear()
    found: list[str] = []

    def read_again() -> None:
        with use_platform(One(driver)):
            found.append(secret.value())

    thread = threading.Thread(target=read_again)
    thread.start()
    assert driver.reading.wait(30)
    assert secret.value() == f"{HIDDEN}-1"  # at once: the other thread still waits
    driver.gate.set()
    thread.join(30)
    assert (found, secret.value()) == ([f"{HIDDEN}-2"], f"{HIDDEN}-2")


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=60)])
def test_nobody_goes_on_with_what_is_far_too_old(driver: Driver, clock: Clock, ttl: timedelta) -> None:
    secret = Secret("key", ttl=ttl)
    secret.value()
    clock.now += 2 * ttl.total_seconds() + 0.1
    driver.gate = threading.Event()
    driver.reading.clear()
    found: list[str] = []

    def read_again() -> None:
        with use_platform(One(driver)):
            found.append(secret.version())

    threads = [threading.Thread(target=read_again) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert driver.reading.wait(30)
    driver.gate.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert "v1" not in found


def test_a_failure_reaches_everyone_who_waits(driver: Driver) -> None:
    secret = Secret("key")
    driver.error = UnavailableError("busy", resource="secret key")
    driver.gate = threading.Event()
    caught: list[str] = []

    def read() -> None:
        with use_platform(One(driver)), pytest.raises(UnavailableError):
            secret.value()
        caught.append("unavailable")

    threads = [threading.Thread(target=read) for _ in range(8)]
    threads[0].start()
    assert driver.reading.wait(30)
    for thread in threads[1:]:
        thread.start()
    driver.gate.set()
    for thread in threads:
        thread.join(30)
    assert len(caught) == 8


def test_another_platform_has_another_value(driver: Driver) -> None:
    secret = Secret("key")
    assert secret.version() == "v1"
    other = Driver()
    other.reads = 41
    with use_platform(One(other)):
        assert secret.version() == "v42"
    assert secret.value() == f"{HIDDEN}-2"  # what belonged to the other platform is not given here


@pytest.mark.parametrize("ttl", [timedelta(seconds=-1), timedelta(days=366)])
def test_times_to_live_that_are_refused(ttl: timedelta) -> None:
    with pytest.raises(ConfigError, match="ttl is 0 to 365 days"):
        Secret("key", ttl=ttl)


def test_declarations() -> None:
    app = App("saas")
    assert app.secret("key") is app.secret("key", ttl=timedelta(minutes=5))
    assert app.config("size", int, default=5) is app.config("size", int, default=5)
    assert app.secret("key").where[0] == app.config("size", int, default=5).where[0] == __file__
    for declare in (
        lambda: app.secret("key", ttl=timedelta(minutes=6)),
        lambda: app.config("size", int, default=6),
        lambda: app.config("size", str, default="5"),
        lambda: app.config("size", int),
    ):
        with pytest.raises(ConfigError, match="differs from its declaration"):
            declare()


class Text:
    def __init__(self, text: str | None) -> None:
        self.text = text

    def read(self) -> ConfigText:
        return ConfigText(self.text, "the shop's window")


class Limits(msgspec.Struct):
    size: int


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, " -7\n", -7),
        (int, "+7", 7),
        (float, "1e3", 1000.0),
        (float, "7", 7.0),
        (bool, "TRUE", True),
        (bool, "0", False),
        (str, " as it is\n", " as it is\n"),
        (str, "", ""),
        (Limits, '{"size":3}', Limits(3)),
        (Any, "[null]", [None]),
    ],
)
def test_what_fits(kind: Any, text: str, value: Any) -> None:
    with use_platform(One(Text(text))):
        assert Config("size", kind).value() == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, ""),
        (int, "1_000"),
        (int, "1.0"),
        (int, "٣"),
        (int, "9" * 5000),
        (float, "nan"),
        (float, "1e999"),
        (float, "1_0"),
        (bool, "2"),
        (bool, ""),
        (Limits, '{"size":"hidden"}'),
        (Limits, "hidden"),
    ],
)
def test_what_does_not_fit(kind: Any, text: str) -> None:
    with use_platform(One(Text(text))), pytest.raises(ConfigError) as caught:
        Config("size", kind).value()
    assert str(caught.value).startswith("config size: the text in the shop's window does not fit")
    assert "hidden" not in str(caught.value)
    assert caught.value.__context__ is None


def test_defaults() -> None:
    with use_platform(One(Text(None))):
        assert Config("size", int, default=0).value() == 0
        assert Config("size", Limits, default=Limits(1)).value() == Limits(1)
        with pytest.raises(ConfigError, match="config size has no value: the shop's window is not set"):
            Config("size").value()
    for kind, default in ((int, "1"), (int, True), (str, 1), (bool, 1), (float, True)):
        with pytest.raises(ConfigError, match="the default of a"):
            Config("size", kind, default=default)
    assert Config("size", float, default=1).options == {"ttl": 300.0, "optional": True, "form": "float"}


def test_a_declaration_imports_next_to_nothing() -> None:
    """Of a cold start it takes less than a millisecond: no timedelta, no JSON, no logging, no typing."""
    declare = "app.secret('k'); app.config('c', int, default=3); app.cache('x')"
    source = (
        "import json, sys; sys.path[:0] = json.loads(sys.argv[1]); from portable import App; app = App('a'); "
        f"before = set(sys.modules); {declare}; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    command = [sys.executable, "-I", "-S", "-c", source, json.dumps(sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    new = [name for name in json.loads(done.stdout) if not name.startswith("portable.resources")]
    assert set(new) <= {"portable.generics"}
