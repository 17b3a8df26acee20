"""A table compared with a dict, over operations that Hypothesis chooses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from portable.drivers.table import Sort
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError
from portable.testing.conformance.cases import Conformance
from portable.testing.conformance.table_shapes import DOCUMENTS

__all__ = ["TableModel"]


class TableModel(Conformance):
    """One case. It needs Hypothesis, and is skipped without.

    Attributes:
        model_examples: how often it begins with an empty table. model_steps: operations each time.
    """

    model_examples: ClassVar[int] = 8
    model_steps: ClassVar[int] = 25

    def test_table_is_like_a_dict(self) -> None:
        hypothesis = pytest.importorskip("hypothesis")
        from hypothesis.stateful import run_state_machine_as_test

        settings = hypothesis.settings(
            max_examples=self.model_examples,
            stateful_step_count=self.model_steps,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        run_state_machine_as_test(_machine(), settings=settings)


def _values(st: Any) -> Any:
    whole = st.integers(-(10**38) + 1, 10**38 - 1)
    fraction = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e120, max_value=1e120).filter(
        lambda one: abs(one) > 1e-120 and not one.is_integer()
    )
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    scalar = st.none() | st.booleans() | whole | fraction | text | st.binary(max_size=8)
    names = text.filter(lambda name: name and not (name.startswith("__") and name.endswith("__")))
    nested = st.recursive(
        scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
    )
    sets = st.sets(whole, min_size=1, max_size=3) | st.sets(text, min_size=1, max_size=3)
    return nested | sets | st.sets(st.binary(max_size=4), min_size=1, max_size=3)


def _machine() -> type[Any]:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

    folders = st.sampled_from(["a", "A", "a/b", "é"])
    names = st.sampled_from(["x", "X", "x\x00", "é", "\uffff", "🐍", "xx"])
    fields = st.sampled_from(["one", "two", "with space", "é", "a.b"])
    contents = st.dictionaries(fields, _values(st), max_size=3)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model: dict[tuple[str, str], dict[str, Any]] = {}
            self.versions: dict[tuple[str, str], str] = {}
            for item in list(DOCUMENTS.scan()):
                DOCUMENTS.delete(item["folder"], item["name"])

        def _wrote(self, key: tuple[str, str], item: dict[str, Any], version: str | None = None) -> None:
            self.model[key] = item
            entry = DOCUMENTS.entry(*key)
            assert entry is not None
            assert version in (None, entry.version)
            assert self.versions.get(key) != entry.version
            self.versions[key] = entry.version

        @rule(folder=folders, name=names, content=contents)
        def put(self, folder: str, name: str, content: dict[str, Any]) -> None:
            item = {**content, "folder": folder, "name": name}
            self._wrote((folder, name), item, DOCUMENTS.put(item))

        @rule(folder=folders, name=names, content=contents)
        def create(self, folder: str, name: str, content: dict[str, Any]) -> None:
            item = {**content, "folder": folder, "name": name}
            try:
                version = DOCUMENTS.put(item, if_absent=True)
            except AlreadyExistsError:
                assert (folder, name) in self.model
            else:
                assert (folder, name) not in self.model
                self._wrote((folder, name), item, version)

        @rule(folder=folders, name=names, content=contents, stale=st.booleans())
        def replace(self, folder: str, name: str, content: dict[str, Any], stale: bool) -> None:
            key = (folder, name)
            item = {**content, "folder": folder, "name": name}
            known = self.versions.get(key, "never")
            try:
                version = DOCUMENTS.put(item, if_match="stale" if stale else known)
            except PreconditionFailedError:
                assert stale or key not in self.model
            else:
                assert not stale
                assert key in self.model
                self._wrote(key, item, version)

        @rule(folder=folders, name=names, field=fields, value=_values(st), drop=fields, more=st.integers(-9, 9))
        def update(self, folder: str, name: str, field: str, value: Any, drop: str, more: int) -> None:
            key = (folder, name)
            remove = [drop] if drop != field else []
            try:
                given = DOCUMENTS.update(folder, name, set={field: value}, add={"count": more}, remove=remove)
            except NotFoundError:
                assert key not in self.model
                return
            item = {name: kept for name, kept in self.model[key].items() if name not in remove}
            item |= {field: value, "count": item.get("count", 0) + more}
            assert given == item
            self._wrote(key, item)

        @rule(folder=folders, name=names, cents=st.integers(-(10**30), 10**30))
        def add(self, folder: str, name: str, cents: int) -> None:
            key = (folder, name)
            amount = cents / 8  # exact as a float, and in decimal
            if key not in self.model or Decimal(repr(amount)) != Decimal(cents) / 8:
                return
            have = self.model[key].get("share", 0)
            wanted = Decimal(repr(have)) + Decimal(repr(amount))
            if len(wanted.as_tuple().digits) > 28:
                return
            given = DOCUMENTS.update(folder, name, add={"share": amount})
            exact = int(wanted) if wanted == wanted.to_integral_value() else float(wanted)
            assert given["share"] == exact
            if Decimal(repr(exact)) == wanted:
                self._wrote(key, self.model[key] | {"share": exact})
            else:
                DOCUMENTS.update(folder, name, remove=["share"])
                self._wrote(key, {name: kept for name, kept in self.model[key].items() if name != "share"})

        @rule(folder=folders, name=names)
        def delete(self, folder: str, name: str) -> None:
            DOCUMENTS.delete(folder, name)
            self.model.pop((folder, name), None)

        @rule(folder=folders, low=names, high=names, reverse=st.booleans(), limit=st.integers(1, 9) | st.none())
        def query(self, folder: str, low: str, high: str, reverse: bool, limit: int | None) -> None:
            page = DOCUMENTS.query(folder, sort=Sort.between(low, high), reverse=reverse, limit=limit)
            inside = [
                key for key in self.model if key[0] == folder and low.encode() <= key[1].encode() <= high.encode()
            ]
            wanted = sorted(inside, key=lambda key: key[1].encode(), reverse=reverse)[:limit]
            assert list(page) == [self.model[key] for key in wanted]

        @invariant()
        def is_the_same(self) -> None:
            found = {(item["folder"], item["name"]): item for item in DOCUMENTS.scan()}
            assert found == self.model

    return Machine
