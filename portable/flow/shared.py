"""What the functions of an app have in common is followed once: a helper that several of them call in the same way.

Everything one function's analysis comes to follows from what its handlers call. So does what follows from one call
within it, a scope with the arguments it is given, as far as nothing but that call has a part in it: then it is the same
in every function that makes this call, and is taken over as a whole. That is held at two places:

* When a finished analysis is asked for what follows from a call: all that the scopes which this call leads to have read
  must have been put there by these scopes first, or be the arguments. Who goes by what the function may reach by name
  (an instance of unknown origin) leads to nothing that may be taken over.
* When it is taken over, and ever after: what a scope that has been taken over has read stays as it was. Where more
  comes to it from elsewhere, :class:`Interference` says so, and the function is followed anew, with nothing taken over.

So a function's verbs are the same with and without; what is shared is time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portable.flow.sources import parameters
from portable.flow.values import Cell, Holder, Value, Values

__all__ = ["Arguments", "Facts", "Interference", "Record", "Shared", "Summary", "arguments_of"]

Arguments = Mapping[Any, frozenset[Any]]
"""What a call puts into which cells."""

_RECORDS = 8
"""Finished analyses that are asked what follows from a call: who calls it otherwise has no part in it."""


class Interference(Exception):
    """Something comes to what was taken over."""


class Facts:
    """What one scope has done in one analysis: calls it made, cells it read, what it wrote, allowed and noted."""

    __slots__ = ("calls", "grants", "is_own", "notes", "reads", "writes")

    def __init__(self) -> None:
        self.calls: set[tuple[Any, Any]] = set()
        self.reads: set[Any] = set()
        self.writes: dict[Any, set[Any]] = {}
        self.grants: dict[Any, set[str]] = {}
        self.notes: dict[Any, Any] = {}
        self.is_own = False  # it goes by what is this function's alone


class Summary:
    """What follows from a call: cells with who wrote each value first, verbs, notes, and the scopes it leads to."""

    __slots__ = ("cells", "grants", "notes", "scopes")

    def __init__(self) -> None:
        self.scopes: set[Any] = set()
        self.cells: dict[Any, Cell] = {}
        self.grants: dict[Any, set[str]] = {}
        self.notes: dict[Any, Any] = {}

    def include(self, other: Summary) -> None:
        """All that follows from a call that was taken over itself."""
        self.scopes |= other.scopes
        for key, cell in other.cells.items():
            self.add(key, cell.values.items(), is_read=cell.is_fixed)
        _join(self.grants, other.grants)
        self.notes |= other.notes

    def include_facts(self, scope: Any, facts: Facts) -> None:
        """What a scope did itself."""
        self.scopes.add(scope)
        for key, values in facts.writes.items():
            self.add(key, ((value, scope) for value in values))
        for key in facts.reads:
            self.add(key, (), is_read=True)
        _join(self.grants, facts.grants)
        self.notes |= facts.notes

    def add(self, key: Any, values: Iterable[tuple[Value, Any]], *, is_read: bool = False) -> None:
        """Values of a cell, with their writers."""
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        cell.is_fixed = cell.is_fixed or is_read
        for value, writer in values:
            cell.values.setdefault(value, writer)


def _join(into: dict[Any, set[str]], more: Mapping[Any, set[str]]) -> None:
    for key, verbs in more.items():
        into.setdefault(key, set()).update(verbs)


class Record:
    """A finished analysis: the facts of its scopes, its cells, and what it took over by call."""

    __slots__ = ("cells", "facts", "taken")

    def __init__(self, facts: dict[Any, Facts], cells: dict[Any, Cell], taken: dict[Any, Summary]) -> None:
        self.facts = facts
        self.cells = cells
        self.taken = taken

    def follows(self, scope: Any, given: Arguments) -> Summary | None:
        """What follows from a call; None where something else has a part in that, or it was not made here."""
        if any(not self._has(key, values) for key, values in given.items()):
            return None
        summary, own = Summary(), set()
        waiting = [scope]
        while waiting:
            one = waiting.pop()
            if one in own:
                continue
            own.add(one)
            facts = self.facts.get(one)
            if facts is None or facts.is_own:
                return None
            for call in facts.calls:
                taken = self.taken.get(call)
                if taken is not None:
                    summary.include(taken)
                else:
                    waiting.append(call[0])
        for one in own:
            facts = self.facts[one]
            if not all(self._is_closed(key, own, summary.scopes, given) for key in facts.reads):
                return None
        for one in own:
            summary.include_facts(one, self.facts[one])
        for key, values in given.items():
            summary.add(key, ((value, scope) for value in values))
        return summary

    def _has(self, key: Any, values: frozenset[Any]) -> bool:
        cell = self.cells.get(key)
        return cell is not None and values <= cell.values.keys()

    def _is_closed(self, key: Any, own: set[Any], taken: set[Any], given: Arguments) -> bool:
        """Whether all that is in a cell comes from these scopes, or is an argument."""
        cell = self.cells.get(key)
        allowed = given.get(key, frozenset())
        return cell is None or all(
            writer in own or writer in taken or value in allowed for value, writer in cell.values.items()
        )


class Shared:
    """What the analyses of one app's functions share: scopes, which say what is written, what follows from calls."""

    def __init__(self) -> None:
        self.scopes: dict[Any, Any] = {}
        self.written: dict[int, list[Any]] = {}
        self.same: dict[tuple[int, str], Any] = {}
        self.held: dict[int, list[Value]] = {}
        self.reached: dict[int, list[Any]] = {}
        self.kept: list[Any] = []  # ids are keys: what they are of stays
        self._records: dict[Any, list[Record]] = {}
        self._asked: dict[Any, int] = {}
        self._summaries: dict[Any, Summary] = {}

    def publish(self, record: Record) -> None:
        """Let others ask a finished analysis."""
        for scope, facts in record.facts.items():
            known = self._records.setdefault(scope, [])
            if not facts.is_own and len(known) < _RECORDS:
                known.append(record)

    def follows(self, scope: Any, given: Arguments) -> Summary | None:
        """What follows from a call, where an earlier analysis can tell."""
        records = self._records.get(scope)
        if not records:
            return None
        call = (scope, frozenset(given.items()))
        known = self._summaries.get(call)
        if known is None:
            for record in records[self._asked.get(call, 0) :]:
                if (known := record.follows(scope, given)) is not None:
                    self._summaries[call] = known
                    break
            self._asked[call] = len(records)
        return known


def arguments_of(scope: Any, given: list[Values], named: dict[str, Values], rest: Values) -> Arguments:
    """What a call puts into which cells: those of parameters, and of what ``*`` and ``**`` hold."""
    positional, only, others, options = parameters(scope.node)
    put: dict[Any, set[Any]] = {}

    def add(values: Iterable[Any], *key: Any) -> None:
        if values:
            put.setdefault(key, set()).update(values)

    several, keywords = Holder(("rest", scope)), Holder(("named", scope))
    for index, values in enumerate(given):
        if index < len(positional):
            add(values, "variable", scope, positional[index])
        elif others:
            add({index - len(positional)}, "items", several)
            add(values, "item", several, index - len(positional))
    for name, values in named.items():
        if name in positional or name in only:
            add(values, "variable", scope, name)
        elif options:
            add({name}, "items", keywords)
            add(values, "item", keywords, name)
    if rest:
        for name in (*positional[len(given) :], *only):
            if name not in named:
                add(rest, "variable", scope, name)
        add(rest, "element", several)
        add(rest, "element", keywords)
    return {key: frozenset(values) for key, values in put.items()}
