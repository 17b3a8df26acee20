"""Cosmos DB against a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from time import time
from typing import Any

import pytest

from portable import Table
from portable.drivers.table import Schema
from portable.errors import ConfigError, UnavailableError, UnsupportedError
from portable.resources import use_platform
from portable.run.emulators import Emulator
from portable.testing.conformance import TableConformance
from portable.testing.conformance.table import TABLES
from portable_azure import _sdk
from portable_azure.capabilities import CAPABILITIES
from portable_azure.platform import AzurePlatform
from portable_azure.table import CosmosTable, parse_address


@pytest.fixture
def database(cosmos: Emulator) -> Iterator[Any]:
    """A client of an empty database."""
    from azure.cosmos import CosmosClient

    cosmos.reset()
    connection = cosmos.environment[_sdk.COSMOS_VARIABLE]
    with CosmosClient.from_connection_string(connection, enable_endpoint_discovery=False) as client:
        yield client.create_database("app")


@pytest.fixture
def tables(cosmos: Emulator, database: Any) -> Iterator[AzurePlatform]:
    environment = dict(cosmos.environment)
    for name in [*(table.name for table in TABLES), "missing"]:
        environment[f"PORTABLE_TABLE_{name.upper()}"] = f"{cosmos.endpoint}/dbs/app/colls/{name}"
        if name != "missing":
            make_container(database, name)
    platform = AzurePlatform(environment)
    with use_platform(platform):
        yield platform
    platform.close()


def make_container(database: Any, name: str) -> Any:
    from azure.cosmos import PartitionKey

    return database.create_container(name, PartitionKey("/partition"), default_ttl=-1)


@pytest.mark.slow
class TestTable(TableConformance):
    capabilities = CAPABILITIES["table"]


# --- what is Cosmos DB's own


@pytest.fixture
def environment(cosmos: Emulator, database: Any) -> dict[str, str]:
    address = f"{cosmos.endpoint}/dbs/app/colls/own"
    _sdk.make_cosmos_container(*parse_address(address), cosmos.environment)
    return {**cosmos.environment, "PORTABLE_TABLE_OWN": address}


@pytest.fixture
def table(environment: dict[str, str]) -> Iterator[Table[Any]]:
    platform = AzurePlatform(environment)
    with use_platform(platform):
        yield Table("own", key="p", sort="s", ttl="ends", indexes={"by-name": ("name", "name")})
    platform.close()


def test_addresses() -> None:
    address = "https://shop.documents.azure.com/dbs/app/colls/users"
    assert parse_address(address) == ("https://shop.documents.azure.com", "app", "users")
    for wrong in ("users", "https://shop.documents.azure.com/", f"{address}/docs", address.replace("dbs", "databases")):
        with pytest.raises(ConfigError, match="table address"):
            parse_address(wrong)


def test_the_document_of_an_item(table: Table[Any]) -> None:
    ends = int(time()) + 3600
    item = {"p": "a/b", "s": "c.d", "n": 2**53, "m": 7, "f": 1.0, "g": 0.5, "b": b"\0", "ends": ends}
    version = table.put(item)
    document = table.native().read_item("s.c~2Ed", "a/b")
    assert document["_etag"] == version
    stored = {**item, "n": {"$int": str(2**53)}, "f": {"$float": "1.0"}, "b": {"$bytes": "AA=="}}
    assert document["item"] == stored
    assert 3500 < document["ttl"] <= 3601
    table.put({"p": "a", "s": "b", "ends": 10**10 - 1})
    assert "ttl" not in table.native().read_item("s.b", "a")


def test_an_update_begins_anew_when_another_came_between(table: Table[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    table.put({"p": "a", "s": "b", "n": 1})
    driver = table.driver()
    assert isinstance(driver, CosmosTable)
    read, others = driver.get, iter([10, 100])

    def read_and_lose(key: Any) -> Any:
        row = read(key)
        for more in others:
            container = driver.native()
            document = container.read_item("s.b", "a")
            document["item"]["n"] += more
            container.upsert_item(document)
            break
        return row

    monkeypatch.setattr(driver, "get", read_and_lose)
    assert table.update("a", "b", add={"n": 1000})["n"] == 1111


def test_keys_of_any_length_find_their_items(table: Table[Any]) -> None:
    long = ["🐍" * 256, "🐍" * 255 + "🐎", "\0" * 1024]
    for partition in long:
        for sort in long:
            table.put({"p": partition, "s": sort, "name": sort})
    assert all(table.get(partition, sort) is not None for partition in long for sort in long)
    assert [item["s"] for item in table.query(long[0])] == sorted(long, key=str.encode)
    assert len(list(table.query(long[1], index="by-name"))) == 3


def test_transactions_are_refused_naming_the_table(table: Table[Any]) -> None:
    with pytest.raises(UnsupportedError, match="table own"), table.transaction() as change:
        change.put({"p": "a", "s": "b"})
    assert table.get("a", "b") is None


def test_the_key_of_a_connection_string_is_for_its_own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[str, Any] = {}
    monkeypatch.setattr(
        "azure.cosmos.CosmosClient", lambda endpoint, credential, **_: used.update({endpoint: credential})
    )
    mine = {_sdk.COSMOS_VARIABLE: "AccountEndpoint=https://shop.documents.azure.com:443/;AccountKey=c2VjcmV0==;"}
    for host in ("shop", "other"):
        _sdk._cosmos_client(f"https://{host}.documents.azure.com", mine)
    assert used["https://shop.documents.azure.com"] == "c2VjcmV0=="
    assert type(used["https://other.documents.azure.com"]).__name__ == "DefaultAzureCredential"


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "azure.cosmos", None)
    driver = CosmosTable("own", "https://shop.documents.azure.com/dbs/a/colls/b", schema(), {})
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[azure\]'"):
        driver.get(("a",))


def test_an_account_that_is_not_there_is_unavailable() -> None:
    driver = CosmosTable("own", "http://127.0.0.1:9/dbs/a/colls/b", schema(), {_sdk.COSMOS_VARIABLE: LOCAL})
    with pytest.raises(UnavailableError, match="table own"):
        driver.get(("a",))


LOCAL = "AccountEndpoint=http://127.0.0.1:9/;AccountKey=c2VjcmV0"


def schema() -> Schema:
    return Schema(Table("own", key="p").options)
