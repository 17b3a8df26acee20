"""Every field that is written, held against the version of Azure's interface that its resource names.

The models of the management libraries are each of the newest version: a field that an older one has not is passed over
by Azure, or refused. ``fields.json`` lists the fields of our resources that were looked up in its description
(https://github.com/Azure/bicep-types-az, ``generated/…/types.json``), and those it requires. A new field, or another
version, is looked up there and added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from portable.build.deployment import Deployment
from portable.build.infrastructure import infrastructure_files
from portable_azure.build import TARGET

FIELDS = json.loads((Path(__file__).parent / "fields.json").read_text("utf-8"))
OUTER = ("type", "apiVersion", "name", "dependsOn", "scope", "existing", "condition")
FREE = ("tags", "identity.userAssignedIdentities")
"""Mappings whose keys are anybody's."""


def fields_of(value: Any, at: str = "") -> Iterator[str]:
    """The path of every field, without what lists are counted by."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            path = f"{at}.{key}" if at else key
            yield path
            if path not in FREE:
                yield from fields_of(one, path)
    elif isinstance(value, list):
        for one in value:
            yield from fields_of(one, at)


def wrong_in(template: Mapping[str, Any]) -> list[str]:
    found = []
    for symbol, one in template["resources"].items():
        if one.get("existing"):
            continue
        kind = f"{one['type']}@{one['apiVersion']}"
        if kind not in FIELDS:
            found.append(f"{symbol}: {kind} was not looked up")
            continue
        body = {key: value for key, value in one.items() if key not in OUTER}
        if one["type"] == "Microsoft.Web/sites/config":  # app settings are anybody's
            body["properties"] = {}
        known = {"kind", "location", "identity", "sku", "tags", "properties", *FIELDS[kind]["known"]}
        has = set(fields_of(body))
        found += [f"{symbol}.{field}: {kind} was not looked up to have it" for field in sorted(has - known)]
        for field in FIELDS[kind]["required"]:
            outer = field.rpartition(".")[0]
            if field not in has and (not outer or outer in has):
                found.append(f"{symbol}.{field}: {kind} requires it")
    return found


@pytest.mark.parametrize(
    ("settings", "only"),
    [
        ({}, None),
        ({"plan": "premium", "blob_source": "poll"}, None),
        ({"image": "acme.azurecr.io/shop:1"}, ("http", "direct", "message", "schedule")),
    ],
    ids=["flex", "premium", "image"],
)
def test_every_field_is_of_the_version_that_is_named(
    deployed: Callable[..., Deployment], settings: dict[str, Any], only: tuple[str, ...] | None
) -> None:
    asked = {"http": {"min_instances": 2, "max_instances": 40, "concurrency": 16}, "report": {"min_instances": 1}}
    deployment = deployed(settings, asked, **({} if only is None else {"only": only}))
    for path, content in infrastructure_files(TARGET, deployment, Path("/nowhere")).items():
        if path.endswith(".json"):
            assert wrong_in(json.loads(content)) == []


def test_the_check_finds_what_is_wrong(deployed: Callable[..., Deployment]) -> None:
    template = json.loads(infrastructure_files(TARGET, deployed(), Path("/nowhere"))["infra/main.json"])
    resources = template["resources"]
    resources["bus"]["apiVersion"] = "2021-11-01"
    resources["cosmos"]["properties"]["isMine"] = True
    del resources["app_http"]["location"]
    del resources["data"]["sku"]["name"]
    site = "Microsoft.Web/sites@2024-04-01"
    accounts, cosmos = (
        "Microsoft.Storage/storageAccounts@2023-05-01",
        "Microsoft.DocumentDB/databaseAccounts@2024-11-15",
    )
    assert sorted(wrong_in(template)) == [
        f"app_http.location: {site} requires it",
        "bus: Microsoft.ServiceBus/namespaces@2021-11-01 was not looked up",
        f"cosmos.properties.isMine: {cosmos} was not looked up to have it",
        f"data.sku.name: {accounts} requires it",
    ]
