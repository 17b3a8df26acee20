"""What is known so far, and what is still to be read again: the state of one function's analysis."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, NamedTuple

from portable.errors import ConfigError
from portable.flow.sources import Function, Project, local_names, nodes_of, parameters
from portable.flow.values import UNKNOWN, Cell, Holder, Live, Made, Nested, Value, Values
from portable.grants import beside, every, key_of
from portable.resources import Resource
from portable.signatures import MISSING, parameters_of, split_annotated

__all__ = ["Note", "Scope", "Trace", "contents"]

CONTAINERS = (dict, list, tuple, set, frozenset, deque, MappingProxyType)
_PLAIN = (str, int, float, bytes, complex, type(None), type(...))


class Note(NamedTuple):
    """Where something went out of sight. ``resource``: kind and name, None where it may be any."""

    where: tuple[str, int]
    message: str
    resource: tuple[str, str] | None


class Scope:
    """One function's variables: of its own, of the functions around it, of its module."""

    __slots__ = ("closure", "file", "globals", "locals", "node", "outside", "parent")

    def __init__(
        self, node: Function, file: str, scope: dict[str, Any], parent: Scope | None, closure: dict[str, Any]
    ) -> None:
        self.node = node
        self.file = file
        self.globals = scope
        self.parent = parent
        self.closure = closure
        self.locals, self.outside = local_names(node)

    @property
    def first(self) -> str | None:
        """The first parameter: ``self``."""
        return next(iter(parameters(self.node)[0]), None)


def contents(holder: Holder) -> Iterator[Any]:
    """What a container that is there now holds."""
    live = holder.live
    if isinstance(live, (dict, MappingProxyType)):
        yield from list(live.values())
        yield from list(live)
    elif live is not None:
        yield from list(live)


class Trace:
    """The analysis of what one function of the app may call.

    ``known``: objects of the project that the function can reach by name: an instance of unknown origin may be one of
    them. ``declared``: the app's resources. When it is done, ``grants`` has the verbs of each resource by kind and
    name, and ``notes`` where something could not be followed.
    """

    unknown = frozenset((UNKNOWN,))

    def __init__(
        self,
        project: Project,
        known: Iterable[Any],
        declared: dict[tuple[str, str], Any],
    ) -> None:
        self.project = project
        self.ours = project.owns
        self.roots: dict[int, Values] = {}
        self.declared = declared
        self.grants: dict[tuple[str, str], set[str]] = {}
        self.notes: list[Note] = []
        self.current: Scope | None = None
        self.node: ast.AST | None = None
        self.touched: set[Value] = set()
        self.escaped: set[Value] = set()
        self._cells: dict[Any, Cell] = {}
        self._scopes: dict[Any, Scope] = {}
        self._waiting: dict[Scope, None] = {}
        self._written: dict[int, list[Scope]] = {}
        self._noted: set[Any] = set()
        self.calling: set[Value] = set()
        self.opaque: set[FunctionType] = set()
        self._same: dict[tuple[int, str], Any] = {}
        self.held: dict[int, list[Value]] = {}
        self._kept: list[Any] = []  # ids are keys: what they are of stays
        self.classes: list[type] = []
        self.instances: list[Any] = []
        for one in known:
            if isinstance(one, type):
                if self.ours(one.__module__):
                    self.classes.append(one)
            elif self.is_instance(one):
                self.instances.append(one)
                self.classes.append(type(one))

    # --- cells

    def read(self, *key: Any) -> set[Any]:
        """The values of a cell so far. Who reads it is read again when there are more."""
        cell = self._cells.setdefault(key, Cell())
        if self.current is not None:
            cell.readers.add(self.current)
        return set(cell.values)

    def write(self, values: Iterable[Any], *key: Any) -> None:
        """Add values to a cell."""
        cell = self._cells.setdefault(key, Cell())
        if values and cell.add(values):
            self._waiting.update(dict.fromkeys(cell.readers))

    def put(self, values: Values, part: str, owner: Value, name: Any) -> None:
        """Add values to what ``owner`` has under a name (``part`` is ``"attribute"``) or a key (``"item"``)."""
        self.write({name}, f"{part}s", owner)
        self.write(values, part, owner, name)

    def kept(self, owner: int, name: str, made: Any) -> Any:
        """The same object each time for what is made anew when it is asked for: a bound method."""
        return self._same.setdefault((owner, name), made)

    def live(self, found: Any) -> set[Value]:
        """An object that is there now, as a value; nothing for a text or a number."""
        if isinstance(found, _PLAIN):
            return set()
        self._kept.append(found)
        if isinstance(found, CONTAINERS) and not self.is_instance(found):
            return {Holder(("live", id(found)), found)}
        return {Live(found)}

    def is_instance(self, found: Any) -> bool:
        """Whether an object is one of a class of the project."""
        return not isinstance(found, (type, ModuleType, FunctionType)) and self.ours(type(found).__module__)

    def elements(self, holder: Holder) -> set[Value]:
        """All that a container may hold."""
        found = self.read("element", holder)
        for name in self.read("items", holder):
            found |= self.read("item", holder, name)
        for one in contents(holder):
            found |= self.live(one)
        return found

    def owns(self, function: Any) -> bool:
        """Whether this is a function, and written in the project."""
        return isinstance(function, FunctionType) and self.project.wrote(function)

    # --- what is found

    def allow(self, resource: Any, verbs: Iterable[str], others: Iterable[str] = ()) -> None:
        """Grant verbs of a resource, and ``others`` of what stands beside it."""
        self.grants.setdefault(key_of(resource), set()).update(verbs)
        other = beside(resource)
        if other is not None:
            self.grants.setdefault(key_of(other), set()).update(others)

    def allow_all(self, resource: Resource, why: str) -> None:
        """Grant every verb of a resource, and say why."""
        for key, verbs in every(resource):
            self.grants.setdefault(key, set()).update(verbs)
        self.note(why, key_of(resource))

    def note(self, why: str, resource: tuple[str, str] | None) -> None:
        """Say once where something went out of sight."""
        where = self.where()
        if (where, resource) not in self._noted:
            self._noted.add((where, resource))
            self.notes.append(Note(where, why, resource))

    def where(self) -> tuple[str, int]:
        """File and line of what is being read."""
        if self.current is None:
            return "", 0
        return self.current.file, getattr(self.node, "lineno", self.current.node.lineno)

    # --- functions

    def scopes_of(self, function: FunctionType) -> list[Scope]:
        """The scopes of a function of the project; nothing where its source is not there."""
        known = self._written.get(id(function))
        if known is not None:
            return known
        found: list[Scope] = []
        self._written[id(function)] = found
        for node in nodes_of(function):
            scope = self._scopes.get((node, id(function)))
            if scope is None:
                self._kept.append(function)
                closure = {}
                for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                    try:
                        closure[name] = cell.cell_contents
                    except ValueError:  # not filled yet
                        continue
                scope = Scope(node, function.__code__.co_filename, function.__globals__, None, closure)
                self._scopes[node, id(function)] = scope
                self._waiting[scope] = None
                self._bind_defaults(scope, function)
            found.append(scope)
        return found

    def _bind_defaults(self, scope: Scope, function: FunctionType) -> None:
        positional = parameters(scope.node)[0]
        given = zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False)
        for name, value in (*given, *(function.__kwdefaults__ or {}).items()):
            self.write(self.live(value), "variable", scope, name)

    def scope_within(self, nested: Nested) -> Scope:
        """The scope of a function written within another."""
        key = (nested.node, nested.scope)
        scope = self._scopes.get(key)
        if scope is None:
            around: Scope = nested.scope
            scope = self._scopes[key] = Scope(nested.node, around.file, around.globals, around, {})
            self._waiting[scope] = None
        return scope

    def bind(self, scope: Scope, given: list[Values], named: dict[str, Values], rest: Values) -> set[Value]:
        """Hand arguments to a function: in order, by name, and those that may be any. What it returns so far."""
        positional, only, others, options = parameters(scope.node)
        several = Holder(("rest", scope))
        for index, values in enumerate(given):
            if index < len(positional):
                self.write(values, "variable", scope, positional[index])
            elif others:
                self.put(values, "item", several, index - len(positional))
        keywords = Holder(("named", scope))
        for name, values in named.items():
            if name in positional or name in only:
                self.write(values, "variable", scope, name)
            elif options:
                self.put(values, "item", keywords, name)
        if rest:
            for name in (*positional[len(given) :], *only):
                if name not in named:
                    self.write(rest, "variable", scope, name)
            self.write(rest, "element", several)
            self.write(rest, "element", keywords)
        if others:
            self.write({several}, "variable", scope, others)
        if options:
            self.write({keywords}, "variable", scope, options)
        return self.read("return", scope)

    def typed(self, annotation: Any) -> set[Value]:
        """What a parameter may be that is given from outside, going by its annotation."""
        if annotation is MISSING:
            return {UNKNOWN}
        annotation = split_annotated(annotation)[0]
        found: set[Value] = set()
        if isinstance(annotation, type) and self.ours(annotation.__module__):
            found.add(Made(annotation))
            # By what they name as their bases: a TypedDict, or a protocol, cannot be asked.
            found |= {Made(one) for one in self.classes if annotation in one.__mro__}
            found |= {Live(one) for one in self.instances if annotation in type(one).__mro__}
        for argument in getattr(annotation, "__args__", None) or ():
            if not isinstance(argument, (str, int, bytes)):
                found |= self.typed(argument)
        return found

    def parameters_of(self, function: Any) -> list[Any]:
        """See ``portable.signatures``; nothing for what has none that can be read."""
        try:
            return parameters_of(function)
        except (ConfigError, ValueError, TypeError):
            return []

    def size(self) -> int:
        """How much is known: it grows until nothing new is found."""
        return sum(len(cell.values) for cell in self._cells.values()) + len(self._scopes)

    def waiting(self) -> Scope | None:
        """The next scope to be read."""
        scope = next(iter(self._waiting), None)
        if scope is not None:
            del self._waiting[scope]
        return scope
