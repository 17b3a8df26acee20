"""Fuzzing within a budget of time: ``PORTABLE_FUZZ_SECONDS`` for all that was chosen together, 15 when it is not set.

A run is a row of turns of Hypothesis, each with a seed of its own counted from ``PORTABLE_FUZZ_SEED``: equal budgets on
equal machines see much the same, and a longer one sees more. An example may take ``MOST_CPU`` seconds of this process's
time: what takes longer is a hang, however busy the machine.
"""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SECONDS = float(os.environ.get("PORTABLE_FUZZ_SECONDS") or 15)
FIRST = int(os.environ.get("PORTABLE_FUZZ_SEED") or 0)
MOST_CPU = 10
PER_TURN = 150
FOLDER = Path(__file__).parent
SHARES: dict[str, float] = {}


class Hang(BaseException):
    """Nothing that catches exceptions may catch this one."""


@pytest.hookimpl(trylast=True)  # what was deselected has no share
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if FOLDER in item.path.parents]
    for item in ours:
        SHARES[item.nodeid] = SECONDS / len(ours)
        item.add_marker(pytest.mark.timeout(SECONDS + 240))


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """``fuzz(strategy, check)`` calls ``check`` with what it draws until this test's share of the time is over."""

    def hang(_number: int, _frame: object) -> None:
        raise Hang(f"an example took more than {MOST_CPU} seconds of CPU")

    def run(strategy: Any, check: Callable[[Any], object]) -> None:
        ends = time.monotonic() + SHARES[request.node.nodeid]
        turn, failed = FIRST, False

        def bounded(value: Any) -> None:
            nonlocal failed
            if turn > FIRST and not failed and time.monotonic() > ends:
                return
            signal.setitimer(signal.ITIMER_VIRTUAL, MOST_CPU)
            try:
                check(value)
            except BaseException:
                failed = True
                raise
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)

        while turn == FIRST or time.monotonic() < ends:
            options = settings(
                max_examples=PER_TURN if turn > FIRST else 20,
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                report_multiple_bugs=False,
            )
            seed(turn)(options(given(strategy)(bounded)))()
            turn += 1

    before = signal.signal(signal.SIGVTALRM, hang)
    yield run
    signal.signal(signal.SIGVTALRM, before)


def deep(levels: int, inner: Any = 1) -> Any:
    for _ in range(levels):
        inner = {"a": [inner]}
    return inner


ODD_TEXTS = [
    "", " ", "\x00", "\ud800", "é🐈", "%", "%zz", "%ff", "+", "../..", "0", "-1", "1e999", "nan", "9" * 400, "x" * 5000,
    "!!!=", "YQ", "YQ=", "8J-YgA==", "/w==", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00Z", "2026-03-29", "{", "[[[[",
    '{"a":', "arn:aws:x", "a:b", "null", "\r\nx: y", "CONNECT", "true", "a=b; c", ";;=;", "&&=&",
]  # fmt: skip
ODD_VALUES = [None, True, False, 0, -1, 1.5, 10**30, -(10**30), float("inf"), float("nan"), [], {}, [[]], [None]]
ODD_VALUES += [{"a": None}, ["a", 1, {}], deep(40)]
odd = st.one_of(st.sampled_from(ODD_TEXTS), st.sampled_from(ODD_VALUES), st.text(max_size=20), st.integers())


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every member and element: its container, and its key there."""
    found = []
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(pairs):
        found.append((document, key))
        found += places(value)
    return found


@st.composite
def mutated(draw: st.DrawFn, samples: list[Any]) -> Any:
    """A sample with members dropped, replaced, repeated, renamed or cut; seldom another JSON value altogether."""
    document = copy.deepcopy(draw(st.sampled_from(samples)))
    if draw(st.integers(0, 30)) == 0:
        return copy.deepcopy(draw(odd))
    for _ in range(draw(st.integers(1, 3))):
        there = places(document)
        if not there:
            break
        container, key = there[draw(st.integers(0, len(there) - 1))]
        value = container[key]
        how = draw(st.integers(0, 5))
        if how == 0:
            del container[key]
        elif how == 1 and isinstance(value, str):
            container[key] = value[: draw(st.integers(0, len(value)))]
        elif how == 2 and isinstance(value, str):
            at = draw(st.integers(0, len(value)))
            container[key] = value[:at] + draw(st.sampled_from(ODD_TEXTS)) + value[at:]
        elif how == 3 and isinstance(container, list):
            container.append(copy.deepcopy(value))
        elif how == 4 and isinstance(container, dict):
            container[draw(st.text(max_size=8))] = container.pop(key)
        else:
            container[key] = copy.deepcopy(draw(odd))
    return document


@pytest.fixture(scope="session")
def mutations() -> Callable[[list[Any]], Any]:
    """``mutations(samples)``: a strategy of malformed variants."""
    return mutated


@pytest.fixture
def errors_logged() -> Any:
    """The errors the framework logged with their exceptions."""
    import logging

    found: list[BaseException] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                found.append(record.exc_info[1])

    log, keep = logging.getLogger("portable"), Keep()
    log.addHandler(keep)
    propagates, log.propagate = log.propagate, False
    yield found
    log.removeHandler(keep)
    log.propagate = propagates


def touch(event: Any) -> str:
    """Every field of an event, read."""
    names = {name for kind in type(event).__mro__ for name in getattr(kind, "__slots__", ())}
    told = {name: getattr(event, name, None) for name in sorted(names) if not name.startswith("_") and name != "native"}
    for name in ("query", "headers"):
        if told.get(name) is not None:
            told[name] = told[name].items()
    return repr(told)


@pytest.fixture(scope="session")
def read_all() -> Callable[[Any], str]:
    return touch
