"""JSON text: what is written, what is read, and that the two encoders agree."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable.jsontext import (
    ModelError,
    _encode_foreign,
    converter_of_values,
    decoder_of,
    encode_text,
    load_text,
    loaded_encoder,
    needs_msgspec,
    quick_decoder_of,
    to_values,
)

encode_fast = loaded_encoder()  # msgspec is imported above
ENCODERS = pytest.mark.parametrize("encode", [encode_text, encode_fast], ids=["json", "msgspec"])


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Kind(str, enum.Enum):  # noqa: UP042 - users write this too
    CAT = "cat"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


class Whole(int):
    pass


class Real(float):
    pass


Point = namedtuple("Point", "x y")  # noqa: PYI024 - users write this too


class Item(msgspec.Struct):
    id: int
    when: datetime | None = None


@dataclass
class Row:
    id: int


class Named(TypedDict):
    id: int


class Model(pydantic.BaseModel):
    id: int


class Other(pydantic.BaseModel):
    text: str


@dataclass
class Holder:
    model: Model
    several: list[Model] | None = None


class Foreign:
    pass


@dataclass
class HoldsForeign:
    foreign: Foreign


# --- writing


@ENCODERS
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ({"a": [1, 2.5, "é"]}, '{"a":[1,2.5,"é"]}'),
        ('\x00\x1f\x7f\u2028😀"\\/\n', '"\\u0000\\u001f\x7f\u2028😀\\"\\\\/\\n"'),
        (2**63, "9223372036854775808"),
        ([2**64, -(2**70)], "[18446744073709551616,-1180591620717411303424]"),
        ({1: 2, 1.5: 3}, '{"1":2,"1.5":3}'),
        ({True: 1, False: 2, None: 3}, '{"true":1,"false":2,"null":3}'),
        ({"set": {1}}, '{"set":[1]}'),
        (frozenset(["a"]), '["a"]'),
        ((1, (2,)), "[1,[2]]"),
        (Point(1, 2), "[1,2]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (Counter("aab"), '{"a":2,"b":1}'),
        ([Colour.RED, Size.BIG, Kind.CAT], '["red",3,"cat"]'),
        ({Kind.CAT: 1, Size.BIG: 2, Colour.RED: 3}, '{"cat":1,"3":2,"red":3}'),
        ([Text("t"), Whole(4), Real(1.5)], '["t",4,1.5]'),
        (datetime(2026, 3, 29, 8, tzinfo=UTC), '"2026-03-29T08:00:00Z"'),
        ([date(2026, 3, 29), timedelta(hours=1)], '["2026-03-29","PT3600S"]'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), '"1.10"'),
        (b"ab", '"YWI="'),
        (Item(7), '{"id":7,"when":null}'),
        (Row(2**65), '{"id":36893488147419103232}'),
        ({"rows": [Row(1), Model(id=2)]}, '{"rows":[{"id":1},{"id":2}]}'),
        ([float("nan"), float("inf"), -float("inf")], "[null,null,null]"),
    ],
    ids=repr,
)
def test_what_is_written(encode: Any, value: Any, text: str) -> None:
    assert encode(value) == text


@ENCODERS
@pytest.mark.parametrize("value", [object(), {"a": Foreign()}, [range(3)], {(1, 2): 3}, iter([1]), {"a": {}.keys()}])
def test_what_json_cannot_hold_is_named(encode: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"^(object|Foreign|range|tuple|list_iterator|dict_keys) cannot be written"):
        encode(value)


@ENCODERS
@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["a\ud83d"]], ids=ascii)
def test_half_a_surrogate_pair_is_refused_where_it_is_written(encode: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode(value)


@ENCODERS
def test_a_value_that_holds_itself_is_refused(encode: Any) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(RecursionError):
        encode(value)


def plain_spelling(number: float) -> bool:
    return "e" not in repr(number)


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), texts, st.floats().filter(plain_spelling))
keys = st.one_of(texts, st.integers(-(2**63), 2**64 - 1), st.booleans(), st.none())
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


@given(documents)
def test_both_encoders_write_the_same_text(value: Any) -> None:
    assert encode_fast(value) == encode_text(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_both_encoders_write_the_same_number(number: float) -> None:
    assert json.loads(encode_fast(number)) == json.loads(encode_text(number)) == number


@given(
    st.recursive(scalars.filter(lambda value: value == value), lambda inner: st.lists(inner, max_size=3), max_leaves=6)
)
def test_what_is_written_is_read_again(value: Any) -> None:
    text = encode_text(value)
    expected = json.loads(text)
    assert load_text(text) == load_text(text.encode()) == to_values(value) == expected


# --- reading

MALFORMED = [
    b"",
    b"  ",
    b"{",
    b'{"a":1,}',
    b"{'a':1}",
    b"1 2",
    b"\x00",
    b"NaN",
    b'{"id":1,"b":Infinity}',
    b"-Infinity",
    b'"\xff"',
    b'{"id":"\xed\xa0\x80"}',
    b'"\\ud800"',
    b'{"id":1,"b":"\\uD83D"}',
    b'\xef\xbb\xbf{"id":1}',
    '{"id":1}'.encode("utf-16"),
    b"[" * 200_000,
    b'{"id":' * 200_000,
]
SHAPES = [None, Any, object, dict, list, dict[str, Any], Item, Row, Named, list[Item], Model, list[Model], Holder, int]


@pytest.mark.parametrize(
    ("shape", "text"),
    # pydantic takes infinities, and skips fields it does not know
    [(shape, text) for shape in SHAPES for text in MALFORMED if shape is not Model or b"Infinity" not in text],
    ids=lambda value: ascii(value[:20]) if isinstance(value, bytes) else str(value),
)
def test_what_is_not_json_is_refused_whatever_the_type(shape: Any, text: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is the decoder's
        decoder_of(shape)(text)
    assert not isinstance(caught.value, ModelError)


def test_an_escaped_pair_is_one_character_and_an_escaped_backslash_is_none() -> None:
    assert load_text(r'["\ud83d\ude00","\\ud800","\u00e9"]') == ["😀", r"\ud800", "é"]


def test_integers_of_any_size_are_read() -> None:
    digits = "9" * 40
    assert load_text(digits) == decoder_of(int)(digits) == int(digits)
    assert decoder_of(Model)(f'{{"id":{digits}}}').id == int(digits)


def test_an_integer_too_long_for_the_interpreter_is_malformed() -> None:
    with pytest.raises(ValueError, match="4300"):
        load_text("1" * 5000)


@pytest.mark.parametrize(
    ("shape", "text", "field"),
    [
        (dict, "[]", ""),
        (list, "{}", ""),
        (dict[str, Any], "null", ""),
        (list[Any], '"a"', ""),
        (dict[str, dict[str, Any]], '{"a":1}', "[]"),
        (list[dict[str, Any]], "[{},1]", "[1]"),
        (dict[str, list[int]], '{"a":["x"]}', "[][0]"),
        (dict[int, Any], '{"a":1}', ""),
        (Item, '{"id":"x"}', "id"),
        (Item, "{}", ""),
        (list[Item], '[{"id":1},{"id":null}]', "[1].id"),
        (Row, '{"id":1.5}', "id"),
        (Named, '{"id":[]}', "id"),
        (Model, '{"id":"x"}', "id"),
        (list[Model], '[{"id":1},{"id":"x"}]', "[1].id"),
        (Model | None, '{"id":"x"}', "id"),
        (dict[str, Model], '{"m":{"id":"x"}}', "m.id"),
        (Holder, '{"model":{"id":"x"}}', "model"),
        (Holder, '{"model":{"id":1},"several":[{"id":1},{}]}', "several[1]"),
        (HoldsForeign, '{"foreign":1}', "foreign"),
    ],
    ids=str,
)
def test_what_does_not_fit_names_the_field(shape: Any, text: str, field: str) -> None:
    with pytest.raises(ModelError) as caught:
        decoder_of(shape)(text)
    assert caught.value.field == field
    assert caught.value.detail
    assert str(caught.value) == (f"{field}: {caught.value.detail}" if field else caught.value.detail)


def test_a_key_that_does_not_fit_is_said_to_be_a_key() -> None:
    with pytest.raises(ModelError, match="Expected `int`, got `str`"):
        decoder_of(dict[int, Any])('{"a":1}')


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (None, '{"a":[1]}', {"a": [1]}),
        (Any, "1", 1),
        (list[Any], "[1]", [1]),
        (Item, '{"id":1}', Item(1)),
        (Row, '{"id":1}', Row(1)),
        (Named, '{"id":1}', {"id": 1}),
        (Model, '{"id":"1"}', Model(id=1)),
        (list[Model], '[{"id":1}]', [Model(id=1)]),
        (Model | Other, '{"text":"a"}', Other(text="a")),
        (Model | None, "null", None),
        (Holder, '{"model":{"id":1},"several":[{"id":2}]}', Holder(Model(id=1), [Model(id=2)])),
        (Item | None, "null", None),
        (int | str, '"a"', "a"),
        (str, '"a"', "a"),
    ],
    ids=str,
)
def test_what_fits_is_read(shape: Any, text: str, value: Any) -> None:
    assert decoder_of(shape)(text) == decoder_of(shape)(text.encode()) == value
    assert quick_decoder_of(shape)(text) == value
    assert converter_of_values(shape)(json.loads(text)) == value


@pytest.mark.parametrize("shape", [Item, Model, dict, list[Model], dict[str, int]], ids=str)
def test_the_quick_decoder_refuses_with_a_value_error_too(shape: Any) -> None:
    for text in ("5", "{", '"\\ud800"'):
        with pytest.raises(ValueError):  # noqa: PT011 - whichever message
            quick_decoder_of(shape)(text)


@pytest.mark.parametrize(
    ("shape", "needed"),
    [
        (None, False),
        (Any, False),
        (object, False),
        (dict, False),
        (list, False),
        (dict[str, Any], False),
        (list[Any], False),
        (dict[str, object], False),
        (Model, False),
        (list[Model], False),
        (Model | None, False),
        (list[dict[str, Any]], True),
        (dict[str, dict], True),
        (dict[int, Any], True),
        (dict[str, int], True),
        (Item, True),
        (Row, True),
        (Named, True),
        (int | None, True),
        (str, True),
    ],
    ids=str,
)
def test_whether_a_type_needs_msgspec(shape: Any, needed: bool) -> None:
    assert needs_msgspec(shape) is needed


def test_plain_values_import_no_msgspec() -> None:
    script = (
        "import sys; from portable.jsontext import *; from portable.jsontext import loaded_encoder\n"
        "assert decoder_of(dict)(encode_text({'é': [1, 2.5, None, True, 2**80]})) and loaded_encoder() is encode_text\n"
        "assert 'msgspec' not in sys.modules; encode_text({1}); assert 'msgspec' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- without msgspec


@dataclass
class Known:
    """What may be in an answer."""

    value: Any
    several: list[Any]
    _own: int = 1
    shared: ClassVar[int] = 5


class Wide(enum.Enum):
    DAY = date(2026, 3, 29)
    PAIR = (1, "a")


zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
known = st.one_of(
    scalars,
    st.floats(),
    st.dates(),
    st.datetimes(timezones=st.one_of(st.none(), zones)),
    st.times(timezones=st.one_of(st.none(), zones)),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.binary(max_size=5),
    st.sampled_from([*Colour, *Size, *Kind, *Wide, Text("t"), Whole(4), Real(2.5), Point(1, "x"), Model(id=3)]),
    st.sets(st.integers(), max_size=3),
)
known_keys = st.one_of(keys, st.dates(), st.uuids(), st.sampled_from([*Colour, *Size, *Kind, Wide.DAY]), st.binary())
known_documents = st.recursive(
    known,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(known_keys, inner, max_size=3),
        st.builds(Known, inner, st.lists(inner, max_size=2)),
    ),
    max_leaves=8,
)


@pytest.fixture
def _no_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)


@given(known_documents)
def test_what_msgspec_writes_is_written_without_it_too(value: Any) -> None:
    expected = json.loads(msgspec.json.encode(value, enc_hook=_encode_foreign) if fits(value) else encode_text(value))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "msgspec", None)
        assert json.loads(encode_text(value)) == expected


def fits(value: Any) -> bool:
    """Whether msgspec writes it: it stops at 64 bits."""
    try:
        msgspec.json.encode(value, enc_hook=_encode_foreign)
    except OverflowError:
        return False
    return True


@pytest.mark.usefixtures("_no_msgspec")
@pytest.mark.parametrize("value", [object(), [Foreign()], {(1, 2): 3}, {frozenset(): 1}, iter([])])
def test_what_json_cannot_hold_is_named_without_msgspec_too(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be"):
        encode_text(value)


@pytest.mark.usefixtures("_no_msgspec")
def test_half_a_surrogate_pair_is_refused_without_msgspec_too() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_text({"a": {"\ud800"}})


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    class Sized(msgspec.Struct):
        size: int
        ratio: float = 0.0

    decode = decoder_of(Sized)
    assert decode(b'{"size": 2.0, "ratio": 3.0}') == Sized(2, 3.0)
    assert decoder_of(list[int])(b"[1, 2.0, -0.0]") == [1, 2, 0]
    for text in (b'{"size": 2.5}', b'{"size": 1e300}', b'{"size": "2.0"}'):
        with pytest.raises(ModelError) as caught:
            decode(text)
        assert caught.value.field == "size"
    with pytest.raises(ModelError) as caught:
        decode(b'{"size": 2.0, "ratio": "x"}')
    assert caught.value.field == "ratio"
