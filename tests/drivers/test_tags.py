"""The tagged form of values: one to one, for stores of every kind."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable.drivers.tags import DOUBLE_INTEGERS, TAGS, decode, encode

keys = st.text(max_size=6) | st.sampled_from([*TAGS, "$", "$x", "__name__", ""])
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | decimals
    | st.text(max_size=6)
    | st.binary(max_size=6)
)
sets = (
    st.sets(st.text(max_size=3), max_size=3)
    | st.sets(st.integers() | decimals, max_size=3)
    | st.sets(st.binary(max_size=3), max_size=3)
)
values = st.recursive(
    scalars | sets,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)

STORES: dict[str, dict[str, Any]] = {
    "json": {},
    "doubles": {"integers": DOUBLE_INTEGERS},
    "maps": {
        "keeps": frozenset({bytes, float}),
        "integers": (-(2**63), 2**63 - 1),
        "takes_key": lambda key: key != "" and not key.startswith("__"),
    },
    "all": {"keeps": frozenset({bytes, float, set, Decimal, list})},
}


def typed(value: Any) -> Any:
    """What two values of the same types and content have in common: 1, 1.0, True and Decimal(1) differ here."""
    if isinstance(value, dict):
        return {key: typed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [typed(one) for one in value]
    if isinstance(value, set):
        return {typed(one) for one in value}
    return type(value).__name__, repr(value)


@pytest.mark.parametrize("store", STORES)
@given(value=values)
@settings(max_examples=200, deadline=None)
def test_what_is_encoded_comes_back(store: str, value: Any) -> None:
    assert typed(decode(encode(value, **STORES[store]))) == typed(value)


@given(value=values)
@settings(max_examples=200, deadline=None)
def test_the_plain_form_is_json(value: Any) -> None:
    text = json.dumps(encode(value), allow_nan=False)
    assert typed(decode(json.loads(text))) == typed(value)


@given(value=values)
@settings(max_examples=200, deadline=None)
def test_a_store_of_doubles_gives_integers_back(value: Any) -> None:
    text = json.dumps(encode(value, integers=DOUBLE_INTEGERS), allow_nan=False)
    doubles = json.loads(text, parse_int=float)

    def whole(one: Any) -> Any:  # as such a store writes 7.0: 7
        if isinstance(one, dict):
            return {key: whole(inner) for key, inner in one.items()}
        if isinstance(one, list):
            return [whole(inner) for inner in one]
        return int(one) if isinstance(one, float) and one.is_integer() else one

    assert typed(decode(whole(doubles))) == typed(value)


@given(value=values)
@settings(max_examples=200, deadline=None)
def test_a_store_gets_only_what_it_holds(value: Any) -> None:
    def look(one: Any, inside_list: bool = False) -> None:
        assert type(one) in (type(None), bool, int, float, str, bytes, list, dict)
        if type(one) is int:
            assert -(2**63) <= one < 2**63
        if isinstance(one, list):
            assert not inside_list
            for inner in one:
                look(inner, True)
        if isinstance(one, dict):
            assert "" not in one
            assert not any(key.startswith("__") for key in one)
            for inner in one.values():
                look(inner)

    look(encode(value, **STORES["maps"]))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (Decimal("1.50"), {"$decimal": "1.50"}),
        (b"\xff\x00", {"$bytes": "/wA="}),
        ({"b", "a"}, {"$set": ["a", "b"]}),
        (1.0, {"$float": "1.0"}),
        (1.5, 1.5),
        ([[1]], [[1]]),
        ({"$set": [1]}, {"$dict": ["$set", [1]]}),
        ({"$set": [1], "a": 1}, {"$set": [1], "a": 1}),
    ],
)
def test_forms(value: Any, encoded: Any) -> None:
    assert encode(value) == encoded
    assert decode(encoded) == value


def test_not_a_number_comes_back() -> None:
    assert encode(math.nan) == {"$float": "nan"}
    assert math.isnan(decode({"$float": "nan"}))


@pytest.mark.parametrize("value", [(1, 2), object(), {1: "a"}, [{"a": (1,)}], bytearray(b"a")])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize("value", [{"$int": "x"}, {"$decimal": "x"}, {"$set": 1}, {"$dict": [1]}, {"$bytes": 5}])
def test_a_broken_tag_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no value of a table"):
        decode(value)


def test_an_object_with_a_dollar_that_is_no_tag_is_an_object() -> None:
    assert decode({"$ref": 1}) == {"$ref": 1}
