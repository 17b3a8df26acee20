"""Table: declarations, what is stored of an item, and what comes back, over a driver that keeps what it is given."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, TypedDict
from uuid import UUID

import msgspec
import pytest

from portable import App, ConfigError, Entry, Page, Sort, Table
from portable.drivers.table import Row, Rows, Write, decode_cursor, encode_cursor
from portable.resources import use_platform
from portable.resources.values import to_number
from portable.testing import TestClient


class Keeper:
    """Keeps writes, and answers with what it was told."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.row: Row | None = None
        self.pages: list[Rows] = []
        self.queries: list[Any] = []

    def get(self, key: Any) -> Row | None:
        return self.row

    def get_many(self, keys: Any) -> list[Row | None]:
        return [self.row for _ in keys]

    def write(self, write: Write) -> Row | None:
        self.writes.append(write)
        return Row(dict(write.item), "1")

    def transact(self, writes: Any) -> None:
        self.writes += writes

    def query(self, query: Any) -> Rows:
        self.queries.append(query)
        return self.pages.pop(0)

    scan = query


class Colour(Enum):
    RED = "red"


class Shade(StrEnum):
    DARK = "dark"


class Tagged(msgspec.Struct, tag="tagged", rename="camel"):
    item_id: int
    more_words: str = ""


class Everything(msgspec.Struct):
    id: str
    shade: Shade = Shade.DARK
    colour: Colour = Colour.RED
    uuid: UUID = UUID(int=1)
    day: date = date(2024, 2, 29)
    at: datetime = datetime(2024, 1, 1, 12, tzinfo=UTC)
    pause: timedelta = timedelta(seconds=90)
    pair: tuple[int, str] = (1, "a")
    frozen: frozenset[str] = frozenset()
    amounts: list[Decimal] = []
    by_name: dict[str, float] = {}


@dataclass
class Plain:
    id: int
    tags: set[str] = field(default_factory=set)
    note: str | None = None


class Typed(TypedDict, total=False):
    id: str
    count: int


@pytest.fixture
def driver() -> Any:
    keeper = Keeper()
    platform: Any = type("Platform", (), {"open": lambda self, resource: keeper, "target": "x"})()
    with use_platform(platform):
        yield keeper


def round_trip(driver: Keeper, table: Table[Any], item: Any) -> Any:
    """What the driver was given, and what comes back of it."""
    table.put(item)
    stored = driver.writes[-1].item
    driver.row = Row(stored, "1")
    found = table.get(*driver.writes[-1].key)
    return stored, found


# --- declarations


def test_declaration_is_data() -> None:
    table = Table("people", Plain, key="id", indexes={"by-note": ("note", "id")}, ttl=None)
    assert table.options == {
        "key": "id",
        "sort": None,
        "indexes": (("by-note", "note", "id"),),
        "ttl": None,
        "fields": (("id", "int"), ("note", "str")),
    }
    assert table.key_types == (("id", "int"),)
    assert table.where[0] == __file__
    assert msgspec.json.encode(table.options)


def test_one_name_is_one_table() -> None:
    app = App("x")
    table = app.table("people", Plain, key="id")
    assert app.table("people", Plain, key="id") is table
    for other in ({"key": "note"}, {"key": "id", "sort": "note"}, {"key": "id", "indexes": {"by-note": "note"}}):
        with pytest.raises(ConfigError, match="differs from its declaration"):
            app.table("people", dict, **other)


class Wrong(msgspec.Struct):
    id: float
    maybe: str | None
    text: str


@pytest.mark.parametrize(
    ("type", "options", "says"),
    [
        (Wrong, {"key": "id"}, "'id' is a key, so it is a str or an int, not <class 'float'>"),
        (Wrong, {"key": "maybe"}, "'maybe' is part of the key, so it cannot be None"),
        (Wrong, {"key": "nothing"}, "Wrong has no field 'nothing'"),
        (Wrong, {"key": "text", "indexes": {"by-id": "id"}}, "'id' is a key"),
        (Wrong, {"key": "text", "ttl": "nothing"}, "no field 'nothing'"),
        (None, {"key": "id", "sort": "id"}, "two fields"),
        (None, {"key": "id", "ttl": "id"}, "cannot be the time to live"),
        (None, {"key": "id", "indexes": {"ab": "x"}}, "3 letters at least"),
        (None, {"key": "id", "indexes": {"By": "x"}}, "index name 'By' is not allowed"),
        (None, {"key": "id", "indexes": {f"index-{n}": "x" for n in range(21)}}, "at most 20"),
        (None, {"key": "portable:id"}, "cannot be used"),
        (None, {"key": "__id__"}, "cannot be used"),
        (None, {"key": ""}, "cannot be used"),
    ],
)
def test_wrong_declarations(type: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Table("people", type, **options)


def test_types_of_keys_are_read_through_aliases() -> None:
    class Item(msgspec.Struct):
        a: Annotated[int, msgspec.Meta(ge=0)]
        b: Shade
        c: int | None = None

    table = Table("items", Item, key="a", sort="b", indexes={"by-c": "c"})
    assert dict(table.options["fields"]) == {"a": "int", "b": "str", "c": "int"}
    assert dict(Table("t", Typed, key="id", indexes={"by-count": "count"}).options["fields"])["count"] == "int"


def test_a_type_that_is_no_item(driver: Keeper) -> None:
    with pytest.raises(ConfigError, match=r"has no field 'id'"):
        Table("numbers", list[int], key="id")


def test_a_table_of_a_manifest() -> None:
    app = App("x")
    numbered = app.table("numbered", Plain, key="id")
    with TestClient(app) as client:
        numbered.put(Plain(5, {"a"}, "x"))
        same = client.table("numbered")
        assert same.get(5) == {"id": 5, "tags": {"a"}, "note": "x"}
        same.update(5, set={"note": None})
        assert numbered.get(5) == Plain(5, {"a"})
        assert same.options == numbered.options


# --- items


def test_every_type_comes_back(driver: Keeper) -> None:
    table = Table("all", Everything, key="id")
    item = Everything("a", frozen=frozenset({"x"}), amounts=[Decimal("0.1"), Decimal(3)], by_name={"a": 0.1, "b": 2.0})
    stored, found = round_trip(driver, table, item)
    assert found == item
    assert stored["shade"] == "dark"
    assert stored["colour"] == "red"
    assert stored["at"] == "2024-01-01T12:00:00Z"
    assert stored["frozen"] == {"x"}
    assert stored["pair"] == [1, "a"]
    assert [type(one) for one in stored["amounts"]] == [Decimal, Decimal]
    assert type(found.by_name["b"]) is float


def test_names_as_stored(driver: Keeper) -> None:
    table = Table("tagged", Tagged, key="itemId")
    stored, found = round_trip(driver, table, Tagged(5, "x"))
    assert stored == {"type": "tagged", "itemId": 5, "moreWords": "x"}
    assert found == Tagged(5, "x")


def test_dataclass_typed_dict_and_pydantic(driver: Keeper) -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model(
        "Model", id=(int, ...), price=(Decimal, ...), share=(float, 0.0), tags=(set[str], set()), raw=(bytes, b"")
    )
    assert round_trip(driver, Table("plain", Plain, key="id"), Plain(1, {"a"}))[1] == Plain(1, {"a"})
    typed: Typed = {"id": "a", "count": 5}
    assert round_trip(driver, Table("typed", Typed, key="id"), typed)[1] == typed
    item = model(id=1, price=Decimal("1.10"), share=0.1, raw=b"\xff")
    stored, found = round_trip(driver, Table("models", model, key="id"), item)
    assert found == item
    assert type(stored["price"]) is Decimal


def test_numbers_as_a_driver_may_give_them(driver: Keeper) -> None:
    class Numbers(msgspec.Struct):
        id: str
        whole: int = 0
        share: float = 0.0
        exact: Decimal = Decimal(0)
        any: Any = None

    table = Table("numbers", Numbers, key="id")
    driver.row = Row(
        {"id": "a", "whole": Decimal("1E+2"), "share": Decimal("0.1"), "exact": 0.1, "any": Decimal("2.50")}, "1"
    )
    assert table.get("a") == Numbers("a", 100, 0.1, Decimal("0.1"), Decimal("2.5"))
    driver.row = Row({"id": "a", "whole": 5.0, "share": 3, "exact": 10**30, "any": {"x": [Decimal(1)]}}, "1")
    found = table.get("a")
    assert found == Numbers("a", 5, 3.0, Decimal(10**30), {"x": [1]})
    untyped = Table("untyped", key="id")
    driver.row = Row({"id": "a", "x": Decimal("2.0"), "y": [1.5, 2.0], "z": {Decimal(3)}}, "1")
    assert untyped.get("a") == {"id": "a", "x": 2, "y": [1.5, 2], "z": {3}}


def test_what_others_wrote_and_does_not_fit(driver: Keeper) -> None:
    driver.row = Row({"id": 1, "tags": "no set"}, "")
    with pytest.raises(ValueError, match=r"table plain, key \(1,\): the stored item does not fit its type.*tags"):
        Table("plain", Plain, key="id").get(1)


def test_wrong_items(driver: Keeper) -> None:
    table: Table[Any] = Table("plain", Plain, key="id")
    for item in ({"id": 1}, Tagged(1), [1], None):
        with pytest.raises(TypeError, match="table plain: an item is Plain"):
            table.put(item)
    with pytest.raises(ValueError, match="has no 'id'"):
        Table("untyped", key="id").put({"name": "a"})
    wrong: Any = {1: "a"}
    with pytest.raises(TypeError, match="names are str"):
        Table("untyped", key="id").put(wrong)
    assert driver.writes == []


def test_subclasses_of_values(driver: Keeper) -> None:
    table = Table("untyped", key="id")

    class Text(str):
        pass

    class Whole(int):
        pass

    stored, _ = round_trip(driver, table, OrderedDict(id=Text("a"), n=Whole(5), t=(1, 2), b=bytearray(b"x")))
    assert stored == {"id": "a", "n": 5, "t": [1, 2], "b": b"x"}
    assert [type(one) for one in stored.values()] == [str, int, list, bytes]


def test_an_instant_as_time_to_live(driver: Keeper) -> None:
    class Session(msgspec.Struct):
        id: str
        ends: datetime | None = None

    table = Table("sessions", Session, key="id", ttl="ends")
    end = datetime(2100, 1, 1, tzinfo=UTC)
    stored, found = round_trip(driver, table, Session("a", end))
    assert stored["ends"] == int(end.timestamp())
    assert found == Session("a", end)
    assert round_trip(driver, table, Session("a"))[0] == {"id": "a"}
    with pytest.raises(ValueError, match="aware"):
        table.put(Session("a", datetime(2100, 1, 1)))  # noqa: DTZ001 - that is the mistake
    untyped = Table("untyped", key="id", ttl="ends")
    untyped.put({"id": "a", "ends": end})
    assert driver.writes[-1].item["ends"] == int(end.timestamp())
    for wrong in (-1, 10**11):
        with pytest.raises(ValueError, match="seconds since the epoch"):
            untyped.put({"id": "a", "ends": wrong})
    for odd in (1.5, True, "2100"):
        with pytest.raises(TypeError, match="seconds since the epoch"):
            untyped.put({"id": "a", "ends": odd})


# --- updates, pages, transactions


def test_update_is_checked(driver: Keeper) -> None:
    table = Table("plain", Plain, key="id")
    with pytest.raises(TypeError, match="add takes a number or a set"):
        table.update(1, add={"note": "x"})
    with pytest.raises(ValueError, match="no field 'other'"):
        table.update(1, remove=["other"])
    with pytest.raises(ValueError, match="if_absent or if_match"):
        table.put(Plain(1), if_absent=True, if_match="1")
    assert driver.writes == []


def test_page_reads_on_only_without_a_limit(driver: Keeper) -> None:
    table = Table("items", key="id", sort="at")
    rows = [Row({"id": "a", "at": str(n)}, "1") for n in range(6)]
    driver.pages = [Rows(rows[:2], "one"), Rows([], "two"), Rows(rows[2:3], None)]
    page = table.query("a")
    assert isinstance(page, Page)
    assert (len(page.items), page.cursor) == (2, "one")
    assert [item["at"] for item in page] == ["0", "1", "2"]
    assert [query.cursor for query in driver.queries] == [None, "one", "two"]
    driver.pages = [Rows(rows[:2], "one"), Rows([], "two"), Rows(rows[2:3], "three")]
    page = table.query("a", limit=3)
    assert [item["at"] for item in page] == ["0", "1", "2"]
    assert page.cursor == "three"
    assert [query.limit for query in driver.queries[3:]] == [3, 1, 1]


def test_entry_and_many(driver: Keeper) -> None:
    table = Table("items", key="id")
    driver.row = Row({"id": "a"}, "7")
    entry = table.entry("a")
    assert isinstance(entry, Entry)
    assert (entry.item, entry.version) == ({"id": "a"}, "7")
    assert table.get_many(["a", "a"]) == [{"id": "a"}] * 2


def test_transaction_sends_nothing_before_its_end(driver: Keeper) -> None:
    table = Table("items", key="id")
    with table.transaction() as change:
        change.put({"id": "a"})
        change.check("b", if_match="1")
        assert driver.writes == []
    assert [write.kind for write in driver.writes] == ["put", "check"]
    with pytest.raises(ValueError, match="no version to match"):
        table.transaction().check("b", exists=False, if_match="1")

    async def work() -> None:
        async with table.transaction() as change:
            change.delete("c")

    asyncio.run(work())
    assert driver.writes[-1].kind == "delete"


def test_sort_and_cursors() -> None:
    assert repr(Sort.between(1, 2)) == "Sort.between(1, 2)"
    assert repr(Sort.prefix("a")) == "Sort.prefix('a')"
    for values in ([1, "é", None], [], ["a" * 2000]):
        text = encode_cursor(values)
        assert decode_cursor(text, len(values)) == values
        assert text.replace("-", "").replace("_", "").isalnum() or not text
    for wrong in ("?", "e30", "WzEsMl0", "é"):
        with pytest.raises(ValueError, match="cursor"):
            decode_cursor(wrong, 1)


@pytest.mark.parametrize("value", [Decimal("Infinity"), Decimal("NaN"), Decimal("1E999999999"), float("inf"), 1e300])
def test_a_number_that_no_table_holds_is_no_int_of_a_million_digits(value: Any) -> None:
    with pytest.raises(ValueError, match="significant digits"):
        to_number(value, exact=False)
