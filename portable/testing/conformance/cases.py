"""What the suites share: declared faults of an emulator, and work done by several threads at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier
from typing import Any, ClassVar, TypeVar

import pytest

from portable.errors import ServiceError

__all__ = ["Conformance", "assert_names", "together"]

R = TypeVar("R")


class Conformance:
    """Base of the suites.

    Attributes:
        emulator_faults: case name, without ``test_``, to the reason: where the emulator in use differs from the real
            cloud. Such a case is expected to fail, and fails the run when it passes. One parameter of a case is named
            as pytest shows it: ``hostile_key[emoji]``.
    """

    emulator_faults: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for fault in cls.emulator_faults:
            case = f"test_{fault.partition('[')[0]}"
            if not hasattr(cls, case):
                raise TypeError(f"{cls.__name__}.emulator_faults names {fault!r}, and there is no case {case}")

    @pytest.fixture(autouse=True)
    def _expect_declared_faults(self, request: pytest.FixtureRequest) -> None:
        case = request.node.name.removeprefix("test_")
        reason = self.emulator_faults.get(case) or self.emulator_faults.get(case.partition("[")[0])
        if reason:
            request.applymarker(pytest.mark.xfail(reason=f"the emulator: {reason}", strict=True))


def together(count: int, work: Callable[[int], R]) -> list[R | Exception]:
    """What ``work(0)``, ``work(1)`` … gave or raised, each on a thread of its own, all let go at once.

    Threads start with the caller's context, so the platform in force here is in force there.
    """
    gate = Barrier(count)

    def one(position: int) -> R | Exception:
        gate.wait(30)
        try:
            return work(position)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(copy_context().run, one, position) for position in range(count)]
        return [future.result() for future in futures]


def assert_names(error: ServiceError, resource: str, key: str | None) -> None:
    """An error says what was used: in its attributes for programs, in its text for people."""
    assert error.resource == resource
    assert resource in str(error)
    if key is not None:
        assert error.key == key
        assert repr(key) in str(error)
