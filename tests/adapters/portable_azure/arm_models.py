"""Documents held against the model classes of Azure's management libraries, which are generated from the interface's
own description: fields that no model has, fields Azure alone sets, values that no enumeration has, wrong types.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import importlib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

MODELS: Mapping[str, tuple[str, str]] = {
    "Microsoft.App/containerApps": ("appcontainers", "ContainerApp"),
    "Microsoft.App/jobs": ("appcontainers", "Job"),
    "Microsoft.App/managedEnvironments": ("appcontainers", "ManagedEnvironment"),
    "Microsoft.Authorization/roleAssignments": ("authorization", "RoleAssignmentCreateParameters"),
    "Microsoft.Authorization/roleDefinitions": ("authorization", "RoleDefinition"),
    "Microsoft.Cache/redisEnterprise": ("redisenterprise", "Cluster"),
    "Microsoft.Cache/redisEnterprise/databases": ("redisenterprise", "Database"),
    "Microsoft.DocumentDB/databaseAccounts": ("cosmosdb", "DatabaseAccountCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases": ("cosmosdb", "SqlDatabaseCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers": ("cosmosdb", "SqlContainerCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments": ("cosmosdb", "SqlRoleAssignmentCreateUpdateParameters"),
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions": ("cosmosdb", "SqlRoleDefinitionCreateUpdateParameters"),
    "Microsoft.EventGrid/systemTopics": ("eventgrid", "SystemTopic"),
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": ("eventgrid", "EventSubscription"),
    "Microsoft.EventHub/namespaces": ("eventhub", "EHNamespace"),
    "Microsoft.EventHub/namespaces/eventhubs": ("eventhub", "Eventhub"),
    "Microsoft.EventHub/namespaces/eventhubs/consumergroups": ("eventhub", "ConsumerGroup"),
    "Microsoft.Insights/components": ("applicationinsights", "ApplicationInsightsComponent"),
    "Microsoft.KeyVault/vaults": ("keyvault", "VaultCreateOrUpdateParameters"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "Identity"),
    "Microsoft.OperationalInsights/workspaces": ("loganalytics", "Workspace"),
    "Microsoft.ServiceBus/namespaces": ("servicebus", "SBNamespace"),
    "Microsoft.ServiceBus/namespaces/queues": ("servicebus", "SBQueue"),
    "Microsoft.ServiceBus/namespaces/topics": ("servicebus", "SBTopic"),
    "Microsoft.ServiceBus/namespaces/topics/subscriptions": ("servicebus", "SBSubscription"),
    "Microsoft.ServiceBus/namespaces/topics/subscriptions/rules": ("servicebus", "Rule"),
    "Microsoft.SignalRService/webPubSub": ("webpubsub", "WebPubSubResource"),
    "Microsoft.SignalRService/webPubSub/hubs": ("webpubsub", "WebPubSubHub"),
    "Microsoft.Storage/storageAccounts": ("storage", "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": ("storage", "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": ("storage", "BlobContainer"),
    "Microsoft.Storage/storageAccounts/queueServices": ("storage", "QueueServiceProperties"),
    "Microsoft.Storage/storageAccounts/queueServices/queues": ("storage", "StorageQueue"),
    "Microsoft.Web/serverfarms": ("web", "AppServicePlan"),
    "Microsoft.Web/sites": ("web", "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ("web", "CsmPublishingCredentialsPoliciesEntity"),
    "Microsoft.Web/sites/config": ("web", "StringDictionary"),
}
"""The model of what a resource of a type is made with."""

UNMODELLED = ("Microsoft.Insights/diagnosticSettings",)
"""Types that no library at hand has a model of."""

_OUTER = ("type", "apiVersion", "name", "dependsOn", "scope", "existing", "condition")
_PLAIN: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "object": (object,),
    "iso-8601": (str,),
    "duration": (str,),
}


def wrong_in_template(template: Mapping[str, Any]) -> list[str]:
    """What is wrong in each resource of a template."""
    found = []
    for symbol, resource in template["resources"].items():
        if resource.get("existing") or resource["type"] in UNMODELLED:
            continue
        name, model = MODELS[resource["type"]]
        kind = getattr(importlib.import_module(f"azure.mgmt.{name}.models"), model)
        body = {key: value for key, value in resource.items() if key not in _OUTER}
        found += wrong_in(kind, body, symbol)
    return found


def wrong_in(kind: Any, document: Any, at: str) -> list[str]:
    """What is wrong in a document that is to be of a model."""
    return list(_wrong_model(kind, document, at))


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def _wrong_model(kind: Any, document: Any, at: str) -> Iterator[str]:
    if not isinstance(document, Mapping):
        yield f"{at}: {kind.__name__} is a mapping, got {document!r}"
        return
    if hasattr(kind, "_attribute_map"):
        yield from _wrong_old(kind, document, at)
    else:
        yield from _wrong_new(kind, document, at)


# --- models of TypeSpec: fields with the types of their annotations


def _hints(kind: Any) -> dict[str, Any]:
    package = importlib.import_module(kind.__module__.rpartition(".")[0])
    known = {"_models": package, "datetime": dt, "decimal": decimal, **vars(typing)}
    module = importlib.import_module(kind.__module__)
    return typing.get_type_hints(kind, {**vars(module), **known})


def _wrong_new(kind: Any, document: Mapping[str, Any], at: str) -> Iterator[str]:
    by_name = dict(getattr(kind, "__mapping__", {}))
    hints = _hints(kind)
    kind.__new__(kind)  # a class learns its fields' names when the first of it is made
    fields = {field._rest_name: (name, field) for name, field in kind._attr_to_rest_field.items()}
    told = next((key for key, (_, field) in fields.items() if field._is_discriminator), None)
    found = by_name.get(document.get(told)) if told is not None else None
    if found is not None and found is not kind:
        yield from _wrong_new(found, document, at)
        return
    for key, value in document.items():
        if key not in fields:
            yield f"{at}.{key}: {kind.__name__} has no such field"
            continue
        name, field = fields[key]
        if list(field._visibility or ()) == ["read"]:
            yield f"{at}.{key}: Azure alone sets it"
        yield from _wrong_value(hints[name], value, f"{at}.{key}")


def _wrong_value(hint: Any, value: Any, at: str) -> Iterator[str]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if _is_expression(value) or hint is Any or value is None:
        return
    if origin in (typing.Union, types.UnionType):
        enumerations = [one for one in inner if isinstance(one, type) and issubclass(one, enum.Enum)]
        others = [one for one in inner if one is not type(None)]
        if enumerations:
            known = [one.value for one in enumerations[0]]
            if value not in known:
                yield f"{at}: {value!r} is none of {known}"
        elif not any(not list(_wrong_value(one, value, at)) for one in others):
            yield from _wrong_value(others[0], value, at)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{at}: a list, got {value!r}"
        else:
            for number, one in enumerate(value):
                yield from _wrong_value(inner[0], one, f"{at}[{number}]")
    elif origin is dict:
        for key, one in value.items():
            yield from _wrong_value(inner[1], one, f"{at}.{key}")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [one.value for one in hint]:
            yield f"{at}: {value!r} is none of {[one.value for one in hint]}"
    elif isinstance(hint, type) and hasattr(hint, "_is_model"):
        yield from _wrong_model(hint, value, at)
    elif isinstance(hint, type) and hint not in (dt.datetime, dt.timedelta):
        wanted = (int, float) if hint is float else (hint,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
            yield f"{at}: {hint.__name__}, got {value!r}"


# --- older models: a map of attributes


def _wrong_old(kind: Any, document: Mapping[str, Any], at: str) -> Iterator[str]:
    models = importlib.import_module(kind.__module__.rpartition(".models")[0] + ".models")
    for key, names in getattr(kind, "_subtype_map", {}).items():
        told = next(one["key"] for name, one in kind._attribute_map.items() if name == key)
        found = getattr(models, names.get(document.get(told), ""), kind)
        if found is not kind and key in vars(kind).get("_subtype_map", {}):
            yield from _wrong_old(found, document, at)
            return
    tree: dict[str, Any] = {}
    for name, one in kind._attribute_map.items():
        path = one["key"].replace("\\.", "\0").split(".")
        place = tree
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1].replace("\0", ".")] = (name, one["type"])
    yield from _wrong_tree(kind, tree, document, at, models)


def _wrong_tree(kind: Any, tree: Any, document: Mapping[str, Any], at: str, models: Any) -> Iterator[str]:
    for key, value in document.items():
        found = tree.get(key)
        if found is None:
            yield f"{at}.{key}: {kind.__name__} has no such field"
        elif isinstance(found, dict):
            yield from _wrong_tree(kind, found, value, f"{at}.{key}", models)
        else:
            name, wanted = found
            if kind._validation.get(name, {}).get("readonly"):
                yield f"{at}.{key}: Azure alone sets it"
            yield from _wrong_old_value(wanted, value, f"{at}.{key}", models)


def _wrong_old_value(wanted: str, value: Any, at: str, models: Any) -> Iterator[str]:
    if _is_expression(value):
        return
    if wanted.startswith("["):
        if not isinstance(value, list):
            yield f"{at}: a list, got {value!r}"
            return
        for number, one in enumerate(value):
            yield from _wrong_old_value(wanted[1:-1], one, f"{at}[{number}]", models)
    elif wanted.startswith("{"):
        for key, one in value.items():
            yield from _wrong_old_value(wanted[1:-1], one, f"{at}.{key}", models)
    elif wanted in _PLAIN:
        if not isinstance(value, _PLAIN[wanted]) or (isinstance(value, bool) and wanted in ("int", "str")):
            yield f"{at}: {wanted}, got {value!r}"
    else:
        yield from _wrong_model(getattr(models, wanted), value, at)
