"""Places: in order, one to one, and every query a range of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable.drivers.places import cursor_behind, name_of, places_of, range_of
from portable.drivers.table import Schema, Sort, TableQuery

texts = st.text(alphabet=st.sampled_from("ab\x00\x01\x02\x7fé日🐍\uffff.~%/"), min_size=1, max_size=4)
integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
BY_NUMBER = Schema({"key": "p", "sort": "n", "indexes": (), "ttl": None, "fields": {"p": "str", "n": "int"}})
BY_TEXT = Schema(
    {
        "key": "p",
        "sort": "s",
        "indexes": (("colour", "c", "d"), ("flat", "c", None)),
        "ttl": None,
        "fields": {"p": "str", "s": "str", "c": "str", "d": "str"},
    }
)
HOLDS: dict[str, Any] = {
    "equals": lambda value, low, high: value == low,
    "below": lambda value, low, high: value < low,
    "at_most": lambda value, low, high: value <= low,
    "above": lambda value, low, high: value > low,
    "at_least": lambda value, low, high: value >= low,
    "between": lambda value, low, high: low <= value <= high,
    "prefix": lambda value, low, high: value.startswith(low),
}


def place(schema: Schema, partition: str, sort: Any) -> bytes:
    return places_of(schema, (partition, sort), {})[0]


def is_in(query: TableQuery, found: bytes) -> bool:
    low, high = range_of(query)
    return low <= found < high


@given(one=texts, other=texts)
@settings(max_examples=300, deadline=None)
def test_texts_are_in_the_order_of_their_bytes(one: str, other: str) -> None:
    assert (place(BY_TEXT, "p", one) < place(BY_TEXT, "p", other)) == (one.encode() < other.encode())


@given(one=integers, other=integers)
@settings(max_examples=300, deadline=None)
def test_whole_numbers_are_in_order(one: int, other: int) -> None:
    assert (place(BY_NUMBER, "p", one) < place(BY_NUMBER, "p", other)) == (one < other)


@given(value=texts, low=texts, high=texts, operator=st.sampled_from(sorted(HOLDS)))
@settings(max_examples=500, deadline=None)
def test_a_condition_on_texts_is_a_range(value: str, low: str, high: str, operator: Any) -> None:
    condition = Sort(operator, low, high if operator == "between" else None)
    expected = HOLDS[operator](value.encode(), low.encode(), high.encode())
    assert is_in(TableQuery("p", None, condition), place(BY_TEXT, "p", value)) == expected
    assert not is_in(TableQuery("p", None, condition), place(BY_TEXT, "other", value))
    item = {"c": "red", "d": value}
    _, indexed = places_of(BY_TEXT, ("p", "s"), item)
    assert is_in(TableQuery("red", "colour", condition), indexed["colour"]) == expected
    assert is_in(TableQuery("red", "flat"), indexed["flat"])
    assert not is_in(TableQuery("re", "flat"), indexed["flat"])


@given(value=integers, low=integers, high=integers, operator=st.sampled_from(sorted(HOLDS.keys() - {"prefix"})))
@settings(max_examples=500, deadline=None)
def test_a_condition_on_whole_numbers_is_a_range(value: int, low: int, high: int, operator: Any) -> None:
    condition = Sort(operator, low, high if operator == "between" else None)
    found = place(BY_NUMBER, "p", value)
    assert is_in(TableQuery("p", None, condition), found) == HOLDS[operator](value, low, high)
    assert is_in(TableQuery("p"), found)
    assert is_in(TableQuery(), found)


@given(values=st.lists(texts, min_size=1, max_size=6, unique=True), reverse=st.booleans(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_cursor_leaves_what_is_behind_it(values: list[str], reverse: bool, data: Any) -> None:
    ordered = sorted(values, key=str.encode, reverse=reverse)
    position = data.draw(st.integers(0, len(ordered) - 1))
    cursor = cursor_behind(place(BY_TEXT, "p", ordered[position]))
    query = TableQuery("p", cursor=cursor, reverse=reverse)
    assert [value for value in ordered if is_in(query, place(BY_TEXT, "p", value))] == ordered[position + 1 :]


@pytest.mark.parametrize("cursor", ["", "é", "!", "AAAA", "x", cursor_behind(place(BY_TEXT, "q", "a"))])
def test_a_cursor_of_another_query_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        range_of(TableQuery("p", cursor=cursor))


def test_an_item_without_a_field_of_an_index_is_not_in_it() -> None:
    assert set(places_of(BY_TEXT, ("p", "s"), {"c": "red"})[1]) == {"flat"}
    assert places_of(BY_TEXT, ("p", "s"), {})[1] == {}


keys = st.tuples(texts | integers) | st.tuples(texts | integers, texts | integers)


@given(one=keys, other=keys)
@settings(max_examples=300, deadline=None)
def test_names_are_one_to_one(one: Any, other: Any) -> None:
    typed = [[(type(value), value) for value in key] for key in (one, other)]
    assert (name_of(one, 1000) == name_of(other, 1000)) == (typed[0] == typed[1])


@given(key=keys, limit=st.sampled_from([100, 1000]))
@settings(max_examples=300, deadline=None)
def test_names_are_ones_every_store_takes(key: Any, limit: int) -> None:
    assert re.fullmatch(r"[ish]\.[A-Za-z0-9_.~-]+", name_of(key, limit))
    assert len(name_of(key, limit)) <= limit
    assert not name_of(key, limit).endswith(".")


def test_a_long_name_is_a_digest() -> None:
    assert name_of(("a.b", 5), 100) == "s.a~2Eb.i.5"
    long = name_of(("x" * 1024, "y" * 1024), 1023)
    assert re.fullmatch(r"h\.[0-9a-f]{64}", long)
    assert long != name_of(("x" * 1024, "y" * 1023 + "z"), 1023)
