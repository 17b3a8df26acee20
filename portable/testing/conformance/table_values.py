"""What every table keeps about values: what is read is what was written, to the last digit, or it was refused."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from portable.testing.conformance.cases import Conformance
from portable.testing.conformance.table_shapes import DOCUMENTS, PEOPLE, POINTS, Address, Person, Point

__all__ = ["TableValues"]

INTEGERS = [0, 1, -1, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 10**37 + 1, -(10**38) + 1]
INTEGERS += [12345678901234567890123456789012345678, 9 * 10**125]
FLOATS = [0.5, 0.1, -0.1, 1.1, 1 / 3, 1e-130, 123456.789, 1e22, 1.7976931348623157e125, 5e-100, 2**-20, 3.0]
DECIMALS = ["0.1", "-0.1", "1.5", "12345678901234567890123456789012345678", "1.2345678901234567890123456789012345678"]
DECIMALS += ["1E-130", "9.9999999999999999999999999999999999999E+125", "-9.99E+125", "100", "1E+30", "0.30"]

VALUES: dict[str, Any] = {
    "none": None,
    "booleans": [True, False],
    "empty_text": "",
    "unicode": "héllo 🐍 日本 \u2028\u2029 e\u0301 \ufffe\uffff",
    "control_characters": "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "empty_bytes": b"",
    "bytes": bytes(range(256)),
    "empty_list": [],
    "empty_dict": {},
    "mixed_list": [1, "1", None, 1.5, b"1", {"a": [[]]}, [1, [2, [3]]]],
    "dict": {"a": {"b": {"c": [1, 2, {"d": None}]}}, "with space": 1, "dots.and/slashes": 2, "é": 3, "0": 4, "a`b": 5},
    "like_a_tag": [{"$set": [1]}, {"$decimal": "1"}, {"$int": "5"}, {"S": "x"}, {"NULL": True}, {"_type": "bytes"}],
    "text_like_a_number": ["1", "1.0", "1e5", "NaN", "null", "true"],
    "set_of_text": {"a", "b", "é", ""},
    "set_of_numbers": {1, 2, 10**37},
    "set_of_bytes": {b"a", b"\x00\xff"},
    "deep": [[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]],
}

REFUSED: dict[str, tuple[Any, type[Exception]]] = {
    "nan": (float("nan"), ValueError),
    "infinity": (float("inf"), ValueError),
    "large_float": (1e126, ValueError),
    "small_float": (1e-131, ValueError),
    "39_digits": (10**38 + 1, ValueError),
    "large_int": (10**126, ValueError),
    "decimal_without_a_type": (Decimal("1.5"), ValueError),
    "surrogate": ("\ud800", ValueError),
    "set_in_a_list": ([{1}], ValueError),
    "set_of_two_kinds": ({1, "a"}, ValueError),
    "set_of_floats": ({1.5}, ValueError),
    "too_deep": ([[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]], ValueError),
    "object": (object(), TypeError),
    "name_of_ours": ({"portable:x": 1}, ValueError),
    "empty_name": ({"": 1}, ValueError),
    "dunder_name": ({"__x__": 1}, ValueError),
    "key_that_is_no_text": ({1: 1}, TypeError),
}

KEYS = {
    "space": " a b ",
    "slashes": "a/b//../c",
    "dots": "..",
    "hash": "#",
    "percent": "%2F",
    "nul": "\x00",
    "control": "\x01\x1f\x7f",
    "emoji": "🐍",
    "composed": "é",
    "decomposed": "e\u0301",
    "upper": "KEY",
    "lower": "key",
    "like_a_number": "1",
    "dunder": "__key__",
    "backslash": "\\",
    "question": "a?b#c",
    "longest": "k" * 1024,
    "longest_wide": "é" * 512,
    "last": "\U0010ffff",
    "noncharacter": "\uffff",
    "comma": "a, b",
    "quotes": "'\"`",
}


class TableValues(Conformance):
    """Cases on values and keys."""

    @pytest.mark.parametrize("name", VALUES)
    def test_value(self, name: str) -> None:
        item = {"folder": "a", "name": "b", "value": VALUES[name]}
        DOCUMENTS.put(item)
        found = DOCUMENTS.get("a", "b")
        assert found == item
        assert type(found["value"]) is type(VALUES[name])
        assert list(DOCUMENTS.query("a")) == [item]
        assert list(DOCUMENTS.scan()) == [item]

    @pytest.mark.parametrize("number", INTEGERS)
    def test_integer(self, number: int) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b", "value": number, "inside": [{"x": number}]})
        found = DOCUMENTS.get("a", "b")
        assert found is not None
        assert (type(found["value"]), found["value"]) == (int, number)
        assert found["inside"] == [{"x": number}]

    @pytest.mark.parametrize("number", FLOATS)
    def test_float(self, number: float) -> None:
        DOCUMENTS.put({"folder": "a", "name": "b", "value": number, "inside": [number]})
        PEOPLE.put(Person("ann", score=number))
        found, person = DOCUMENTS.get("a", "b"), PEOPLE.get("ann")
        assert found is not None
        assert person is not None
        wanted = int(Decimal(repr(number))) if number.is_integer() else number
        assert (found["value"], type(found["value"])) == (wanted, type(wanted))
        assert found["inside"] == [wanted]
        assert (person.score, type(person.score)) == (number, float)

    @pytest.mark.parametrize("text", DECIMALS)
    def test_decimal(self, text: str) -> None:
        number = Decimal(text)
        PEOPLE.put(Person("ann", balance=number))
        person = PEOPLE.get("ann")
        assert person is not None
        assert (person.balance, type(person.balance)) == (number, Decimal)

    def test_minus_zero_is_zero(self) -> None:
        PEOPLE.put(Person("ann", score=-0.0, balance=Decimal("-0.00")))
        person = PEOPLE.get("ann")
        assert person is not None
        assert (str(person.score), str(person.balance)) == ("0.0", "0")

    @pytest.mark.parametrize("name", REFUSED)
    def test_refused(self, name: str) -> None:
        value, error = REFUSED[name]
        with pytest.raises(error, match="documents"):
            DOCUMENTS.put({"folder": "a", "name": "b", "value": value})
        assert DOCUMENTS.get("a", "b") is None

    def test_typed_item(self) -> None:
        person = Person(
            "ann",
            email="ann@example.com",
            team="red",
            joined=5,
            age=30,
            balance=Decimal("12.34"),
            score=0.1 + 0.2,
            active=True,
            note="",
            photo=bytes(range(256)),
            tags={"a", "b"},
            numbers={1, 2},
            address=Address("High Street", ["1", "2"]),
            born=datetime(1990, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
            ends=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1),
        )
        PEOPLE.put(person)
        assert PEOPLE.get("ann") == person
        assert list(PEOPLE.query("red", index="by-team")) == [person]

    def test_what_is_not_stored_comes_back(self) -> None:
        person = Person("ann", email=None, tags=set(), ends=None, note=None)
        PEOPLE.put(person)
        assert PEOPLE.get("ann") == person

    @pytest.mark.parametrize("name", KEYS)
    def test_key(self, name: str) -> None:
        key = KEYS[name]
        item = {"folder": key, "name": key, "value": 1}
        DOCUMENTS.put(item)
        assert DOCUMENTS.get(key, key) == item
        assert list(DOCUMENTS.query(key)) == [item]
        assert DOCUMENTS.update(key, key, add={"value": 1})["value"] == 2
        DOCUMENTS.delete(key, key)
        assert DOCUMENTS.get(key, key) is None

    def test_no_two_keys_are_one(self) -> None:
        keys = [*KEYS.values(), "a", "a/b", "A", "a%2Fb"]
        pairs = [(first, second) for first in keys[:8] for second in keys] + [("a", "b, c"), ("a, b", "c")]
        for n, (folder, name) in enumerate(pairs):
            DOCUMENTS.put({"folder": folder, "name": name, "value": n}, if_absent=True)
        found = DOCUMENTS.get_many(pairs)
        assert [one and one["value"] for one in found] == list(range(len(pairs)))

    @pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
    def test_key_of_a_number(self, number: int) -> None:
        point = Point(number, number, "here")
        POINTS.put(point)
        assert POINTS.get(number, number) == point
        assert list(POINTS.query(number)) == [point]
        assert list(POINTS.query("here", index="by-place")) == [point]

    def test_bad_keys(self) -> None:
        for folder in ("", "k" * 1025, "\ud800"):
            with pytest.raises(ValueError, match="documents"):
                DOCUMENTS.get(folder, "a")
        wrong: Any = 5
        with pytest.raises(TypeError, match="a str is wanted"):
            DOCUMENTS.get(wrong, "a")
        wrong = "5"
        with pytest.raises(TypeError, match="an int is wanted"):
            POINTS.get(wrong, 1)
        with pytest.raises(ValueError, match="64 bits"):
            POINTS.get(2**63, 1)
        with pytest.raises(TypeError, match="give both"):
            DOCUMENTS.get("a")
        with pytest.raises(TypeError, match="no sort key"):
            PEOPLE.get("a", "b")

    def test_many_fields(self) -> None:
        item: dict[str, Any] = {f"field {n}": "x" * 100 for n in range(300)}
        item |= {"folder": "a", "name": "b", "long": "é" * (sys.maxunicode // 64)}
        DOCUMENTS.put(item)
        assert DOCUMENTS.get("a", "b") == item
