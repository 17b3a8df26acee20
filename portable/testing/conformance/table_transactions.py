"""What every table keeps about transactions: all or none, and the error names the item."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from portable.capabilities import Capability
from portable.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
    UnsupportedError,
)
from portable.testing.conformance.cases import Conformance, assert_names, together
from portable.testing.conformance.table_shapes import DOCUMENTS, PEOPLE, Person

__all__ = ["TableTransactions"]

Change = Callable[[Any], None]
_FAILING: dict[str, tuple[Change, type[ServiceError]]] = {
    "if_absent": (
        lambda change: change.put({"folder": "a", "name": "there"}, if_absent=True),
        AlreadyExistsError,
    ),
    "put_if_match": (
        lambda change: change.put({"folder": "a", "name": "there"}, if_match="stale"),
        PreconditionFailedError,
    ),
    "update": (lambda change: change.update("a", "gone", set={"x": 1}), NotFoundError),
    "update_if_match": (
        lambda change: change.update("a", "there", set={"x": 1}, if_match="stale"),
        PreconditionFailedError,
    ),
    "delete_if_match": (lambda change: change.delete("a", "there", if_match="stale"), PreconditionFailedError),
    "check": (lambda change: change.check("a", "gone"), PreconditionFailedError),
    "check_absent": (lambda change: change.check("a", "there", exists=False), PreconditionFailedError),
    "check_if_match": (lambda change: change.check("a", "there", if_match="stale"), PreconditionFailedError),
}


class TableTransactions(Conformance):
    """Cases on transactions: in one partition, and over several, each where the capabilities give it."""

    capabilities: ClassVar[Mapping[str, Capability]]

    def _skip_without(self, feature: str) -> None:
        if not self.capabilities[feature].given:
            pytest.skip(f"refused: {self.capabilities[feature].note}")

    def test_transaction_is_given_or_refused(self) -> None:
        for feature, folders in (("partition_transaction", "aa"), ("transaction", "ab")):
            with self._expected(feature), DOCUMENTS.transaction() as change:
                for n, folder in enumerate(folders):
                    change.put({"folder": folder, "name": f"{feature} {n}"})
            found = [DOCUMENTS.get(folder, f"{feature} {n}") is not None for n, folder in enumerate(folders)]
            assert found == [self.capabilities[feature].given] * 2

    def _expected(self, feature: str) -> Any:
        from contextlib import nullcontext

        return nullcontext() if self.capabilities[feature].given else pytest.raises(UnsupportedError)

    def test_transaction_of_one_partition(self) -> None:
        self._skip_without("partition_transaction")
        version = DOCUMENTS.put({"folder": "a", "name": "changed", "n": 1})
        DOCUMENTS.put({"folder": "a", "name": "dropped"})
        DOCUMENTS.put({"folder": "a", "name": "checked"})
        with DOCUMENTS.transaction() as change:
            change.put({"folder": "a", "name": "made"}, if_absent=True)
            change.update("a", "changed", add={"n": 4, "members": {"x"}}, set={"y": None}, if_match=version)
            change.delete("a", "dropped")
            change.delete("a", "never")
            change.check("a", "checked")
            change.check("a", "nothing", exists=False)
            assert DOCUMENTS.get("a", "made") is None
        assert list(DOCUMENTS.query("a")) == [
            {"folder": "a", "name": "changed", "n": 5, "members": {"x"}, "y": None},
            {"folder": "a", "name": "checked"},
            {"folder": "a", "name": "made"},
        ]

    @pytest.mark.parametrize("name", _FAILING)
    def test_nothing_is_done_when_one_fails(self, name: str) -> None:
        self._skip_without("partition_transaction")
        work, error = _FAILING[name]
        DOCUMENTS.put({"folder": "a", "name": "there", "n": 1})
        with pytest.raises(error) as caught, DOCUMENTS.transaction() as change:  # noqa: PT012 - the end raises
            change.put({"folder": "a", "name": "made"})
            work(change)
            change.put({"folder": "a", "name": "made too"})
        assert caught.value.key in ("a, there", "a, gone")
        assert_names(caught.value, "table documents", caught.value.key)
        assert list(DOCUMENTS.query("a")) == [{"folder": "a", "name": "there", "n": 1}]

    def test_nothing_is_done_when_the_block_raises(self) -> None:
        with pytest.raises(KeyError), DOCUMENTS.transaction() as change:  # noqa: PT012 - the end is what is tested
            change.put({"folder": "a", "name": "made"})
            raise KeyError("x")
        assert list(DOCUMENTS.scan()) == []

    def test_versions_change_in_a_transaction(self) -> None:
        self._skip_without("partition_transaction")
        version = DOCUMENTS.put({"folder": "a", "name": "b"})
        with DOCUMENTS.transaction() as change:
            change.update("a", "b", set={"x": 1})
        entry = DOCUMENTS.entry("a", "b")
        assert entry is not None
        assert entry.version != version

    def test_a_hundred_operations(self) -> None:
        self._skip_without("partition_transaction")
        with DOCUMENTS.transaction() as change:
            for n in range(100):
                change.put({"folder": "a", "name": f"{n:03}"})
            with pytest.raises(ValueError, match="at most 100"):
                change.put({"folder": "a", "name": "more"})
        assert len(list(DOCUMENTS.query("a"))) == 100

    def test_one_operation_an_item(self) -> None:
        change = DOCUMENTS.transaction()
        change.delete("a", "b")
        with pytest.raises(ValueError, match="two operations"):
            change.check("a", "b")

    def test_empty_transaction(self) -> None:
        with DOCUMENTS.transaction():
            pass

    def test_money_moves_and_none_is_lost(self) -> None:
        self._skip_without("transaction")
        for name in ("ann", "bob", "cid"):
            PEOPLE.put(Person(name, balance=Decimal(10)))

        def move(position: int) -> None:
            done = 0
            while done < 4:
                source, target = [("ann", "bob"), ("bob", "cid"), ("cid", "ann")][position]
                entry = PEOPLE.entry(source)
                assert entry is not None
                try:
                    with PEOPLE.transaction() as change:
                        change.update(source, add={"balance": Decimal("-0.1")}, if_match=entry.version)
                        change.update(target, add={"balance": Decimal("0.1")})
                    done += 1
                except (PreconditionFailedError, UnavailableError):
                    time.sleep(0.002)

        assert together(3, move) == [None] * 3
        people = PEOPLE.get_many(["ann", "bob", "cid"])
        assert [person and person.balance for person in people] == [Decimal(10)] * 3

    def test_async_transaction(self) -> None:
        self._skip_without("partition_transaction")

        async def work() -> None:
            async with DOCUMENTS.transaction() as change:
                change.put({"folder": "a", "name": "b"}, if_absent=True)
                change.put({"folder": "a", "name": "c"})
            with pytest.raises(AlreadyExistsError):  # noqa: PT012 - the end raises
                async with DOCUMENTS.transaction() as change:
                    change.put({"folder": "a", "name": "d"})
                    change.put({"folder": "a", "name": "b"}, if_absent=True)

        asyncio.run(work())
        assert [item["name"] for item in DOCUMENTS.query("a")] == ["b", "c"]
