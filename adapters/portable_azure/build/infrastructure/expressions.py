"""Expressions of ARM templates: made from parts, and read back from a template's text.

https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from portable.errors import ConfigError

__all__ = ["Call", "Expression", "Member", "call", "id_of", "parse", "plain", "property_of", "text", "variable"]


class Expression(str):
    """An expression without its brackets: ``variables('data')``."""

    __slots__ = ()


def _argument(value: Any) -> str:
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, bool):
        return f"{str(value).lower()}()"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def call(name: str, *arguments: Any) -> Expression:
    """A call of a template function; arguments are expressions, texts and whole numbers."""
    return Expression(f"{name}({', '.join(_argument(one) for one in arguments)})")


def variable(name: str) -> Expression:
    """A variable of the template."""
    return call("variables", name)


def text(form: str, *arguments: Any) -> Expression:
    """A text with ``{0}``, ``{1}`` … in it."""
    return call("format", form, *arguments)


def property_of(symbol: str, path: str) -> Expression:
    """A property that a resource has once it is there: ``property_of("data", "primaryEndpoints.blob")``."""
    return Expression(f"{call('reference', symbol)}.{path}")


def id_of(kind: str, *names: Any) -> Expression:
    """The id of a resource of this group."""
    return call("resourceId", kind, *names)


def plain(value: Any) -> Any:
    """A template's JSON: expressions in brackets, and a text that would be taken for one escaped."""
    if isinstance(value, Expression):
        return f"[{value}]"
    if isinstance(value, str):
        return f"[{value}" if value.startswith("[") else value
    if isinstance(value, dict):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


class Call(msgspec.Struct, frozen=True):
    """A call, as it was read. Arguments are texts, whole numbers, calls and members."""

    name: str
    arguments: tuple[Any, ...]


class Member(msgspec.Struct, frozen=True):
    """A member of a value: ``.name`` or ``[index]``."""

    of: Any
    name: Any


_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[().,\[\]]))")


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(source.rstrip()):
        found = _TOKEN.match(source, at)
        if found is None:
            raise ConfigError(f"no expression of a template: [{source}], at {source[at:]!r}")
        at = found.end()
        yield str(found.lastgroup), found[str(found.lastgroup)]
    yield "end", ""


def parse(value: str) -> Any:
    """What a text of a template says: the text itself, or the tree of its expression. Raises ConfigError."""
    if not (value.startswith("[") and value.endswith("]")):
        return value
    if value.startswith("[["):
        return value[1:]
    return _Reader(value[1:-1]).all()


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(_tokens(source))
        self._at = 0

    def _next(self, wanted: str | None = None) -> tuple[str, str]:
        kind, found = self._tokens[self._at]
        if wanted is not None and found != wanted:
            raise ConfigError(f"no expression of a template: [{self._source}]; {wanted!r} is missing")
        self._at += 1
        return kind, found

    def _is(self, mark: str) -> bool:
        return self._tokens[self._at] == ("mark", mark)

    def all(self) -> Any:
        found = self._value()
        if self._next()[0] != "end":
            raise ConfigError(f"no expression of a template: [{self._source}]")
        return found

    def _value(self) -> Any:
        kind, found = self._next()
        if kind == "text":
            return found[1:-1].replace("''", "'")
        if kind == "number":
            return int(found)
        if kind != "name":
            raise ConfigError(f"no expression of a template: [{self._source}], at {found!r}")
        self._next("(")
        arguments = []
        while not self._is(")"):
            arguments.append(self._value())
            if not self._is(")"):
                self._next(",")
        self._next(")")
        value: Any = Call(found, tuple(arguments))
        while self._is(".") or self._is("["):
            if self._next()[1] == ".":
                value = Member(value, self._next()[1])
            else:
                value = Member(value, self._value())
                self._next("]")
        return value
