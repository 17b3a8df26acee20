"""Key Vault for secrets and config values, Azure Managed Redis for caches, Web PubSub for websockets.

https://learn.microsoft.com/azure/templates/microsoft.keyvault/vaults,
https://learn.microsoft.com/azure/templates/microsoft.cache/redisenterprise,
https://learn.microsoft.com/azure/templates/microsoft.signalrservice/webpubsub
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.manifest import ResourceRecord
from portable_azure.build.infrastructure.expressions import Expression, call, property_of, text
from portable_azure.build.infrastructure.logs import add_logs
from portable_azure.build.infrastructure.template import API, Template
from portable_azure.capabilities import NAMES

__all__ = ["SOCKETS", "VAULT", "place_cache", "place_secret", "place_sockets", "socket_connection"]

VAULT, CACHE, SOCKETS = "vault", "cache", "sockets"


def place_secret(resource: ResourceRecord, _deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A secret's place. Its value is the user's to set: a template that held it would set it anew each time."""
    if VAULT not in template:
        body = {
            "properties": {
                "enablePurgeProtection": True,
                "enableRbacAuthorization": True,
                "enableSoftDelete": True,
                "enabledForDeployment": False,
                "enabledForDiskEncryption": False,
                "enabledForTemplateDeployment": False,
                "networkAcls": {"bypass": "AzureServices", "defaultAction": "Allow"},
                "publicNetworkAccess": "Enabled",
                "sku": {"family": "A", "name": "standard"},
                "softDeleteRetentionInDays": 7,
                "tenantId": Expression("tenant().tenantId"),
            }
        }
        template.add(VAULT, "Microsoft.KeyVault/vaults", names.plain("kv"), body, tagged=True)
        add_logs(template, VAULT, "audit")
    name = NAMES["secret"].physical(resource.name) if resource.kind == "secret" else f"{resource.name}-config"
    symbol = f"{resource.kind}_{resource.name.replace('-', '_')}"
    template.there(symbol, "Microsoft.KeyVault/vaults/secrets", text("{0}/{1}", template.name_of(VAULT), name))
    return {
        "address": text("{0}secrets/{1}", property_of(VAULT, "vaultUri"), name),
        "name": name,
        "scopes": {"secret": [symbol]},
    }


def place_cache(_resource: ResourceRecord, _deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """One server for all caches of the app, whose keys bear their names."""
    if CACHE not in template:
        body = {
            "sku": {"name": "Balanced_B0"},
            "properties": {"minimumTlsVersion": "1.2", "publicNetworkAccess": "Enabled"},
        }
        template.add(CACHE, "Microsoft.Cache/redisEnterprise", names.dashed("redis"), body, tagged=True)
        inner = {
            "accessKeysAuthentication": "Enabled",
            "clientProtocol": "Encrypted",
            "clusteringPolicy": "EnterpriseCluster",
            "evictionPolicy": "VolatileLRU",
            "port": 10000,
        }
        template.within(f"{CACHE}_database", CACHE, "databases", "default", {"properties": inner})
    keys = call("listKeys", template.id_of(f"{CACHE}_database"), API["Microsoft.Cache"])
    password = call("uriComponent", Expression(f"{keys}.primaryKey"))
    return {"address": text("rediss://:{0}@{1}:10000", password, property_of(CACHE, "hostName"))}


def place_sockets(resource: ResourceRecord, _deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A hub, which is there from its first use on; who handles its events is said once the code is there."""
    if SOCKETS not in template:
        body = {
            "sku": {"name": "Standard_S1", "tier": "Standard", "capacity": 1},
            "properties": {
                # The service signs its events with an access key.
                "disableLocalAuth": False,
                "publicNetworkAccess": "Enabled",
                "tls": {"clientCertEnabled": False},
            },
        }
        template.add(SOCKETS, "Microsoft.SignalRService/webPubSub", names.dashed("ws"), body, tagged=True)
    hub = NAMES["sockets"].physical(resource.name)
    return {
        "address": text("https://{0}/hubs/{1}", property_of(SOCKETS, "hostName"), hub),
        "name": hub,
        "scopes": {"service": [SOCKETS]},
    }


def socket_connection(template: Template) -> Expression:
    """The connection string by which events are told from forged ones."""
    keys = call("listKeys", template.id_of(SOCKETS), API["Microsoft.SignalRService"])
    return Expression(f"{keys}.primaryConnectionString")
