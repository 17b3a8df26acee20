"""What events share: fields that are computed on first use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any, ClassVar

__all__ = ["Lazy", "check_aware"]


class Lazy:
    """An object whose unset slots are computed on first use by the functions in ``_lazy``.

    What cannot be, because the native event is not what its source documents, is a ValueError that names it.
    """

    __slots__ = ()
    _lazy: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name):  # noqa: ANN001, ANN204 - type checkers read the slots
            compute = self._lazy.get(name)
            if compute is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            try:
                value = compute(self)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                what = f"{type(self).__name__.lstrip('_')}.{name} cannot be read from what the cloud gave"
                raise ValueError(f"{what}: {type(error).__name__}: {error}") from error
            setattr(self, name, value)
            return value


def check_aware(name: str, instant: datetime) -> None:
    """Raise ValueError for an instant without a time zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{name} is an aware datetime, got one without a time zone: {instant!r}")
