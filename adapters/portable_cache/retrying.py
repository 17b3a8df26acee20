"""One more attempt for what does no harm twice."""

from __future__ import annotations

from portable.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["retrying"]

PAUSE = 0.05  # seconds


def retrying(call: Callable[[], T]) -> T:
    """What ``call`` gives, tried once more after UnavailableError."""
    from time import sleep

    try:
        return call()
    except UnavailableError:
        sleep(PAUSE)
    return call()
