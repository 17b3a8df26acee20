"""What every table keeps: the promises of ``portable.drivers.TableDriver``, seen through ``portable.Table``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
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
)
from portable.testing.conformance.cases import assert_names, together
from portable.testing.conformance.table_model import TableModel
from portable.testing.conformance.table_queries import TableQueries
from portable.testing.conformance.table_shapes import DOCUMENTS, MISSING, PEOPLE, TABLES, Person
from portable.testing.conformance.table_transactions import TableTransactions
from portable.testing.conformance.table_values import TableValues

__all__ = ["TABLES", "TableConformance"]

WRITERS = 6

_CALLS: dict[str, Callable[[], Any]] = {
    "get": lambda: MISSING.get("a"),
    "put": lambda: MISSING.put({"id": "a"}),
    "if_absent": lambda: MISSING.put({"id": "a"}, if_absent=True),
    "update": lambda: MISSING.update("a", set={"x": 1}),
    "delete": lambda: MISSING.delete("a"),
}


class TableConformance(TableValues, TableQueries, TableTransactions, TableModel):
    """Subclass it, and give it one fixture, ``tables``: a platform is in force on which each of ``TABLES`` is there and
    empty. That platform also has an address for a table named ``missing``, and nothing is at that address.

    Attributes:
        capabilities: the adapter's of tables: ``CAPABILITIES["table"]``. What is given has to work, what is refused has
            to raise UnsupportedError.
    """

    capabilities: ClassVar[Mapping[str, Capability]]

    @pytest.fixture(autouse=True)
    def _use_tables(self, tables: None) -> None:
        """Every case has them."""

    # --- put and get

    def test_get_gives_what_was_put(self) -> None:
        assert PEOPLE.get("ann") is None
        assert PEOPLE.entry("ann") is None
        version = PEOPLE.put(Person("ann", age=30))
        entry = PEOPLE.entry("ann")
        assert entry is not None
        assert (entry.item, entry.version) == (Person("ann", age=30), version)
        assert PEOPLE.get("bob") is None

    def test_put_replaces_the_whole_item(self) -> None:
        first = DOCUMENTS.put({"folder": "a", "name": "b", "old": 1, "kept": 1})
        second = DOCUMENTS.put({"folder": "a", "name": "b", "kept": 2})
        assert DOCUMENTS.get("a", "b") == {"folder": "a", "name": "b", "kept": 2}
        assert first != second

    def test_version_is_never_used_again(self) -> None:
        seen = set()
        for _ in range(3):
            seen.add(PEOPLE.put(Person("ann")))
            PEOPLE.update("ann", set={"age": 1})
            entry = PEOPLE.entry("ann")
            assert entry is not None
            seen.add(entry.version)
            PEOPLE.delete("ann")
        assert len(seen) == 6

    def test_get_many(self) -> None:
        for n in range(130):
            PEOPLE.put(Person(f"p{n}", age=n))
        wanted = [f"p{n}" for n in reversed(range(130))]
        found = PEOPLE.get_many([*wanted, "nobody", "p5"])
        assert [person and person.age for person in found] == [*reversed(range(130)), None, 5]
        assert PEOPLE.get_many([]) == []

    def test_get_many_with_a_sort_key(self) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b"})
        assert DOCUMENTS.get_many([("a", "b"), ("b", "a")]) == [{"folder": "a", "name": "b"}, None]
        with pytest.raises(TypeError, match="a key is"):
            DOCUMENTS.get_many(["a"])

    def test_delete(self) -> None:
        PEOPLE.put(Person("ann"))
        PEOPLE.delete("ann")
        PEOPLE.delete("ann")
        PEOPLE.delete("nobody")
        assert PEOPLE.get("ann") is None
        assert list(PEOPLE.scan()) == []

    # --- conditions

    def test_if_absent(self) -> None:
        PEOPLE.put(Person("ann", age=1), if_absent=True)
        with pytest.raises(AlreadyExistsError) as caught:
            PEOPLE.put(Person("ann", age=2), if_absent=True)
        assert_names(caught.value, "table people", "ann")
        assert PEOPLE.get("ann") == Person("ann", age=1)
        PEOPLE.delete("ann")
        PEOPLE.put(Person("ann", age=3), if_absent=True)
        assert PEOPLE.get("ann") == Person("ann", age=3)

    def test_if_match(self) -> None:
        first = PEOPLE.put(Person("ann", age=1))
        second = PEOPLE.put(Person("ann", age=2), if_match=first)
        for call in (
            lambda: PEOPLE.put(Person("ann", age=3), if_match=first),
            lambda: PEOPLE.update("ann", set={"age": 3}, if_match=first),
            lambda: PEOPLE.delete("ann", if_match=first),
        ):
            with pytest.raises(PreconditionFailedError) as caught:
                call()
            assert_names(caught.value, "table people", "ann")
        assert PEOPLE.get("ann") == Person("ann", age=2)
        assert PEOPLE.update("ann", add={"age": 1}, if_match=second).age == 3
        entry = PEOPLE.entry("ann")
        assert entry is not None
        PEOPLE.delete("ann", if_match=entry.version)
        assert PEOPLE.get("ann") is None

    def test_if_match_of_what_is_not_there(self) -> None:
        stale = PEOPLE.put(Person("ann"))
        PEOPLE.delete("ann")
        for call in (
            lambda: PEOPLE.put(Person("ann"), if_match=stale),
            lambda: PEOPLE.update("ann", set={"age": 3}, if_match=stale),
            lambda: PEOPLE.delete("ann", if_match=stale),
        ):
            with pytest.raises(PreconditionFailedError):
                call()
        assert PEOPLE.get("ann") is None

    def test_a_version_of_nothing(self) -> None:
        PEOPLE.put(Person("ann"))
        for odd in ("", "never", "0", "🐍"):
            with pytest.raises(PreconditionFailedError):
                PEOPLE.put(Person("ann", age=1), if_match=odd)
        assert PEOPLE.get("ann") == Person("ann")

    # --- updates

    def test_update(self) -> None:
        PEOPLE.put(Person("ann", age=30, note="old", balance=Decimal("0.1"), tags={"a"}))
        given = PEOPLE.update(
            "ann", set={"note": "new", "active": True}, add={"balance": Decimal("0.2"), "age": -5, "tags": {"b"}}
        )
        wanted = Person("ann", age=25, note="new", active=True, balance=Decimal("0.3"), tags={"a", "b"})
        assert given == wanted == PEOPLE.get("ann")

    def test_update_removes_fields(self) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b", "x": 1, "y": {"z": 1}})
        left = DOCUMENTS.update("a", "b", remove=["x", "never"], set={"y": {"new": [1]}})
        assert left == {"folder": "a", "name": "b", "y": {"new": [1]}} == DOCUMENTS.get("a", "b")

    def test_update_adds_to_what_is_missing(self) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b"})
        given = DOCUMENTS.update("a", "b", add={"count": 5, "members": {"x"}, "share": 0.5})
        assert given == {"folder": "a", "name": "b", "count": 5, "members": {"x"}, "share": 0.5}

    def test_update_of_what_is_not_there(self) -> None:
        with pytest.raises(NotFoundError) as caught:
            PEOPLE.update("ann", set={"age": 1})
        assert_names(caught.value, "table people", "ann")
        assert PEOPLE.get("ann") is None

    def test_update_sets_none_and_the_empty_set(self) -> None:
        PEOPLE.put(Person("ann", email="a@b", tags={"a"}, note="x", ends=datetime.now(UTC) + timedelta(hours=1)))
        assert PEOPLE.update("ann", set={"email": None, "tags": set(), "note": None, "ends": None}) == Person("ann")
        assert list(PEOPLE.query("a@b", index="by-email")) == []

    @pytest.mark.parametrize(
        ("have", "more", "sum"),
        [
            ("0.1", "0.2", "0.3"),
            ("12345678901234567890123456789012345678", "1", "12345678901234567890123456789012345679"),
            ("1", "-1", "0"),
            ("0.00000000000000000000000000000000000001", "1", None),
            ("1E+20", "0.00000000000000001", "100000000000000000000.00000000000000001"),
        ],
        ids=["tenths", "38_digits", "to_zero", "39_digits", "far_apart"],
    )
    def test_sums_are_exact(self, have: str, more: str, sum: str | None) -> None:
        PEOPLE.put(Person("ann", balance=Decimal(have)))
        if sum is None:  # 39 digits, which cannot be kept
            with pytest.raises(ServiceError):
                PEOPLE.update("ann", add={"balance": Decimal(more)})
            assert PEOPLE.get("ann") == Person("ann", balance=Decimal(have))
            return
        assert PEOPLE.update("ann", add={"balance": Decimal(more)}).balance == Decimal(sum)

    def test_sum_of_floats_is_decimal(self) -> None:
        PEOPLE.put(Person("ann", score=0.1))
        assert PEOPLE.update("ann", add={"score": 0.2}).score == 0.3

    def test_add_to_something_else(self) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b", "text": "x", "members": {1}})
        for add in ({"text": 1}, {"text": {"a"}}, {"members": 1}, {"members": {"a"}}):
            with pytest.raises(ServiceError) as caught:
                DOCUMENTS.update("a", "b", add=add)
            assert_names(caught.value, "table documents", "a, b")
        assert DOCUMENTS.get("a", "b") == {"folder": "a", "name": "b", "text": "x", "members": {1}}

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"set": {"folder": "b"}},
            {"add": {"name": 1}},
            {"remove": ["name"]},
            {"set": {"x": 1}, "remove": ["x"]},
            {"add": {"x": 1}, "set": {"x": 1}},
        ],
        ids=["nothing", "key", "sort", "removed_sort", "set_and_removed", "added_and_set"],
    )
    def test_update_that_means_nothing(self, options: dict[str, Any]) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b"})
        with pytest.raises(ValueError, match="documents"):
            DOCUMENTS.update("a", "b", **options)
        assert DOCUMENTS.get("a", "b") == {"folder": "a", "name": "b"}

    def test_unknown_field_of_a_type(self) -> None:
        PEOPLE.put(Person("ann"))
        with pytest.raises(ValueError, match="no field 'agee'"):
            PEOPLE.update("ann", set={"agee": 1})

    # --- several at once

    def test_no_sum_is_lost(self) -> None:
        PEOPLE.put(Person("ann"))

        def add(_: int) -> None:
            done = 0
            while done < 5:
                try:
                    PEOPLE.update("ann", add={"age": 1, "balance": Decimal("0.1")})
                    done += 1
                except UnavailableError:
                    time.sleep(0.001)

        assert together(4, add) == [None] * 4
        assert PEOPLE.get("ann") == Person("ann", age=20, balance=Decimal(2))

    def test_one_of_many_writers_creates(self) -> None:
        results = together(WRITERS, lambda n: PEOPLE.put(Person("ann", age=n), if_absent=True))
        self._assert_one_won(results, AlreadyExistsError)

    def test_one_of_many_writers_replaces(self) -> None:
        version = PEOPLE.put(Person("ann", age=-1))
        results = together(WRITERS, lambda n: PEOPLE.put(Person("ann", age=n), if_match=version))
        self._assert_one_won(results, PreconditionFailedError)

    @staticmethod
    def _assert_one_won(results: list[Any], refusal: type[ServiceError]) -> None:
        winners = [n for n, result in enumerate(results) if not isinstance(result, Exception)]
        losers = [result for result in results if isinstance(result, Exception)]
        assert len(winners) == 1, results
        # A cloud may also tell a loser that it met another write, and to come again.
        assert all(isinstance(error, (refusal, UnavailableError)) for error in losers), losers
        assert PEOPLE.get("ann") == Person("ann", age=winners[0])

    # --- time to live

    def test_expired_item_is_not_there(self) -> None:
        now = datetime.now(UTC)
        past = Person("ann", team="red", ends=now - timedelta(hours=1))
        PEOPLE.put(past)
        PEOPLE.put(Person("bob", team="red", joined=1, ends=now + timedelta(hours=1)))
        assert PEOPLE.get("ann") is None
        assert PEOPLE.get_many(["ann"]) == [None]
        assert [one.id for one in PEOPLE.scan()] == ["bob"]
        assert [one.id for one in PEOPLE.query("red", index="by-team")] == ["bob"]
        assert [one.id for one in PEOPLE.query("red", index="by-team", limit=1)] == ["bob"]
        with pytest.raises(NotFoundError):
            PEOPLE.update("ann", set={"age": 1})
        PEOPLE.put(Person("ann", age=2), if_absent=True)
        assert PEOPLE.get("ann") == Person("ann", age=2)

    def test_time_to_live_is_rounded_up(self) -> None:
        end = datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
        PEOPLE.put(Person("ann", ends=end))
        assert PEOPLE.get("ann") == Person("ann", ends=datetime(2100, 1, 1, 0, 0, 1, tzinfo=UTC))

    # --- errors and twins

    @pytest.mark.parametrize("call", _CALLS)
    def test_missing_table(self, call: str) -> None:
        with pytest.raises(NotFoundError) as caught:
            _CALLS[call]()
        assert_names(caught.value, "table missing", "a")

    def test_missing_table_read_whole(self) -> None:
        for call in (lambda: MISSING.query("a"), MISSING.scan, lambda: MISSING.get_many(["a"])):
            with pytest.raises(NotFoundError) as caught:
                call()
            assert_names(caught.value, "table missing", None)

    def test_async_twins(self) -> None:
        async def work() -> None:
            version = await PEOPLE.aput(Person("ann", team="red"), if_absent=True)
            assert await PEOPLE.aget("ann") == PEOPLE.get("ann") == Person("ann", team="red")
            entry = await PEOPLE.aentry("ann")
            assert entry is not None
            assert entry.version == version
            updated = await PEOPLE.aupdate("ann", add={"age": 2}, if_match=version)
            assert updated == Person("ann", team="red", age=2)
            assert await PEOPLE.aget_many(["nobody", "ann"]) == [None, updated]
            assert [one async for one in await PEOPLE.aquery("red", index="by-team")] == [updated]
            assert [one async for one in await PEOPLE.ascan()] == [updated]
            with pytest.raises(PreconditionFailedError):
                await PEOPLE.adelete("ann", if_match=version)
            await PEOPLE.adelete("ann")
            assert await PEOPLE.aget("ann") is None

        asyncio.run(work())

    def test_many_async_at_once(self) -> None:
        async def work() -> list[Person | None]:
            await asyncio.gather(*(PEOPLE.aput(Person(f"p{n}", age=n)) for n in range(30)))
            return await asyncio.gather(*(PEOPLE.aget(f"p{n}") for n in range(30)))

        assert asyncio.run(work()) == [Person(f"p{n}", age=n) for n in range(30)]
