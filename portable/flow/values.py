"""What an expression may be, as far as it matters here: a text or a number is no value."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

__all__ = [
    "UNKNOWN",
    "Bound",
    "Cell",
    "Holder",
    "Live",
    "Made",
    "Nested",
    "Operations",
    "Partial",
    "Use",
    "Value",
    "Values",
]


class Live:
    """An object that is there now."""

    __slots__ = ("object",)

    def __init__(self, object: Any) -> None:
        self.object = object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Live) and other.object is self.object

    def __hash__(self) -> int:
        return id(self.object)


class _Same:
    """Equal by what it is made of."""

    __slots__ = ("_key",)

    def __init__(self, *key: Any) -> None:
        self._key = key

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._key == self._key

    def __hash__(self) -> int:
        return hash((type(self), self._key))


class Made(_Same):
    """Any instance of a class of the project that is made when the code runs."""

    __slots__ = ("cls",)

    def __init__(self, cls: type) -> None:
        super().__init__(cls)
        self.cls = cls


class Holder(_Same):
    """A list, dict, tuple or set, a partial, a class written within a function: whatever holds others. One for each
    place in the source, or for each container that is there now.
    """

    __slots__ = ("live",)

    def __init__(self, key: Any, live: Any = None) -> None:
        super().__init__(key)
        self.live = live


class Nested(_Same):
    """A function written within another, or a lambda, with the scope around it."""

    __slots__ = ("node", "scope")

    def __init__(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Any) -> None:
        super().__init__(node, id(scope))
        self.node = node
        self.scope = scope


class Bound(_Same):
    """A function with its first argument: a method of an object."""

    __slots__ = ("first", "function")

    def __init__(self, function: Value, first: Value) -> None:
        super().__init__(function, first)
        self.function = function
        self.first = first


class Use(_Same):
    """A method of a resource; ``resource`` is None for one of the class, whose first argument is the resource."""

    __slots__ = ("kind", "method", "resource")

    def __init__(self, kind: str, method: str, resource: Any) -> None:
        super().__init__(kind, method, id(resource))
        self.kind = kind
        self.method = method
        self.resource = resource


class Partial(_Same):
    """A function with some of its arguments, which are in cells of the trace. One for each place in the source."""

    __slots__ = ()


class Operations(_Same):
    """A transaction of a table."""

    __slots__ = ("table",)

    def __init__(self, table: Any) -> None:
        super().__init__(id(table))
        self.table = table


class _Unknown:
    __slots__ = ()


UNKNOWN = _Unknown()
"""Something of which nothing is known. No resource, unless one went out of sight."""

Value = Live | Made | Holder | Nested | Bound | Use | Partial | Operations | _Unknown
Values = frozenset[Value] | set[Value]


class Cell:
    """The values of one variable, attribute, container or return, each with the scope that put it there first, and the
    scopes that have read them. ``is_fixed``: one has whose analysis was taken over, see ``portable.flow.shared``.
    """

    __slots__ = ("is_fixed", "readers", "values")

    def __init__(self) -> None:
        self.values: dict[Value, Any] = {}
        self.readers: set[Any] = set()
        self.is_fixed = False

    def copy(self) -> Cell:
        """The same without its readers."""
        made = Cell()
        made.values.update(self.values)
        made.is_fixed = self.is_fixed
        return made

    def add(self, values: Iterable[Value], writer: Any) -> bool:
        """Whether one of them is new."""
        before = len(self.values)
        for value in values:
            self.values.setdefault(value, writer)
        return len(self.values) > before
