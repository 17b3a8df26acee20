"""Cosmos DB for NoSQL: one serverless account, a container for each table.

https://learn.microsoft.com/azure/templates/microsoft.documentdb/databaseaccounts
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.manifest import ResourceRecord
from portable_azure.build.infrastructure.expressions import Expression, text
from portable_azure.build.infrastructure.template import Template

__all__ = ["COSMOS", "DATABASE", "place_table"]

COSMOS, DATABASE = "cosmos", "portable"
LEASES = "leases"
_HOST = "documents.azure.com"


def _account(template: Template, names: Any) -> None:
    if COSMOS in template:
        return
    body = {
        "kind": "GlobalDocumentDB",
        "properties": {
            "backupPolicy": {"type": "Continuous", "continuousModeProperties": {"tier": "Continuous7Days"}},
            "capabilities": [{"name": "EnableServerless"}],
            "consistencyPolicy": {"defaultConsistencyLevel": "Session"},
            "databaseAccountOfferType": "Standard",
            "disableKeyBasedMetadataWriteAccess": True,
            "disableLocalAuth": True,
            "locations": [{"locationName": Expression("parameters('location')"), "failoverPriority": 0}],
            "minimalTlsVersion": "Tls12",
            "publicNetworkAccess": "Enabled",
        },
    }
    template.add(COSMOS, "Microsoft.DocumentDB/databaseAccounts", names.dashed("db"), body, tagged=True)
    inner = {"properties": {"resource": {"id": DATABASE}}}
    template.within(f"{COSMOS}_database", COSMOS, "sqlDatabases", DATABASE, inner)


def place_table(resource: ResourceRecord, deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A container as ``portable_azure._sdk.make_cosmos_container`` makes one, and where its changes are handled, one
    for the positions in its change feed.
    """
    _account(template, names)
    name, symbol = resource.name, f"table_{resource.name.replace('-', '_')}"
    indexing = {
        "indexingMode": "consistent",
        "includedPaths": [{"path": "/place/?"}, {"path": "/indexes/*"}],
        "excludedPaths": [{"path": "/*"}],
    }
    _container(template, symbol, name, "/partition", {"indexingPolicy": indexing, "defaultTtl": -1})
    scopes, settings = {"items": [symbol]}, {"tabledatabase": DATABASE}
    if deployment.manifest.wants_changes(name) is not None:
        leases = f"{name}.{LEASES}"  # no table is called so: names have no dots
        _container(template, f"{symbol}_{LEASES}", leases, "/id", {})
        scopes[LEASES] = [f"{symbol}_{LEASES}"]
        settings["tableleases"] = leases
    host = f"https://{{0}}.{_HOST}"  # its documentEndpoint has a port, which a token's audience has not
    account = template.name_of(COSMOS)
    return {
        "address": text(f"{host}/dbs/{DATABASE}/colls/{name}", account),
        "name": name,
        "connection": {"accountEndpoint": text(f"{host}/", account)},
        "settings": settings,
        "scopes": scopes,
    }


def _container(template: Template, symbol: str, name: str, key: str, more: Mapping[str, Any]) -> None:
    said = {"id": name, "partitionKey": {"kind": "Hash", "paths": [key]}, **more}
    template.within(symbol, f"{COSMOS}_database", "containers", name, {"properties": {"resource": said}})
