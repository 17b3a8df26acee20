"""Names, expressions and targets: what each gives, and where it puts it."""

from __future__ import annotations

import ast
import builtins
from types import FunctionType, ModuleType
from typing import Any

from portable.flow.attributes import assign, attribute, inside
from portable.flow.calls import by_itself, call, call_method, container_method, escape, touch
from portable.flow.held import held
from portable.flow.trace import Scope, Trace
from portable.flow.values import UNKNOWN, Bound, Holder, Live, Made, Nested, Value, Values
from portable.resources import Resource

__all__ = ["Expressions", "name_of"]

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


class Expressions:
    """Of one function, with what is known by now."""

    def __init__(self, trace: Trace, scope: Scope) -> None:
        self.trace = trace
        self.scope = scope

    # --- names

    def lookup(self, name: str) -> set[Value]:
        scope: Scope | None = self.scope
        while scope is not None:
            if name in scope.locals:
                return self.trace.read("variable", scope, name)
            if name in scope.outside:
                break
            if name in scope.closure:
                return self.trace.live(scope.closure[name]) | self.trace.read("variable", id(scope.closure), name)
            scope = scope.parent
        module = self.scope.globals
        found = self.trace.read("global", id(module), name)
        if name in module:
            return found | self.trace.live(module[name])
        return found | ({Live(getattr(builtins, name))} if hasattr(builtins, name) else set())

    def store(self, name: str, values: Values) -> None:
        scope: Scope | None = self.scope
        while scope is not None:
            if name in scope.locals:
                self.trace.write(values, "variable", scope, name)
                return
            if name in scope.outside:
                break
            if name in scope.closure:
                self.trace.write(values, "variable", id(scope.closure), name)
                return
            scope = scope.parent
        self.trace.write(values, "global", id(self.scope.globals), name)

    # --- functions within the function

    def _nested(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Nested:
        nested = Nested(node, self.scope)
        scope = self.trace.scope_within(nested)
        given = node.args
        positional = [*given.posonlyargs, *given.args]
        for argument, default in zip(reversed(positional), reversed(given.defaults), strict=False):
            self.trace.write(self.value(default), "variable", scope, argument.arg)
        for argument, one in zip(given.kwonlyargs, given.kw_defaults, strict=True):
            if one is not None:
                self.trace.write(self.value(one), "variable", scope, argument.arg)
        return nested

    # --- assignment

    def put(self, target: ast.expr, source: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(source, (ast.Tuple, ast.List)):
            stars = any(isinstance(one, ast.Starred) for one in (*target.elts, *source.elts))
            if len(target.elts) == len(source.elts) and not stars:
                for one, value in zip(target.elts, source.elts, strict=True):
                    self.put(one, value)
                return
        self.put_values(target, self.value(source))

    def put_values(self, target: ast.expr, values: Values) -> None:
        trace = self.trace
        if isinstance(target, ast.Name):
            self.store(target.id, values)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for index, one in enumerate(target.elts):
                exact = not any(isinstance(star, ast.Starred) for star in target.elts)
                self.put_values(one, self.subscript(values, index) if exact else self.parts(values))
        elif isinstance(target, ast.Starred):
            self.put_values(target.value, values)
        elif isinstance(target, ast.Attribute):
            bases = self.value(target.value)
            trace.node = target
            assign(trace, bases, target.attr, values)
            if not bases or UNKNOWN in bases:
                escape(trace, values, "it is kept in an object that nobody knows")
        elif isinstance(target, ast.Subscript):
            self._put_item(target, values)

    def _put_item(self, target: ast.Subscript, values: Values) -> None:
        trace = self.trace
        index = self.value(target.slice)
        bases = self.value(target.value)
        trace.node = target
        constant = _constant(target.slice)
        for base in bases:
            if isinstance(base, Holder):
                if constant is None:
                    trace.write(values | index, "element", base)
                else:
                    trace.put(values, "item", base, constant)
            elif isinstance(base, (Live, Made)) and call_method(trace, base, "__setitem__", [index, values], set()):
                continue
            elif isinstance(base, Made) or (isinstance(base, Live) and trace.is_instance(base.object)):
                trace.write(values | index, "element", inside(trace, base))
            else:
                escape(trace, values, "it is kept in an object that nobody knows")
        if not bases:
            escape(trace, values, "it is kept in an object that nobody knows")

    # --- expressions

    def value(self, node: ast.expr) -> set[Value]:
        handler = getattr(self, f"_{type(node).__name__.lower()}_value", None)
        if handler is not None:
            found: set[Value] = handler(node)
        else:  # a constant, a comparison, an operator, a formatted text: what special methods may give
            found = set()
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    found |= self._operated(self.value(child))
        for one in found:
            touch(self.trace, one)
        return found

    def _operated(self, values: Values) -> set[Value]:
        """What an operator makes of values: containers joined, what special methods return."""
        found: set[Value] = {one for one in values if isinstance(one, Holder)}
        for one in values:
            found |= by_itself(self.trace, one)
        return found

    def parts(self, values: Values) -> set[Value]:
        """What iterating over values, or taking some of them, may give."""
        found = set()
        for one in values:
            if isinstance(one, Holder):
                found |= {one} | self.trace.elements(one)
            elif not (isinstance(one, Live) and isinstance(one.object, type)):
                found |= {one} | by_itself(self.trace, one) | self._within(one)
            else:
                members = getattr(one.object, "__members__", {})  # of an enumeration
                found |= {Live(member) for member in members.values()} | {Made(one.object)}
        return found

    def _inside(self, one: Value) -> Holder | None:
        """Of an instance of the project whose items are not the project's to say: it is a dict, a UserDict."""
        if not isinstance(one, Made) and not (isinstance(one, Live) and self.trace.is_instance(one.object)):
            return None
        cls = one.cls if isinstance(one, Made) else type(one.object)
        base = next((of for of in cls.__mro__ if "__getitem__" in vars(of) or "__iter__" in vars(of)), None)
        return inside(self.trace, one) if base is not None and not self.trace.ours(base.__module__) else None

    def _within(self, one: Value) -> set[Value]:
        """What an object holds whose iteration, or items, are not the project's to say."""
        holder = self._inside(one)
        if holder is not None:
            return self.trace.elements(holder)
        if isinstance(one, Live) and not isinstance(one.object, (FunctionType, ModuleType, Resource)):
            return set(held(self.trace, one.object))
        return set()

    def subscript(self, values: Values, constant: Any) -> set[Value]:
        """``x[constant]``; None for an index that is not written there."""
        trace = self.trace
        found: set[Value] = set()
        for one in values:
            if not isinstance(one, Holder) or constant is None:
                found |= self.parts({one}) - (
                    {one} if isinstance(one, (Made, Holder)) and constant is not None else set()
                )
                continue
            exact = trace.read("item", one, constant) | trace.read("element", one)
            live = one.live
            try:
                if live is not None and not isinstance(live, (set, frozenset)):
                    exact |= trace.live(live[constant])
                found |= exact
            except (KeyError, IndexError, TypeError):
                found |= exact or trace.elements(one)
            if live is None and constant not in trace.read("items", one):
                found |= trace.elements(one)
        return found

    def _name_value(self, node: ast.Name) -> set[Value]:
        return self.lookup(node.id)

    def _constant_value(self, _node: ast.Constant) -> set[Value]:
        return set()

    def _namedexpr_value(self, node: ast.NamedExpr) -> set[Value]:
        values = self.value(node.value)
        self.put_values(node.target, values)
        return values

    def _attribute_value(self, node: ast.Attribute, *, called: bool = False) -> set[Value]:
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name) and node.value.func.id == "super":
            return self._above(node.value, node.attr)
        bases = self.value(node.value)
        self.trace.node = node
        found: set[Value] = set()
        for base in bases:
            method = container_method(base, node.attr) if isinstance(base, Holder) and called else None
            found |= {method} if method is not None else attribute(self.trace, {base}, node.attr, called=called)
        return found

    def _above(self, node: ast.Call, name: str) -> set[Value]:
        """``super().name``."""
        scope: Scope = self.scope
        while scope.parent is not None:
            scope = scope.parent
        own = scope.closure.get("__class__")
        if node.args:
            own = next((one.object for one in self.value(node.args[0]) if isinstance(one, Live)), own)
        first = scope.first
        found: set[Value] = set()
        for value in self.trace.read("variable", scope, first) if first is not None else ():
            cls = value.cls if isinstance(value, Made) else getattr(value, "object", None)
            cls = cls if isinstance(cls, type) else type(cls)
            mro = cls.__mro__[cls.__mro__.index(own) + 1 :] if own in cls.__mro__ else ()
            base = next((one for one in mro if name in vars(one)), None)
            if base is object and name == "__new__":
                found.add(Live(object.__new__))
            if base is not None and self.trace.ours(base.__module__):
                raw = vars(base)[name]
                raw = getattr(raw, "fget", raw) if isinstance(raw, property) else raw
                found |= {Bound(one, value) for one in self.trace.live(getattr(raw, "__func__", raw))}
                if isinstance(vars(base)[name], property):
                    found |= call(self.trace, found, [], {}, set())
        return found

    def _call_value(self, node: ast.Call) -> set[Value]:
        trace = self.trace
        if isinstance(node.func, ast.Attribute):
            functions = self._attribute_value(node.func, called=True)
        else:
            functions = self.value(node.func)
        given: list[Values] = []
        named: dict[str, Values] = {}
        rest: set[Value] = set()
        constants: dict[Any, Any] = {}
        unknown = False
        for index, argument in enumerate(node.args):
            if isinstance(argument, ast.Starred):
                rest |= self.parts(self.value(argument.value))
                continue
            if isinstance(argument, ast.Constant):
                constants[index] = argument.value
            (rest.update if rest else given.append)(self.value(argument))
        for keyword in node.keywords:
            values = self.value(keyword.value)
            if keyword.arg is None:
                rest |= self._spread(values, named)
                unknown = True
                continue
            named[keyword.arg] = values
            if isinstance(keyword.value, ast.Constant):
                constants[keyword.arg] = keyword.value.value
        trace.node = node
        return call(trace, functions, given, named, rest, constants, name_of(node.func), unknown)

    def _spread(self, values: Values, named: dict[str, Values]) -> set[Value]:
        """``**options``: what is known by name goes there."""
        rest: set[Value] = set()
        for one in values:
            if isinstance(one, Holder):
                for name in self.trace.read("items", one):
                    if isinstance(name, str):
                        named[name] = set(named.get(name, ())) | self.trace.read("item", one, name)
                rest |= self.trace.read("element", one)
                if isinstance(one.live, dict):
                    for name, value in list(one.live.items()):
                        if isinstance(name, str):
                            named[name] = set(named.get(name, ())) | self.trace.live(value)
            else:
                rest.add(one)
        return rest

    def _lambda_value(self, node: ast.Lambda) -> set[Value]:
        return {self._nested(node)}

    def _subscript_value(self, node: ast.Subscript) -> set[Value]:
        values = self.value(node.value)
        index = self.value(node.slice)
        self.trace.node = node
        found: set[Value] = {one for one in values if isinstance(one, Live) and isinstance(one.object, type)}
        rest = values - found
        for one in rest:
            if isinstance(one, (Live, Made)):
                found |= call_method(self.trace, one, "__getitem__", [index], set())
        if isinstance(node.slice, ast.Slice):
            return found | self.parts(rest)
        rest = {self._inside(one) or one for one in rest}
        return found | self.subscript({one for one in rest if not isinstance(one, Made)}, _constant(node.slice))

    def _collection_value(self, node: Any) -> set[Value]:
        holder = Holder((type(node).__name__, node, self.scope))
        for index, one in enumerate(node.elts):
            if isinstance(one, ast.Starred):
                self.trace.write(self.parts(self.value(one.value)), "element", holder)
            elif isinstance(node, ast.Set) or any(isinstance(before, ast.Starred) for before in node.elts[:index]):
                self.trace.write(self.value(one), "element", holder)
            else:
                self.trace.put(self.value(one), "item", holder, index)
        return {holder}

    _list_value = _tuple_value = _set_value = _collection_value

    def _dict_value(self, node: ast.Dict) -> set[Value]:
        holder = Holder(("Dict", node, self.scope))
        for key, one in zip(node.keys, node.values, strict=True):
            values = self.value(one)
            if key is None:
                self.trace.write(self.parts(values), "element", holder)
            elif (constant := _constant(key)) is not None:
                self.trace.put(values, "item", holder, constant)
            else:
                self.trace.write(values | self.value(key), "element", holder)
        return {holder}

    def _comprehension(self, node: Any) -> set[Value]:
        for part in node.generators:
            self.put_values(part.target, self.parts(self.value(part.iter)))
            for condition in part.ifs:
                self.value(condition)
        holder = Holder(("Comprehension", node, self.scope))
        for name in ("elt", "key", "value"):
            if hasattr(node, name):
                self.trace.write(self.value(getattr(node, name)), "element", holder)
        return {holder}

    _listcomp_value = _setcomp_value = _generatorexp_value = _dictcomp_value = _comprehension

    def _ifexp_value(self, node: ast.IfExp) -> set[Value]:
        self.value(node.test)
        return self.value(node.body) | self.value(node.orelse)

    def _boolop_value(self, node: ast.BoolOp) -> set[Value]:
        return set().union(*(self.value(one) for one in node.values))

    def _await_value(self, node: ast.Await) -> set[Value]:
        values = self.value(node.value)
        return values | self._operated(values)

    def _yield_value(self, node: ast.Yield) -> set[Value]:
        if node.value is not None:
            self.trace.write(self.value(node.value), "return", self.scope)
        return self.trace.read("sent")

    def _yieldfrom_value(self, node: ast.YieldFrom) -> set[Value]:
        values = self.parts(self.value(node.value))
        self.trace.write(values, "return", self.scope)
        return values

    def _starred_value(self, node: ast.Starred) -> set[Value]:
        return self.parts(self.value(node.value))


def _constant(node: ast.expr) -> Any:
    """A key or index that is written there; None for another."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple):
        parts = tuple(_constant(one) for one in node.elts)
        return None if None in parts else parts
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value if isinstance(node.operand.value, int) else None
    return None


def name_of(node: ast.expr) -> str:
    """What is called, as it is written."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return node.id if isinstance(node, ast.Name) else ""
