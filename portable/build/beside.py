"""Two parts of a build at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Beside"]

T = TypeVar("T")


class Beside(threading.Thread, Generic[T]):
    """A call on a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(name="portable-build")
        self._call = call
        self._error: BaseException | None = None
        self._result: T | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """What it gave. Raises what it raised."""
        self.join()
        if self._result is None:
            assert self._error is not None
            raise self._error
        return self._result
