"""Service Bus for topics, ordered queues and queues that drop duplicates, and Event Hubs for streams.

https://learn.microsoft.com/azure/templates/microsoft.servicebus/namespaces,
https://learn.microsoft.com/azure/templates/microsoft.eventhub/namespaces
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.manifest import FunctionRecord, ResourceRecord
from portable.resources.topic import subscription_name
from portable_azure.build.infrastructure.expressions import text
from portable_azure.build.infrastructure.template import Template
from portable_azure.capabilities import NAMES
from portable_azure.topic import filter_rule

__all__ = ["place_queue", "place_stream", "place_topic"]

BUS, HUBS = "bus", "hubs"
LOCK = "PT5M"
"""How long a message is locked: the most there is, and the host renews it for as long as a function runs. Documented:
service-bus-quotas."""

_FOR_EVER = "P10675199DT2H48M5.4775807S"  # TimeSpan.MaxValue, as Service Bus says that nothing expires


def _namespace(template: Template, names: Any, symbol: str, kind: str) -> str:
    if symbol not in template:
        body = {
            "sku": {"name": "Standard", "tier": "Standard"},
            "properties": {"disableLocalAuth": True, "minimumTlsVersion": "1.2", "publicNetworkAccess": "Enabled"},
        }
        template.add(symbol, f"{kind}/namespaces", names.dashed(symbol), body, tagged=True)
    return symbol


def _host(template: Template, symbol: str) -> Any:
    return text("{0}.servicebus.windows.net", template.name_of(symbol))


def _address(template: Template, symbol: str, path: str) -> Any:
    return text(f"sb://{{0}}.servicebus.windows.net/{path}", template.name_of(symbol))


def place_queue(resource: ResourceRecord, _deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A queue, and the one that its dead letters are forwarded to."""
    bus = _namespace(template, names, BUS, "Microsoft.ServiceBus")
    name, dead = NAMES["queue"].every(resource.name)
    symbol = f"queue_{resource.name.replace('-', '_')}"
    letters = _dead_letters(template, f"{symbol}_dead", bus, dead)
    options = resource.options
    body = {
        "deadLetteringOnMessageExpiration": True,
        "defaultMessageTimeToLive": _FOR_EVER,
        "forwardDeadLetteredMessagesTo": dead,
        "lockDuration": LOCK,
        "maxDeliveryCount": options["max_attempts"],
        "requiresDuplicateDetection": bool(options.get("dedup")),
        "requiresSession": bool(options.get("ordered")),
    }
    template.within(symbol, bus, "queues", name, {"properties": body})
    template.after(symbol, letters)
    return {
        "address": _address(template, bus, name),
        "name": name,
        "connection": {"fullyQualifiedNamespace": _host(template, bus)},
        "scopes": {"bus-queue": [symbol], "bus-dead": [letters]},
        "dead_letters": _address(template, bus, dead),
    }


def _dead_letters(template: Template, symbol: str, bus: str, name: str) -> str:
    body = {"defaultMessageTimeToLive": _FOR_EVER, "lockDuration": LOCK, "maxDeliveryCount": 10}
    return template.within(symbol, bus, "queues", name, {"properties": body})


def place_topic(resource: ResourceRecord, deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """A topic; a subscription for each function, with a rule for its filter, and a queue of its dead letters."""
    bus = _namespace(template, names, BUS, "Microsoft.ServiceBus")
    name = NAMES["topic"].physical(resource.name)
    symbol = f"topic_{resource.name.replace('-', '_')}"
    ordered = bool(resource.options["ordered"])
    body = {"defaultMessageTimeToLive": _FOR_EVER, "supportOrdering": ordered}
    template.within(symbol, bus, "topics", name, {"properties": body})
    settings: dict[str, Any] = {}
    for function, wanted in deployment.manifest.subscriptions(resource.name).items():
        full, own, dead = (
            subscription_name(resource.name, function),
            f"{symbol}_{_word(function)}",
            f"{name}-{function}",
        )
        letters = _dead_letters(template, f"{own}_dead", bus, f"{dead}-dead")
        rules = {
            "deadLetteringOnMessageExpiration": True,
            "defaultMessageTimeToLive": _FOR_EVER,
            "forwardDeadLetteredMessagesTo": f"{dead}-dead",
            "lockDuration": LOCK,
            "maxDeliveryCount": resource.options["max_attempts"],
            "requiresSession": ordered,
        }
        template.within(own, symbol, "subscriptions", function, {"properties": rules})
        template.after(own, letters)
        # $Default is the rule that a subscription is made with, which lets everything through.
        rule = {"filterType": "SqlFilter", "sqlFilter": {"sqlExpression": filter_rule(wanted) if wanted else "1=1"}}
        template.within(f"{own}_rule", own, "rules", "$Default", {"properties": rule})
        settings[full] = {
            "subscriptionname": function,
            "subscription": _address(template, bus, f"{name}/Subscriptions/{function}"),
            "subscriptiondeadletter": _address(template, bus, f"{dead}-dead"),
            "scopes": {"subscription": [own], "bus-dead": [letters]},
        }
    return {
        "address": _address(template, bus, name),
        "name": name,
        "connection": {"fullyQualifiedNamespace": _host(template, bus)},
        "settings": settings,
        "scopes": {"bus-topic": [symbol]},
    }


def place_stream(resource: ResourceRecord, deployment: Any, template: Template, names: Any) -> Mapping[str, Any]:
    """An event hub, and a consumer group for each function."""
    hubs = _namespace(template, names, HUBS, "Microsoft.EventHub")
    name = NAMES["stream"].physical(resource.name)
    symbol = f"stream_{resource.name.replace('-', '_')}"
    kept = {"cleanupPolicy": "Delete", "retentionTimeInHours": 24}
    body = {"partitionCount": resource.options.get("partitions", 1), "retentionDescription": kept}
    template.within(symbol, hubs, "eventhubs", name, {"properties": body})
    settings: dict[str, Any] = {}
    for function in deployment.manifest.functions:
        if _handles(function, resource.name):
            template.within(f"{symbol}_{_word(function.name)}", symbol, "consumergroups", function.name, {})
            settings[subscription_name(resource.name, function.name)] = {"consumergroup": function.name}
    return {
        "address": text("sb://{0}.servicebus.windows.net/{1}", template.name_of(hubs), name),
        "name": name,
        "connection": {"fullyQualifiedNamespace": _host(template, hubs)},
        "settings": settings,
        "scopes": {"hub": [symbol]},
    }


def _handles(function: FunctionRecord, stream: str) -> bool:
    return function.kind == "stream" and stream in function.asks("stream")


def _word(name: str) -> str:
    return name.replace("-", "_")
