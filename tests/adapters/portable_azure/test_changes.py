"""Changes of tables: Cosmos DB's feed decoded, a batch that fails half-way, and a bundle under Microsoft's worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from azure.functions.cosmosdb import CosmosDBTriggerConverter
from azure.functions.decorators.function_app import TriggerApi
from azure.functions.meta import Datum

from portable import App, Change, Table
from portable.build.artifact import Wanted, build, check
from portable.build.project import Project, find_project
from portable.drivers.table import Schema, Write
from portable.plugins import adapter
from portable.resources import set_platform
from portable.run.deployment import deployed
from portable.run.emulators.azure import cosmos
from portable.samples.neutral import make_request
from portable_azure import _sdk
from portable_azure.build import TARGET
from portable_azure.runtime import entry
from portable_azure.samples import SAMPLES
from portable_azure.table import CosmosTable, parse_address
from portable_azure.triggers.cosmos import CosmosTrigger

APP = """
from decimal import Decimal

import msgspec

from portable import App, Change

app = App("changes")


class Person(msgspec.Struct):
    team: str
    name: str
    balance: Decimal = Decimal(0)
    tags: set[str] = set()


people = app.table("people", Person, key="team", sort="name")
seen = app.bucket("seen")


@app.put("/people")
def put(body: Person) -> None:
    people.put(body)


@app.delete("/people/{team}/{name}")
def delete(team: str, name: str) -> None:
    people.delete(team, name)


@app.on_change(people)
async def follow(change: Change[Person]) -> None:
    assert change.new is not None and change.old is None
    await seen.awrite(f"{change.kind}/{'/'.join(change.key)}/{change.new.balance}", repr(sorted(change.new.tags)))
    if change.new.name == "broken":
        raise ValueError("not this one")
"""
SETTING = '[tool.portable.azure]\nchanges = "latest"\n'
MIXED = {"team": "a", "name": "ann", "balance": Decimal("0.1"), "photo": b"\x00\xff", "tags": {"x", "y"}, "n": 2**60}


def decoded(*documents: dict[str, Any]) -> Any:
    return CosmosDBTriggerConverter.decode(Datum(json.dumps(documents), "json"), trigger_metadata={})


def document(name: str, etag: str, **fields: Any) -> dict[str, Any]:
    item = {"team": "a", "name": name, **fields}
    return {"id": f"s.{name}", "partition": "a", "item": item, "_etag": etag, "_ts": 1774771200, "_lsn": 7}


@pytest.fixture
def trigger() -> CosmosTrigger:
    return CosmosTrigger("people", Schema(Table("people", key="team", sort="name").options))


def test_documents_are_updates(trigger: CosmosTrigger) -> None:
    batch = decoded(document("ann", '"1"', n=1), document("bob", '"2"'))
    first, second = trigger.decode(batch)
    assert (first.kind, first.table, first.key) == ("update", "people", ("a", "ann"))
    assert (first.new, first.old) == ({"team": "a", "name": "ann", "n": 1}, None)
    assert first.time == datetime(2026, 3, 29, 8, tzinfo=UTC)
    assert (second.key, second.native["_lsn"]) == (("a", "bob"), 7)
    assert trigger.decode(None) == trigger.decode(decoded()) == []


@pytest.mark.parametrize("missing", ["item", "_etag", "_ts"])
def test_a_document_that_another_wrote(trigger: CosmosTrigger, missing: str) -> None:
    theirs = document("ann", '"1"')
    del theirs[missing]
    with pytest.raises(ValueError, match=r"document 's\.ann' of table 'people' was not written by portable"):
        trigger.decode(decoded(theirs))


def test_what_is_done_of_a_batch_is_not_done_again(trigger: CosmosTrigger) -> None:
    batch = decoded(*(document(name, f'"{name}"') for name in ("ann", "bob", "cat")))
    changes = trigger.decode(batch)
    trigger.failed(changes[:1])
    assert [one.key[1] for one in trigger.decode(batch)] == ["bob", "cat"]
    trigger.failed(trigger.decode(batch)[:1])
    assert [one.key[1] for one in trigger.decode(batch)] == ["cat"]
    trigger.finished(batch)
    assert len(trigger.decode(batch)) == 3
    assert trigger._done == set()


def test_samples_come_back(trigger: CosmosTrigger) -> None:
    now = datetime.now(UTC)
    sample = SAMPLES.native(
        SimpleNamespace(name="follow", kind="change"),  # type: ignore[arg-type]
        Change("insert", "people", ("a", "ann"), None, MIXED, now),
    )
    assert sample["resource"] == "people"
    [change] = trigger.decode(decoded(*json.loads(sample["data"]["json"])))
    assert (change.new, change.key) == (MIXED, ("a", "ann"))
    assert abs(change.time - now).total_seconds() <= 1
    gone = Change("delete", "people", ("a", "ann"), MIXED, None, now)
    assert SAMPLES.native(SimpleNamespace(name="follow", kind="change"), gone)["data"] == {"json": "[]"}  # type: ignore[arg-type]


# --- the entry


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    module = ModuleType("azure_changes_app")
    module.app = App("changes")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "azure_changes_app", module)
    yield module.app  # type: ignore[attr-defined]
    set_platform(None)


def test_a_batch_goes_on_where_it_failed(app: App) -> None:
    seen: list[str] = []

    @app.on_change(app.table("azure-people", key="team", sort="name"))
    def follow(change: Change[dict[str, Any]]) -> None:
        assert change.new is not None
        seen.append(change.new["name"])
        if change.new["name"] == "bob" and seen.count("bob") < 3:
            raise ValueError("not yet")

    serve = entry("azure_changes_app:app", "follow", None, "cosmos-db", resource="azure-people")
    batch = decoded(*(document(name, f'"{name}"') for name in ("ann", "bob", "cat")))
    for _ in range(2):
        with pytest.raises(ValueError, match="not yet"):
            serve(batch, SimpleNamespace(invocation_id="1"))
    serve(batch, SimpleNamespace(invocation_id="1"))
    assert seen == ["ann", "bob", "bob", "bob", "cat"]


# --- what is built


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    project = '[project]\nname = "changes"\nversion = "1"\ndependencies = ["msgspec"]\n'
    (tmp_path / "pyproject.toml").write_text(project + SETTING)
    return tmp_path


def test_changes_are_refused_until_their_limits_are_taken(folder: Path) -> None:
    [finding] = [one for one in check(Project(folder, "app:app"), TARGET)[1] if one.severity == "error"]
    assert finding.where.startswith("app.py:")
    assert "an insertion is not told from an update" in finding.message
    assert "changes = 'latest' takes that" in finding.way_out
    found = check(find_project(folder), TARGET)[1]
    assert [one.severity for one in found if "as an 'update'" in one.message] == ["warning"]
    assert not any(one.severity == "error" for one in found)
    source = (folder / "app.py").read_text()
    (folder / "app.py").write_text(source.replace("on_change(people)", "on_change(people, old=True)"))
    [refused] = [one for one in check(find_project(folder), TARGET)[1] if one.severity == "error"]
    assert "has the item as it is now" in refused.message


def test_the_python_trigger_has_no_mode_with_deletions() -> None:
    """When it has one, old=True can be given."""
    assert "change_feed_mode" not in TriggerApi.cosmos_db_trigger.__annotations__
    assert func.__version__


def test_the_change_feed_itself(require_part: Any, trigger: CosmosTrigger) -> None:
    """Documents that Microsoft's client reads from the feed of the stand-in, as the driver wrote them."""
    for part in ("node", "cosmosdb-server"):
        require_part(part)
    with cosmos() as emulator:
        address = f"{emulator.endpoint}/dbs/app/colls/feed"
        _sdk.make_cosmos_container(*parse_address(address), emulator.environment)
        schema = Schema(Table("people", key="team", sort="name").options)
        driver = CosmosTable("people", address, schema, emulator.environment)
        driver.write(Write("put", ("a", "ann"), item=MIXED))
        feed = list(driver.native().query_items_change_feed(start_time="Beginning"))
        driver.close()
    [change] = trigger.decode(decoded(*feed))
    assert (change.new, change.key) == (MIXED, ("a", "ann"))


def test_a_bundle_follows_its_table(folder: Path, require_part: Any) -> None:
    for part in ("node", "azurite", "cosmosdb-server", "azure-functions-runtime"):
        require_part(part)
    artifact = build(find_project(folder), adapter("azure").build, Wanted(for_here=True)).folder
    source = (artifact / "bundle" / "function_app.py").read_text()
    assert "lease_container_name='%PORTABLE_TABLELEASES_PEOPLE%', lease_container_prefix='follow'" in source
    assert "max_retry_count='-1'" in source
    with deployed(artifact) as deployment:

        def call(method: str, target: str, body: Any = None) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            headers = [("content-type", "application/json")] if data else []
            response = deployment.request(make_request(method, target, body=data, headers=headers))
            assert response.status == 204, (response.body, deployment.log())

        call("PUT", "/people", {"team": "a", "name": "ann", "balance": "0.1", "tags": ["y", "x"]})
        assert deployment.settle().failures == []
        call("PUT", "/people", {"team": "a", "name": "ann", "balance": "0.3"})
        call("PUT", "/people", {"team": "b", "name": "broken"})
        failures = deployment.settle().failures
        call("DELETE", "/people/a/ann")
        deployment.settle()
        assert {one.error for one in failures} == {"ValueError: not this one"}
        assert list(deployment.snapshot().buckets["seen"]) == [
            "update/a/ann/0.1",
            "update/a/ann/0.3",
            "update/b/broken/0",
        ]
