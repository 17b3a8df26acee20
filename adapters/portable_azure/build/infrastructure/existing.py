"""What the user binds by its address: where it is in Azure, so that roles are assigned on it though it is not made.

A role is assigned in the resource group of what it is on. Where that is another one (``resource_groups`` of the
settings), a template of its own is sent there: a module of Bicep's, a nested deployment in ARM's JSON.

https://learn.microsoft.com/azure/azure-resource-manager/templates/linked-templates
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable.manifest import ResourceRecord
from portable.resources.topic import subscription_name
from portable_azure.build.infrastructure.expressions import Expression, text
from portable_azure.build.infrastructure.template import Template

__all__ = ["DEPLOYMENTS", "Elsewhere", "existing_scopes", "existing_subscriptions"]

DEPLOYMENTS = "Microsoft.Resources/deployments"
_STORAGE, _BUS, _HUBS = "Microsoft.Storage/storageAccounts", "Microsoft.ServiceBus/namespaces", "Microsoft.EventHub"
_COSMOS, _VAULT, _SOCKETS = (
    "Microsoft.DocumentDB/databaseAccounts",
    "Microsoft.KeyVault/vaults",
    "Microsoft.SignalRService/webPubSub",
)
_HOSTS = {
    "bucket": ".blob.",
    "queue": (".queue.", ".servicebus."),
    "topic": ".servicebus.",
    "stream": ".servicebus.",
    "table": ".documents.",
    "secret": ".vault.",
    "config": ".vault.",
    "sockets": ".webpubsub.",
}


class Elsewhere:
    """The templates that are sent to other resource groups, by the group's name."""

    def __init__(self, deployment: Deployment) -> None:
        self._app, self._stage = deployment.app, deployment.stage
        self._groups = _groups(deployment)
        self.templates: dict[str, Template] = {}
        self.parameters: dict[str, dict[str, Any]] = {}
        self.names: list[str] = []  # of the deployments, in symbols

    def group_of(self, key: str) -> str | None:
        """The resource group that is named for what is bound; None where it is that of the app, "" where nothing is to
        be assigned.
        """
        return self._groups.get(key)

    def template(self, group: str) -> Template:
        """The template for a group."""
        if group not in self.templates:
            said = f"What app {self._app}, stage {self._stage}, may do in resource group {group}"
            made = Template(said, {})
            made.variable("digest", Expression(f"uniqueString(resourceGroup().id, '{self._app}', '{self._stage}')"))
            self.templates[group], self.parameters[group] = made, {}
        return self.templates[group]

    def holding(self, symbol: str) -> str | None:
        """The group whose template has a symbol; None for one of the app's own."""
        return next((group for group, template in self.templates.items() if symbol in template), None)

    def principal(self, group: str, identity: str, principal: Expression) -> Expression:
        """The principal of an identity, within a group's template."""
        self.parameters[group][identity] = principal
        return self.template(group).parameter(identity, "Who is assigned: the id of its principal")

    def send(self, template: Template) -> None:
        """Declare the deployments, within the app's own."""
        for number, (group, inner) in enumerate(sorted(self.templates.items())):
            if not any(one for one in inner.document()["resources"].values() if not one.get("existing")):
                continue
            body = {
                "resourceGroup": group,
                "properties": {
                    "mode": "Incremental",
                    "expressionEvaluationOptions": {"scope": "inner"},
                    "parameters": {name: {"value": one} for name, one in self.parameters[group].items()},
                    "template": _as_it_is(inner.document()),
                },
            }
            name = f"{self._app[:20]}-{self._stage[:20]}-access-{number}"
            self.names.append(template.add(f"access_{number}", DEPLOYMENTS, name, body, located=False))


def _as_it_is(value: Any) -> Any:
    """JSON of a template, to be put into another."""
    if isinstance(value, str) and value.startswith("["):
        return value[1:] if value.startswith("[[") else Expression(value[1:-1])
    if isinstance(value, dict):
        return {key: _as_it_is(one) for key, one in value.items()}
    return [_as_it_is(one) for one in value] if isinstance(value, list) else value


def _groups(deployment: Deployment) -> dict[str, str]:
    said = deployment.settings.get("resource_groups", {})
    where = "[tool.portable.azure] resource_groups"
    if not isinstance(said, Mapping) or not all(isinstance(one, str) for one in said.values()):
        raise ConfigError(f'{where} is a table like {{ "bucket:uploads" = "shared" }}, got {said!r}')
    for key in said:
        if key not in deployment.existing:
            raise ConfigError(f"{where}: {key!r} is not bound in [tool.portable.resources], so its group is the app's")
    return dict(said)


def existing_scopes(
    resource: ResourceRecord, address: str, template: Template, elsewhere: Elsewhere, *, changes: bool
) -> dict[str, list[str]]:
    """The symbols that roles are assigned on, by the parts of ``portable_azure.permissions``, declared as being there;
    none where the address is not one of Azure's own. ``changes``: whether changes of a table are handled.
    """
    kind, parts = resource.kind, urlsplit(address)
    group = elsewhere.group_of(f"{kind}:{resource.name}")
    account, _, rest = parts.netloc.partition(".")
    known = _HOSTS.get(kind, ())
    if group == "" or not any(one in f".{rest}." for one in ((known,) if isinstance(known, str) else known)):
        return {}
    if group is not None:
        template = elsewhere.template(group)
    names = [one for one in parts.path.split("/") if one]
    if kind == "bucket":
        return {
            "container": [_there(template, _STORAGE, account, ("blobServices", "default"), ("containers", names[0]))],
            "account": [_there(template, _STORAGE, account)],
        }
    if kind == "queue" and parts.scheme == "https":
        inner = ("queueServices", "default")
        return {
            "queue": [_there(template, _STORAGE, account, inner, ("queues", names[0]))],
            "poison": [_there(template, _STORAGE, account, inner, ("queues", f"{names[0]}-poison"))],
        }
    if kind == "queue":  # its dead letters are its own
        queue = [_there(template, _BUS, account, ("queues", names[0]))]
        return {"bus-queue": queue, "bus-dead": queue}
    if kind == "topic":
        return {"bus-topic": [_there(template, _BUS, account, ("topics", names[0]))]}
    if kind == "stream":
        return {"hub": [_there(template, f"{_HUBS}/namespaces", account, ("eventhubs", names[0]))]}
    if kind == "table":
        inner = ("sqlDatabases", names[1])
        found = {"items": [_there(template, _COSMOS, account, inner, ("containers", names[3]))]}
        if changes:
            found["leases"] = [_there(template, _COSMOS, account, inner, ("containers", f"{names[3]}.leases"))]
        return found
    if kind == "sockets":
        return {"service": [_there(template, _SOCKETS, account)]}
    return {"secret": [_there(template, _VAULT, account, ("secrets", names[1]))]}


def existing_subscriptions(
    resource: ResourceRecord, address: str, deployment: Deployment, template: Template, elsewhere: Elsewhere
) -> dict[str, Any]:
    """Settings for the functions that handle a bound topic or stream: the subscription, and the consumer group, that
    bears a function's name is there too.
    """
    manifest = deployment.manifest
    if resource.kind == "stream":
        handling = [
            one.name for one in manifest.functions if one.kind == "stream" and resource.name in one.asks("stream")
        ]
        return {subscription_name(resource.name, one): {"consumergroup": one} for one in handling}
    found: dict[str, Any] = {}
    topic = existing_scopes(resource, address, template, elsewhere, changes=False).get("bus-topic", [])
    for function in manifest.subscriptions(resource.name) if resource.kind == "topic" else ():
        scopes = {}
        for symbol in topic:
            group = elsewhere.holding(symbol)
            held = template if group is None else elsewhere.template(group)
            own = _symbol(symbol, function)
            name = text("{0}/{1}", held.name_of(symbol), function)
            scopes["subscription"] = [held.there(own, f"{held.kind_of(symbol)}/subscriptions", name)]
        found[subscription_name(resource.name, function)] = {
            "subscriptionname": function,
            "subscription": f"{address}/Subscriptions/{function}",
            "scopes": scopes,
        }
    return found


def _there(template: Template, kind: str, name: str, *inner: tuple[str, str]) -> str:
    """Declare a resource, and what it is within, as being there."""
    whole: Any = name
    symbol = _symbol(f"existing_{kind.rpartition('/')[0].rpartition('.')[2].lower()}", name)
    template.there(symbol, kind, whole)
    for part, own in inner:
        kind, whole = f"{kind}/{part}", text("{0}/{1}", whole, own)
        symbol = _symbol(symbol, part.lower() if own == "default" else own)
        template.there(symbol, kind, whole)
    return symbol


def _symbol(head: str, name: str) -> str:
    return f"{head}_{''.join(letter if letter.isalnum() else '_' for letter in name)}"
