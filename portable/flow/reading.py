"""Statements: what each gives, and where it puts it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from portable.flow.attributes import attribute, every_attribute
from portable.flow.calls import call
from portable.flow.expressions import Expressions, name_of
from portable.flow.special import imported
from portable.flow.trace import Scope, Trace
from portable.flow.values import Holder, Live, Made, Nested, Value, Values

__all__ = ["read_scope"]


def read_scope(trace: Trace, scope: Scope) -> None:
    """Read a function once with what is known by now."""
    trace.current = scope
    reader = _Reader(trace, scope)
    if isinstance(scope.node, ast.Lambda):
        trace.write(reader.value(scope.node.body), "return", scope)
    else:
        reader.block(scope.node.body)
    trace.current = None


class _Reader(Expressions):
    def block(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        handler: Callable[[Any], None] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is not None:
            handler(node)
            return
        for child in ast.iter_child_nodes(node):  # if, while, try, return and the like, raise, assert, expressions
            self._child(child)

    def _child(self, child: ast.AST) -> None:
        if isinstance(child, ast.stmt):
            self.statement(child)
        elif isinstance(child, ast.expr):
            self.value(child)
        else:
            for inner in ast.iter_child_nodes(child):
                self._child(inner)

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.trace.write(self.value(node.value), "return", self.scope)

    def _assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.put(target, node.value)

    def _annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.put(node.target, node.value)

    def _augassign(self, node: ast.AugAssign) -> None:
        values = self.value(node.value)
        if isinstance(node.target, ast.Name):
            for holder in self.lookup(node.target.id):
                if isinstance(holder, Holder):
                    self.trace.write(self.parts(values), "element", holder)
            self.store(node.target.id, values | self._operated(self.lookup(node.target.id)))
        else:
            self.put_values(node.target, values | self._operated(self.value(node.target)))

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        self.put_values(node.target, self.parts(self.value(node.iter)))
        self.block(node.body)
        self.block(node.orelse)

    _asyncfor = _for

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            values = self.value(item.context_expr)
            if item.optional_vars is not None:
                self.put_values(item.optional_vars, values | self._operated(values))
        self.block(node.body)

    _asyncwith = _with

    def _functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        values: set[Value] = {self._nested(node)}
        for decorator in reversed(node.decorator_list):
            self.trace.node = decorator
            values = call(self.trace, self.value(decorator), [values], {}, set(), name=name_of(decorator))
        self.store(node.name, values)

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef) -> None:
        """A class within a function holds its functions, and whatever its instances do."""
        holder = Holder(("class", node, self.scope))
        self.store(node.name, {holder})
        for base in (*node.bases, *(keyword.value for keyword in node.keywords)):
            self.trace.write(self.value(base), "element", holder)
        for statement in node.body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._method(statement, holder)
            elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
                self.trace.write(self.value(statement.value), "element", holder)
            else:
                self.statement(statement)
        for decorator in node.decorator_list:
            self.trace.node = decorator
            call(self.trace, self.value(decorator), [{holder}], {}, set(), name=name_of(decorator))

    def _method(self, node: ast.FunctionDef | ast.AsyncFunctionDef, holder: Holder) -> None:
        """One that is decorated may be a property, which is called by itself."""
        values: set[Value] = {self._nested(node)}
        for decorator in reversed(node.decorator_list):
            self.trace.node = decorator
            values |= call(self.trace, self.value(decorator), [values], {}, set(), name=name_of(decorator))
        if node.decorator_list:
            values |= call(self.trace, {one for one in values if isinstance(one, Nested)}, [{holder}], {}, set())
        self.trace.write(values, "element", holder)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            found = imported(self.trace, alias.name)
            top = alias.name.partition(".")[0]
            self.store(alias.asname or top, found if alias.asname else imported(self.trace, top))

    def _importfrom(self, node: ast.ImportFrom) -> None:
        package = self.scope.globals.get("__package__") or ""
        parts = package.split(".") if node.level else []
        parts = parts[: len(parts) - node.level + 1] if node.level else []
        full = ".".join([*parts, node.module] if node.module else parts)
        modules = imported(self.trace, full)
        for alias in node.names:
            self.store(alias.asname or alias.name, attribute(self.trace, modules, alias.name))

    def _excepthandler(self, node: ast.ExceptHandler) -> None:
        caught = self.value(node.type) if node.type is not None else set()
        if node.name:
            classes = [one.object for one in self.parts(caught) | caught if isinstance(one, Live)]
            self.store(node.name, {Made(one) for one in classes if isinstance(one, type)})
        self.block(node.body)

    def _try(self, node: Any) -> None:
        self.block(node.body)
        for handler in node.handlers:
            self._excepthandler(handler)
        self.block(node.orelse)
        self.block(node.finalbody)

    _trystar = _try

    def _match(self, node: ast.Match) -> None:
        subject = self.value(node.subject)
        for case in node.cases:
            self._pattern(case.pattern, subject)
            if case.guard is not None:
                self.value(case.guard)
            self.block(case.body)

    def _pattern(self, pattern: ast.pattern, values: Values) -> None:
        trace = self.trace
        if isinstance(pattern, ast.MatchAs):
            if pattern.pattern is not None:
                self._pattern(pattern.pattern, values)
            if pattern.name:
                self.store(pattern.name, values)
        elif isinstance(pattern, ast.MatchOr):
            for one in pattern.patterns:
                self._pattern(one, values)
        elif isinstance(pattern, ast.MatchSequence):
            for one in pattern.patterns:
                self._pattern(one, self.parts(values))
        elif isinstance(pattern, ast.MatchStar) and pattern.name:
            self.store(pattern.name, values)
        elif isinstance(pattern, ast.MatchMapping):
            for one in pattern.patterns:
                self._pattern(one, self.parts(values))
            if pattern.rest:
                self.store(pattern.rest, values)
        elif isinstance(pattern, ast.MatchClass):
            named = [*pattern.kwd_attrs]
            for cls in self.value(pattern.cls):
                matched = getattr(cls.object, "__match_args__", ()) if isinstance(cls, Live) else ()
                for name, one in zip(matched, pattern.patterns, strict=False):
                    self._pattern(one, attribute(trace, values, name))
            for name, one in zip(named, pattern.kwd_patterns, strict=True):
                self._pattern(one, attribute(trace, values, name))
            if pattern.patterns:
                for value in values:
                    for one in pattern.patterns:
                        self._pattern(one, every_attribute(trace, value))
