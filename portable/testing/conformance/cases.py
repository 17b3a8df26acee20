"""What the suites share: declared faults of an emulator, gaps a case met, and work done by several threads at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier
from typing import Any, ClassVar, TypeVar

import pytest

from portable.errors import ServiceError

__all__ = ["GAP", "Conformance", "assert_names", "together"]

R = TypeVar("R")

GAP = "portable_gap"
"""The name under which a case's report says what it found refused, as it is declared."""


class Conformance:
    """Base of the suites.

    Attributes:
        emulator_faults: case name, without ``test_``, to the reason: where the emulator in use differs from the real
            cloud. Such a case is expected to fail, and fails the run when it passes. One parameter of a case is named
            as pytest shows it: ``hostile_key[emoji]``.
        driver: the column in the matrix, see ``portable.testing.matrix``; made of the folder and class when left out.
    """

    emulator_faults: ClassVar[Mapping[str, str]] = {}
    driver: ClassVar[str] = ""

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

    @pytest.fixture(autouse=True)
    def _note_gaps(self, request: pytest.FixtureRequest) -> None:
        """What the case looks up and finds refused is in its report: then it has proven the refusal."""

        def note(gap: str) -> None:
            if (GAP, gap) not in request.node.user_properties:
                request.node.user_properties.append((GAP, gap))

        capabilities: Mapping[str, Any] = getattr(self, "capabilities", {})
        unsupported: Mapping[str, Any] = getattr(self, "unsupported_keys", {})
        own = vars(self)
        own["capabilities"] = _Watched(capabilities, lambda name, found: None if found.given else note(name))
        own["unsupported_keys"] = _Watched(unsupported, lambda name, _: note(f"key {name}"))


class _Watched(Mapping[str, Any]):
    """A mapping that tells what is looked up in it."""

    def __init__(self, known: Mapping[str, Any], tell: Callable[[str, Any], None]) -> None:
        self._known = known
        self._tell = tell

    def __getitem__(self, name: str) -> Any:
        found = self._known[name]
        self._tell(name, found)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


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
