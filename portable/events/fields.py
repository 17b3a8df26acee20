"""Names with one or several values: of a query, and of headers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, TypeVar, overload

    T = TypeVar("T")

__all__ = ["Headers", "Query"]


class Query:
    """Query parameters in order, each name with one or several values. ``[]`` and ``get`` give the last value."""

    __slots__ = ("_index", "_pairs")
    _pairs: list[tuple[str, str]]
    _index: dict[str, list[str]]

    def __init__(self, pairs: Iterable[tuple[str, str]] | Mapping[str, str] = ()) -> None:
        found = pairs.items() if hasattr(pairs, "items") else pairs
        self._pairs = [(self._fold(name), value) for name, value in found]
        index: dict[str, list[str]] = {}
        for name, value in self._pairs:
            if name in index:
                index[name].append(value)
            else:
                index[name] = [value]
        self._index = index

    @staticmethod
    def _fold(name: str) -> str:
        return name

    def get_all(self, name: str) -> list[str]:
        """Every value of ``name``, in order; an empty list when there is none."""
        return list(self._index.get(self._fold(name), ()))

    def _one(self, name: str, values: list[str]) -> str:  # noqa: ARG002 - headers join by name
        return values[-1]

    def __getitem__(self, name: str) -> str:
        folded = self._fold(name)
        return self._one(folded, self._index[folded])

    if TYPE_CHECKING:

        @overload
        def get(self, name: str) -> str | None: ...
        @overload
        def get(self, name: str, default: T) -> str | T: ...

    def get(self, name: str, default: Any = None) -> Any:
        """The value of ``name``, or ``default``."""
        folded = self._fold(name)
        values = self._index.get(folded)
        return default if values is None else self._one(folded, values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._fold(name) in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def items(self) -> list[tuple[str, str]]:
        """Every ``(name, value)`` pair in order, repeated names repeated."""
        return list(self._pairs)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._pairs == self._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"


class Headers(Query):
    """Header fields: names in any case, kept in lower case; ``[]`` and ``get`` join repeated values with a comma.

    Joined as API Gateway's payload 2.0 joins them (``a,b``; cookies with ``; ``), so that a handler reads the same
    string on every cloud.
    """

    __slots__ = ()

    @staticmethod
    def _fold(name: str) -> str:
        return name.lower()

    def _one(self, name: str, values: list[str]) -> str:
        if len(values) == 1:
            return values[0]
        return ("; " if name == "cookie" else ",").join(values)

    def add(self, name: str, value: str) -> None:
        """Append a value, keeping those already there."""
        self._pairs.append((name.lower(), value))
        self._index.setdefault(name.lower(), []).append(value)

    def __setitem__(self, name: str, value: str) -> None:
        folded = name.lower()
        self._pairs = [pair for pair in self._pairs if pair[0] != folded]
        self._index.pop(folded, None)
        self.add(folded, value)

    def setdefault(self, name: str, value: str) -> None:
        """Set ``name`` unless it is there."""
        if name not in self:
            self.add(name, value)
