"""What a queue checks and encodes before any driver is asked, and its async twins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from portable import Queue
from portable.drivers import SendFailure
from portable.resources import use_platform


class Driver:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []

    def send(self, body: str, **options: Any) -> str:
        self.calls.append(("send", body, options))
        return "id-1"

    def send_many(self, bodies: Any) -> list[SendFailure]:
        self.calls.append(("send_many", bodies, {}))
        return [SendFailure(1, ValueError("too large"))]


class Platform:
    target = "test"

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, resource: Any) -> Any:
        return self.driver

    def close(self) -> None: ...


@dataclass
class Email:
    to: str


queue: Queue[Any] = Queue("emails")


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    with use_platform(Platform(driver)):
        yield driver


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method, or its twin."""

    def call(method: str, *args: Any, of: Queue[Any] = queue, **options: Any) -> Any:
        if request.param == "sync":
            return getattr(of, method)(*args, **options)
        return asyncio.run(getattr(of, f"a{method}")(*args, **options))

    return call


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"a": "é"}, '{"a":"é"}'),
        (None, "null"),
        ("a", '"a"'),
        (Email("x"), '{"to":"x"}'),
        ([Email("x")], '[{"to":"x"}]'),
    ],
)
def test_bodies_are_json_text(driver: Driver, do: Any, body: Any, text: str) -> None:
    assert do("send", body) == "id-1"
    usual = {"attributes": {}, "delay": None, "group": None, "dedup": None}
    assert driver.calls == [("send", text, usual)]


def test_options_are_passed_on(driver: Driver, do: Any) -> None:
    options = {"attributes": {"a": "b"}, "delay": timedelta(seconds=5), "group": "g", "dedup": "d"}
    ordered = Queue[Any]("emails", ordered=True, dedup=True)
    do("send", 1, of=ordered, **options)
    assert driver.calls == [("send", "1", options)]


@pytest.mark.parametrize("body", [object(), {"a": object()}, "\ud800", {(1, 2): 3}])
def test_bodies_that_are_no_json_are_refused_before_a_driver_is_asked(driver: Driver, do: Any, body: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        do("send", body)
    with pytest.raises((TypeError, ValueError)):
        do("send_many", [1, body])
    assert driver.calls == []


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 100, "9"])
def test_attribute_names(driver: Driver, do: Any, name: str) -> None:
    do("send", 1, attributes={name: "é\n"})
    assert driver.calls[0][2]["attributes"] == {name: "é\n"}


@pytest.mark.parametrize(
    "attributes",
    [
        {"": "a"},
        {"a b": "a"},
        {"a.b": "a"},
        {"é": "a"},
        {"-": "a"},
        {"a": ""},
        {"a": 5},
        {"a": None},
        {5: "a"},
        {f"a{at}": "b" for at in range(11)},
    ],
    ids=str,
)
def test_attributes_no_cloud_takes_are_refused(driver: Driver, do: Any, attributes: Any) -> None:
    with pytest.raises(ValueError, match="queue emails"):
        do("send", 1, attributes=attributes)
    assert driver.calls == []


def test_ten_attributes_are_taken(driver: Driver, do: Any) -> None:
    do("send", 1, attributes={f"a{at}": "b" for at in range(10)})
    assert len(driver.calls) == 1


def test_many_are_sent_at_once_and_the_refused_are_said(driver: Driver, do: Any) -> None:
    (failure,) = do("send_many", (body for body in (1, "a", Email("x"))))
    assert driver.calls == [("send_many", ["1", '"a"', '{"to":"x"}'], {})]
    assert failure.index == 1
    assert repr(failure) == "<SendFailure 1: too large>"


def test_the_decoder_is_made_once() -> None:
    typed = Queue("typed", Email)
    assert typed.decode is typed.decode
    assert typed.decode('{"to":"x"}') == typed.decode(b'{"to":"x"}') == Email("x")
    assert typed.max_attempts == 5
