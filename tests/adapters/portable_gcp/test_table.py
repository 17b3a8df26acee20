"""The table driver against Google's Firestore emulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from portable import Table
from portable.drivers.table import Schema
from portable.errors import ConfigError, UnsupportedError
from portable.resources import use_platform
from portable.run.emulators import PROJECT, Emulator
from portable.testing.conformance import TableConformance
from portable.testing.conformance.table import TABLES
from portable_gcp.capabilities import CAPABILITIES
from portable_gcp.documents import decode_item, encode_item
from portable_gcp.limits import DOCUMENT_DEPTH
from portable_gcp.platform import GoogleCloud
from portable_gcp.table import FirestoreTable, parse_address

DOCUMENTS = f"projects/{PROJECT}/databases/(default)/documents"


@pytest.fixture
def tables(firestore: Emulator) -> Iterator[GoogleCloud]:
    firestore.reset()
    addresses = {f"PORTABLE_TABLE_{table.name.upper()}": f"{DOCUMENTS}/{table.name}" for table in TABLES}
    missing = f"projects/{PROJECT}/databases/nothing-here/documents/missing"
    cloud = GoogleCloud({**firestore.environment, **addresses, "PORTABLE_TABLE_MISSING": missing})
    with use_platform(cloud):
        yield cloud
    cloud.close()


@pytest.mark.slow
class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]
    emulator_faults: ClassVar[Mapping[str, str]] = {
        "missing_table": "it has a database of every name; a collection is never missing",
        "missing_table_read_whole": "it has a database of every name; a collection is never missing",
    }


# --- what is Firestore's own


def make_table(environment: Mapping[str, str], **options: Any) -> tuple[Table[Any], FirestoreTable]:
    table = Table("own", key="p", sort="s", **options)
    return table, FirestoreTable("own", f"{DOCUMENTS}/own", Schema(table.options), environment)


def test_addresses() -> None:
    assert parse_address("projects/p/databases/(default)/documents/users") == ("p", "(default)", "users")
    for wrong in ("users", "projects/p/databases/d/documents/", "projects/p/databases/d/documents/a/b", "gs://b"):
        with pytest.raises(ConfigError, match="table address"):
            parse_address(wrong)


def nested(depth: int, kind: type) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_depth_is_within_what_firestore_takes(kind: type) -> None:
    for depth in range(18):
        item = {"x": nested(depth, kind)}
        stored = encode_item(item)
        assert decode_item(stored) == item
        assert depth_of(stored) <= DOCUMENT_DEPTH


def depth_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth_of, inside), default=0)


def test_plain_values_are_firestores_own(firestore: Emulator) -> None:
    firestore.reset()
    table, driver = make_table(firestore.environment, ttl="ends")
    item = {"p": "a", "s": "b", "n": 2**63 - 1, "f": 1.0, "b": b"\0", "l": [1, {"x": None}], "ends": 4102444800}
    with use_platform(Opened(driver)):
        table.put(item)
        [document] = driver.native().collection("own").stream()
    assert document.id == "s.a.s.b"
    stored = document.to_dict()
    assert stored["item"] == item
    assert stored["ttl"].year == 2100
    driver.close()


def test_a_conditional_put_leaves_nothing_of_the_item_before(firestore: Emulator) -> None:
    firestore.reset()
    table, driver = make_table(firestore.environment, indexes={"by-colour": "colour"})
    with use_platform(Opened(driver)):
        version = table.put({"p": "a", "s": "b", "colour": "red", "old": 1})
        table.put({"p": "a", "s": "b"}, if_match=version)
        assert table.get("a", "b") == {"p": "a", "s": "b"}
        assert list(table.query("red", index="by-colour")) == []
    driver.close()


def test_an_item_too_large_is_refused_before_it_is_sent(firestore: Emulator) -> None:
    table, driver = make_table(firestore.environment)
    with use_platform(Opened(driver)), pytest.raises(UnsupportedError, match=r"table own.*a, b.*1048576 bytes"):
        table.put({"p": "a", "s": "b", "x": "é" * 600_000})
    driver.close()


def test_keys_of_any_length_find_their_items(firestore: Emulator) -> None:
    firestore.reset()
    table, driver = make_table(firestore.environment, indexes={"by-name": ("name", "name")})
    long = ["🐍" * 256, "🐍" * 255 + "🐎", "\0" * 1024]
    with use_platform(Opened(driver)):
        for partition in long:
            for sort in long:
                table.put({"p": partition, "s": sort, "name": sort})
        assert all(table.get(partition, sort) is not None for partition in long for sort in long)
        assert [item["s"] for item in table.query(long[0])] == sorted(long, key=str.encode)
        assert len(list(table.query(long[1], index="by-name"))) == 3
    driver.close()


def test_without_the_library_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "google.cloud.firestore", None)
    table, driver = make_table({})
    with use_platform(Opened(driver)), pytest.raises(ConfigError, match=r"pip install 'portable-functions\[gcp\]'"):
        table.get("a", "b")


class Opened:
    """A platform of one driver."""

    target = "gcp"

    def __init__(self, driver: FirestoreTable) -> None:
        self._driver = driver

    def open(self, resource: Any) -> FirestoreTable:
        return self._driver

    def close(self) -> None:
        self._driver.close()
