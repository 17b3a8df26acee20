"""Storage accounts, containers and storage queues.

https://learn.microsoft.com/azure/templates/microsoft.storage/storageaccounts
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.manifest import ResourceRecord
from portable_azure.build.infrastructure.expressions import property_of, text
from portable_azure.build.infrastructure.template import Template
from portable_azure.capabilities import NAMES

__all__ = ["BLOB_POISON", "add_account", "add_container", "add_queue", "data_account", "place_bucket", "place_queue"]

DATA = "data"
KEPT_DAYS = 7
"""How long what was deleted can be restored."""

BLOB_POISON = "webjobs-blobtrigger-poison"
"""The queue, beside a bucket, of blobs that failed too often. Source: HostQueueNames of azure-webjobs-sdk."""


def add_account(template: Template, symbol: str, name: Any, sku: str) -> None:
    """An account without keys and without public access, its blobs and its queues."""
    body = {
        "sku": {"name": sku},
        "kind": "StorageV2",
        "properties": {
            "accessTier": "Hot",
            "allowBlobPublicAccess": False,
            "allowCrossTenantReplication": False,
            "allowSharedKeyAccess": False,
            "defaultToOAuthAuthentication": True,
            "minimumTlsVersion": "TLS1_2",
            "publicNetworkAccess": "Enabled",
            "supportsHttpsTrafficOnly": True,
            "networkAcls": {"bypass": "AzureServices", "defaultAction": "Allow"},
        },
    }
    template.add(symbol, "Microsoft.Storage/storageAccounts", name, body, tagged=True)
    kept = {"enabled": True, "days": KEPT_DAYS}
    blobs = {"deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept}
    template.within(f"{symbol}_blobs", symbol, "blobServices", "default", {"properties": blobs})
    template.within(f"{symbol}_queues", symbol, "queueServices", "default", {})


def add_container(template: Template, symbol: str, account: str, name: str) -> str:
    """A container of an account."""
    body = {"properties": {"publicAccess": "None"}}
    return template.within(symbol, f"{account}_blobs", "containers", name, body)


def add_queue(template: Template, symbol: str, account: str, name: str) -> str:
    """A queue of an account."""
    return template.within(symbol, f"{account}_queues", "queues", name, {})


def data_account(template: Template, names: Any) -> str:
    """The account that holds the app's buckets and queues."""
    if DATA not in template:
        add_account(template, DATA, names.plain("d"), "Standard_ZRS")
    return DATA


def place_bucket(resource: ResourceRecord, _deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A container."""
    account = data_account(template, names)
    name = NAMES["bucket"].physical(resource.name)
    symbol = add_container(template, f"bucket_{resource.name.replace('-', '_')}", account, name)
    ends = {kind: property_of(account, f"primaryEndpoints.{kind}") for kind in ("blob", "queue")}
    return {
        "address": text("{0}{1}", ends["blob"], name),
        "name": name,
        "connection": {"blobServiceUri": ends["blob"], "queueServiceUri": ends["queue"]},
        "scopes": {"container": [symbol], "account": [account]},
    }


def place_queue(resource: ResourceRecord, _deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A queue, and the one of its dead letters."""
    account = data_account(template, names)
    name, poison = NAMES["queue"].every(resource.name)
    symbol = f"queue_{resource.name.replace('-', '_')}"
    add_queue(template, symbol, account, name)
    add_queue(template, f"{symbol}_poison", account, poison)
    end = property_of(account, "primaryEndpoints.queue")
    return {
        "address": text("{0}{1}", end, name),
        "name": name,
        "connection": {"queueServiceUri": end},
        "scopes": {"queue": [symbol], "poison": [f"{symbol}_poison"]},
        "dead_letters": text("{0}{1}", end, poison),
    }
