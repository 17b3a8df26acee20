"""``Generic`` and ``T`` for ``Message[User]`` without importing ``typing``, which costs 9 ms at a cold start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, TypeVar

    T = TypeVar("T")
else:
    T = None
    _Alias = type(list[int])

    class Generic:
        """At run time: no more than something to subscribe."""

        __slots__ = ()

        def __class_getitem__(cls, item):  # noqa: ANN001, ANN204 - not for type checkers
            return cls if cls is Generic else _Alias(cls, item)


__all__ = ["Generic", "T"]
