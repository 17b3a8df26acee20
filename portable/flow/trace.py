"""What is known so far, and what is still to be read again: the state of one function's analysis."""

from __future__ import annotations

import ast
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any, NamedTuple

from portable.errors import ConfigError
from portable.flow.shared import Arguments, Facts, Interference, Record, Shared, Summary, arguments_of
from portable.flow.sources import Function, Project, local_names, nodes_of, parameters
from portable.flow.values import UNKNOWN, Cell, Holder, Live, Made, Nested, Value, Values
from portable.grants import beside, every, key_of
from portable.resources import Resource
from portable.signatures import MISSING, parameters_of, split_annotated

__all__ = ["Note", "Scope", "Trace", "contents"]

CONTAINERS = (dict, list, tuple, set, frozenset, deque, MappingProxyType)
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)
_PLAIN = (str, int, float, bytes, complex, type(None), type(...))


class Note(NamedTuple):
    """Where something went out of sight. ``resource``: kind and name, None where it may be any."""

    where: tuple[str, int]
    message: str
    resource: tuple[str, str] | None


class Scope:
    """One function's variables: of its own, of the functions around it, of its module."""

    __slots__ = ("closure", "file", "function", "globals", "locals", "node", "outside", "parent")

    def __init__(
        self, node: Function, file: str, scope: dict[str, Any], parent: Scope | None, closure: dict[str, Any]
    ) -> None:
        self.node = node
        self.file = file
        self.globals = scope
        self.parent = parent
        self.closure = closure
        self.function: FunctionType | None = None
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
        shared: Shared | None = None,
    ) -> None:
        self.project = project
        self.ours = project.owns
        self.roots: dict[int, Values] = {}
        self.declared = declared
        self.grants: dict[tuple[str, str], set[str]] = {}
        self.notes: list[Note] = []
        self.current: Scope | None = None
        self.node: ast.AST | None = None
        self.touched: set[tuple[Scope | None, Value]] = set()
        self._shared = shared
        self._common = shared or Shared()
        self.held = self._common.held
        self._cells: dict[Any, Cell] = {}
        self._base: dict[Any, Cell] = {}
        self._begun: set[Scope] = set()
        self._facts: dict[Scope, Facts] = {}
        self._taken: dict[Any, Summary] = {}
        self._waiting: dict[Scope, None] = {}
        self._noted: set[Any] = set()
        self.calling: set[Value] = set()
        self.opaque: set[FunctionType] = set()
        self._classes: list[type] = []
        self._instances: list[Any] = []
        for one in known:
            if isinstance(one, type):
                if self.ours(one.__module__):
                    self._classes.append(one)
            elif self.is_instance(one):
                self._instances.append(one)
                self._classes.append(type(one))

    @property
    def classes(self) -> list[type]:
        """The project's that the function can reach by name: who asks goes by what is this function's alone."""
        self.set_own()
        return self._classes

    @property
    def instances(self) -> list[Any]:
        """See :attr:`classes`."""
        self.set_own()
        return self._instances

    # --- what is shared with other functions' analyses

    def set_own(self) -> None:
        """What is being read goes by what is this function's alone."""
        if self.current is not None:
            self._facts[self.current].is_own = True

    def publish(self) -> None:
        """Let the analyses of other functions take over what follows from calls in this one, which is done."""
        if self._shared is not None:
            self._shared.publish(Record(self._facts, self._base | self._cells, self._taken))

    def _cell(self, key: Any) -> Cell:
        cell = self._cells.get(key)
        if cell is None:
            base = self._base.get(key)
            cell = self._cells[key] = Cell() if base is None else base.copy()
        return cell

    def _begin(self, scope: Scope, given: Arguments) -> None:
        """A scope is called: what follows from that is known from elsewhere, or it has to be read."""
        call = (scope, frozenset(given.items()))
        if self.current is not None:
            self._facts[self.current].calls.add(call)
        if call in self._taken or scope in self._begun:
            return
        summary = self._shared.follows(scope, given) if self._shared is not None else None
        if summary is not None and self._take(summary):
            self._taken[call] = summary
            return
        self._begun.add(scope)
        self._facts[scope] = Facts()
        self._waiting[scope] = None
        self._bind_defaults(scope)

    def _take(self, summary: Summary) -> bool:
        """Take over what follows from a call, unless something else has come to it already."""
        for key in summary.cells.keys() & (self._cells.keys() | self._base.keys()):
            known = self._cells.get(key) or self._base[key]
            new = summary.cells[key]
            if new.is_fixed and not known.values.keys() <= new.values.keys():
                return False
            if known.is_fixed and not new.values.keys() <= known.values.keys():
                return False
        for key, cell in summary.cells.items():
            if key not in self._cells and key not in self._base:
                self._base[key] = cell
                continue
            own = self._cell(key)
            before = len(own.values)
            for value, writer in cell.values.items():
                own.values.setdefault(value, writer)
            own.is_fixed = own.is_fixed or cell.is_fixed
            if len(own.values) > before:
                self._waiting.update(dict.fromkeys(own.readers))
        for resource, verbs in summary.grants.items():
            self.grants.setdefault(resource, set()).update(verbs)
        for place, note in summary.notes.items():
            self._note(place, note)
        return True

    # --- cells

    def read(self, *key: Any) -> set[Any]:
        """The values of a cell so far. Who reads it is read again when there are more."""
        cell = self._cell(key)
        if self.current is not None and self.current not in cell.readers:
            cell.readers.add(self.current)
            self._facts[self.current].reads.add(key)
        return set(cell.values)

    def write(self, values: Iterable[Any], *key: Any) -> None:
        """Add values to a cell. Raises Interference where who read it is done with it."""
        if values:
            self._write(values, key, self.current)

    def _write(self, values: Iterable[Any], key: Any, writer: Scope | None) -> None:
        cell = self._cell(key)
        if writer is not None:
            self._facts[writer].writes.setdefault(key, set()).update(values)
        if cell.add(values, writer):
            if cell.is_fixed:
                raise Interference
            self._waiting.update(dict.fromkeys(cell.readers))

    def put(self, values: Values, part: str, owner: Value, name: Any) -> None:
        """Add values to what ``owner`` has under a name (``part`` is ``"attribute"``) or a key (``"item"``)."""
        self.write({name}, f"{part}s", owner)
        self.write(values, part, owner, name)

    def kept(self, owner: int, name: str, made: Any) -> Any:
        """The same object each time for what is made anew when it is asked for: a bound method."""
        return self._common.same.setdefault((owner, name), made)

    def live(self, found: Any) -> set[Value]:
        """An object that is there now, as a value; nothing for a text or a number."""
        try:
            if type(found) in _PROXIES:
                found = found.__repr__.__self__
            if isinstance(found, _PLAIN):
                return set()
        except Exception:  # a proxy without anything behind it may raise whatever it likes
            return set()
        self._common.kept.append(found)
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
        self._allow(key_of(resource), verbs)
        other = beside(resource)
        if other is not None:
            self._allow(key_of(other), others)

    def allow_all(self, resource: Resource, why: str) -> None:
        """Grant every verb of a resource, and say why."""
        for key, verbs in every(resource):
            self._allow(key, verbs)
        self.note(why, key_of(resource))

    def _allow(self, key: tuple[str, str], verbs: Iterable[str]) -> None:
        self.grants.setdefault(key, set()).update(verbs)
        if self.current is not None:
            self._facts[self.current].grants.setdefault(key, set()).update(verbs)

    def note(self, why: str, resource: tuple[str, str] | None) -> None:
        """Say once where something went out of sight."""
        place = (self.where(), resource)
        note = Note(place[0], why, resource)
        if self.current is not None:
            self._facts[self.current].notes.setdefault(place, note)
        self._note(place, note)

    def _note(self, place: Any, note: Note) -> None:
        if place not in self._noted:
            self._noted.add(place)
            self.notes.append(note)

    def where(self) -> tuple[str, int]:
        """File and line of what is being read."""
        if self.current is None:
            return "", 0
        return self.current.file, getattr(self.node, "lineno", self.current.node.lineno)

    # --- functions

    def scopes_of(self, function: FunctionType) -> list[Scope]:
        """The scopes of a function of the project; nothing where its source is not there."""
        known: list[Scope] | None = self._common.written.get(id(function))
        if known is not None:
            return known
        found: list[Scope] = []
        self._common.written[id(function)] = found
        self._common.kept.append(function)
        for node in nodes_of(function):
            closure = {}
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                try:
                    closure[name] = cell.cell_contents
                except ValueError:  # not filled yet
                    continue
            scope = Scope(node, function.__code__.co_filename, function.__globals__, None, closure)
            scope.function = function
            found.append(scope)
        return found

    def _bind_defaults(self, scope: Scope) -> None:
        function = scope.function
        if function is None:
            return
        positional = parameters(scope.node)[0]
        given = zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False)
        for name, value in (*given, *(function.__kwdefaults__ or {}).items()):
            self._write(self.live(value), ("variable", scope, name), scope)

    def scope_within(self, nested: Nested) -> Scope:
        """The scope of a function written within another."""
        key = (nested.node, nested.scope)
        scope: Scope | None = self._common.scopes.get(key)
        if scope is None:
            around: Scope = nested.scope
            scope = self._common.scopes[key] = Scope(nested.node, around.file, around.globals, around, {})
        return scope

    def bind(self, scope: Scope, given: list[Values], named: dict[str, Values], rest: Values) -> set[Value]:
        """Hand arguments to a function: in order, by name, and those that may be any. What it returns so far."""
        put = arguments_of(scope, given, named, rest)
        self._begin(scope, put)
        for key, values in put.items():
            self.write(values, *key)
        _, _, others, options = parameters(scope.node)
        writer = scope if scope in self._begun else None
        if others and writer:
            self._write({Holder(("rest", scope))}, ("variable", scope, others), writer)
        if options and writer:
            self._write({Holder(("named", scope))}, ("variable", scope, options), writer)
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
        return sum(len(cell.values) for cell in self._cells.values()) + len(self._begun) + len(self._taken)

    def waiting(self) -> Scope | None:
        """The next scope to be read."""
        scope = next(iter(self._waiting), None)
        if scope is not None:
            del self._waiting[scope]
        return scope
