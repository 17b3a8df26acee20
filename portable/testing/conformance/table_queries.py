"""What every table keeps about queries: order, conditions, pages and indexes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portable.drivers.table import Sort
from portable.testing.conformance.cases import Conformance
from portable.testing.conformance.table_shapes import DOCUMENTS, PEOPLE, POINTS, Person, Point

__all__ = ["TableQueries"]

NAMES = ["", "a", "a\x00", "a/", "aa", "ab", "b", "B", "z", "é", "\uffff", "🐍", "10", "9", "a b", "ÿ", "\ue000"]
ORDERED = sorted((name for name in NAMES if name), key=str.encode)
NUMBERS = [-(2**63), -(2**53) - 1, -(2**53), -10, -9, -1, 0, 1, 9, 10, 2**53, 2**53 + 1, 2**63 - 1]


def _fill() -> None:
    for name in ORDERED[::2] + ORDERED[1::2]:
        DOCUMENTS.put({"folder": "a", "name": name})
    DOCUMENTS.put({"folder": "ab", "name": "other"})
    DOCUMENTS.put({"folder": "A", "name": "other"})


def _names(**options: Any) -> list[str]:
    return [item["name"] for item in DOCUMENTS.query("a", **options)]


def _fill_points() -> None:
    for number in NUMBERS[::2] + NUMBERS[1::2]:
        POINTS.put(Point(7, number, "here"))
    POINTS.put(Point(8, 3, "there"))


_CONDITIONS: dict[str, tuple[Sort, Any]] = {
    "equals": (Sort.equals("aa"), lambda name: name == b"aa"),
    "below": (Sort.below("aa"), lambda name: name < b"aa"),
    "at_most": (Sort.at_most("aa"), lambda name: name <= b"aa"),
    "above": (Sort.above("aa"), lambda name: name > b"aa"),
    "at_least": (Sort.at_least("aa"), lambda name: name >= b"aa"),
    "between": (Sort.between("a", "b"), lambda name: b"a" <= name <= b"b"),
    "between_nothing": (Sort.between("c", "d"), lambda _: False),
    "prefix": (Sort.prefix("a"), lambda name: name.startswith(b"a")),
    "prefix_of_two_bytes": (Sort.prefix("é"), lambda name: name.startswith("é".encode())),
    "prefix_last": (Sort.prefix("\uffff"), lambda name: name.startswith("\uffff".encode())),
    "below_emoji": (Sort.below("🐍"), lambda name: name < "🐍".encode()),
}


class TableQueries(Conformance):
    """Cases on queries and scans."""

    def test_query_is_in_order(self) -> None:
        _fill()
        assert _names() == ORDERED
        assert _names(reverse=True) == ORDERED[::-1]
        assert list(DOCUMENTS.query("nothing")) == []

    @pytest.mark.parametrize("name", _CONDITIONS)
    def test_condition(self, name: str) -> None:
        _fill()
        sort, keeps = _CONDITIONS[name]
        wanted = [one for one in ORDERED if keeps(one.encode())]
        assert _names(sort=sort) == wanted
        assert _names(sort=sort, reverse=True) == wanted[::-1]

    def test_numbers_are_in_order(self) -> None:
        _fill_points()
        assert [point.at for point in POINTS.query(7)] == NUMBERS
        assert [point.at for point in POINTS.query(7, reverse=True)] == NUMBERS[::-1]
        assert [point.at for point in POINTS.query(7, sort=Sort.above(2**53))] == [2**53 + 1, 2**63 - 1]
        assert [point.at for point in POINTS.query(7, sort=Sort.between(-9, 9))] == [-9, -1, 0, 1, 9]
        assert [point.at for point in POINTS.query("here", index="by-place")] == NUMBERS
        found = POINTS.query("here", index="by-place", sort=Sort.at_most(-(2**53)), reverse=True)
        assert [point.at for point in found] == NUMBERS[:3][::-1]

    @pytest.mark.parametrize("reverse", [False, True])
    def test_limit_and_cursor(self, reverse: bool) -> None:
        _fill()
        wanted = ORDERED[::-1] if reverse else ORDERED
        found: list[str] = []
        cursor = None
        pages = 0
        while True:
            page = DOCUMENTS.query("a", limit=3, cursor=cursor, reverse=reverse)
            assert len(page.items) <= 3
            assert list(page) == page.items
            found += [item["name"] for item in page.items]
            cursor = page.cursor
            pages += 1
            if cursor is None:
                break
            assert len(page.items) == 3
            assert cursor.isascii()
            assert pages < 20
        assert found == wanted
        assert [item["name"] for item in DOCUMENTS.query("a", limit=1000, reverse=reverse).items] == wanted

    def test_cursor_with_a_condition(self) -> None:
        _fill()
        wanted = [name for name in ORDERED if name.startswith("a")]
        first = DOCUMENTS.query("a", sort=Sort.prefix("a"), limit=2)
        rest = DOCUMENTS.query("a", sort=Sort.prefix("a"), cursor=first.cursor)
        assert [item["name"] for item in [*first.items, *rest]] == wanted

    def test_cursor_of_something_else(self) -> None:
        _fill()
        cursor = DOCUMENTS.query("a", limit=1).cursor
        assert cursor is not None
        for wrong in ("", "?", "e30", cursor[:-4], "WzFd"):
            with pytest.raises(ValueError, match="cursor"):
                DOCUMENTS.query("a", cursor=wrong)
        with pytest.raises(ValueError, match="cursor"):
            DOCUMENTS.query("ab", cursor=cursor)

    def test_pages_bear_writes(self) -> None:
        _fill()
        page = DOCUMENTS.query("a", limit=4)
        DOCUMENTS.delete("a", ORDERED[3])
        DOCUMENTS.put({"folder": "a", "name": ORDERED[0], "new": 1})
        rest = [item["name"] for item in DOCUMENTS.query("a", cursor=page.cursor)]
        assert rest == ORDERED[4:]

    def test_many_pages(self) -> None:
        for n in range(250):
            DOCUMENTS.put({"folder": "many", "name": f"{n:04}", "filling": "x" * 5000})
        wanted = [f"{n:04}" for n in range(250)]
        assert [item["name"] for item in DOCUMENTS.query("many")] == wanted
        assert sorted(item["name"] for item in DOCUMENTS.scan()) == wanted

        async def work() -> None:
            assert [item["name"] async for item in await DOCUMENTS.aquery("many")] == wanted
            assert sorted([item["name"] async for item in await DOCUMENTS.ascan()]) == wanted

        asyncio.run(work())

    def test_scan(self) -> None:
        assert list(POINTS.scan()) == []
        _fill_points()
        found: list[Point] = []
        cursor = None
        while True:
            page = POINTS.scan(limit=4, cursor=cursor)
            found += page.items
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted((point.line, point.at) for point in found) == [*((7, n) for n in NUMBERS), (8, 3)]

    # --- indexes

    def test_index(self) -> None:
        people = [
            Person("ann", email="a@x", team="red", joined=3),
            Person("bob", email="b@x", team="red", joined=1),
            Person("cid", email="c@x", team="blue", joined=2),
            Person("dan", joined=2),
        ]
        for person in people:
            PEOPLE.put(person)
        assert list(PEOPLE.query("b@x", index="by-email")) == [people[1]]
        assert [one.id for one in PEOPLE.query("red", index="by-team")] == ["bob", "ann"]
        assert [one.id for one in PEOPLE.query("red", index="by-team", reverse=True)] == ["ann", "bob"]
        assert [one.id for one in PEOPLE.query("red", index="by-team", sort=Sort.above(1))] == ["ann"]
        assert list(PEOPLE.query("green", index="by-team")) == []

    def test_index_follows_writes(self) -> None:
        PEOPLE.put(Person("ann", team="red"))
        PEOPLE.update("ann", set={"team": "blue"})
        assert list(PEOPLE.query("red", index="by-team")) == []
        assert [one.id for one in PEOPLE.query("blue", index="by-team")] == ["ann"]
        PEOPLE.update("ann", remove=["team"])
        assert list(PEOPLE.query("blue", index="by-team")) == []
        PEOPLE.put(Person("ann", team="red"))
        PEOPLE.delete("ann")
        assert list(PEOPLE.query("red", index="by-team")) == []

    @pytest.mark.parametrize("reverse", [False, True])
    def test_pages_of_an_index(self, reverse: bool) -> None:
        for n in range(12):
            PEOPLE.put(Person(f"p{n}", team="red", joined=n // 4, email="shared"))
        found: list[Person] = []
        cursor = None
        while True:
            page = PEOPLE.query("red", index="by-team", limit=5, cursor=cursor, reverse=reverse)
            found += page.items
            cursor = page.cursor
            if cursor is None:
                break
        assert [person.joined for person in found] == sorted([n // 4 for n in range(12)], reverse=reverse)
        assert sorted(person.id for person in found) == sorted(f"p{n}" for n in range(12))
        assert {person.id for person in PEOPLE.query("shared", index="by-email")} == {person.id for person in found}
        with pytest.raises(ValueError, match="cursor"):
            PEOPLE.query("blue", index="by-team", cursor=PEOPLE.query("red", index="by-team", limit=5).cursor)

    def test_queries_that_mean_nothing(self) -> None:
        with pytest.raises(ValueError, match="has no index 'by-name'"):
            PEOPLE.query("a", index="by-name")
        with pytest.raises(ValueError, match="no sort key"):
            PEOPLE.query("a", sort=Sort.above("b"))
        with pytest.raises(TypeError, match="has no prefix"):
            PEOPLE.query("red", index="by-team", sort=Sort.prefix("1"))
        with pytest.raises(ValueError, match="limit"):
            PEOPLE.query("red", index="by-team", limit=0)
        wrong: Any = ("between", 1, 2)
        with pytest.raises(TypeError, match="condition"):
            DOCUMENTS.query("a", sort=wrong)
