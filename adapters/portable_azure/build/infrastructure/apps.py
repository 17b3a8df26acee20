"""Function Apps: each with its own identity, plan, and storage account for what the Functions host keeps.

https://learn.microsoft.com/azure/templates/microsoft.web/sites,
https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from portable.build.deployment import Deployment
from portable.build.target import Bundle
from portable.drivers import address_variable
from portable.errors import ConfigError
from portable.manifest import FunctionRecord
from portable.resources.topic import subscription_name
from portable_azure import limits
from portable_azure.build.files import registered_names, time_span
from portable_azure.build.infrastructure.access import Access
from portable_azure.build.infrastructure.expressions import Expression, property_of, text
from portable_azure.build.infrastructure.resources import Names, Placed
from portable_azure.build.infrastructure.storage import add_account, add_container
from portable_azure.build.infrastructure.template import Template
from portable_azure.build.infrastructure.values import SOCKETS, socket_connection
from portable_azure.build.plan import memory_of
from portable_azure.permissions import HOST_ROLES
from portable_azure.sockets import CONNECTION

__all__ = ["PACKAGES", "Site", "add_site", "add_telemetry", "package_url", "sites_of"]

INSIGHTS = "insights"
PACKAGES = "app-package"
"""The container of the code, in the account of the app's host."""

_HTTP = ("http", "direct", "web-pubsub")


class Site(msgspec.Struct):
    """One Function App: its bundle, what it is called in symbols, its name in Azure, and that of its host's account."""

    bundle: Bundle
    functions: list[FunctionRecord]
    word: str
    name: Any
    account: Any


def sites_of(deployment: Deployment, template: Template) -> list[Site]:
    """The Function Apps, one for each bundle. Their names stay when others come and go."""
    found: list[Site] = []
    for number, bundle in enumerate(deployment.bundles):
        functions = [one for one in deployment.manifest.functions if one.name in bundle.sources]
        word = re.sub(r"\W", "_", bundle.name or "main").lower()
        if any(site.word == word for site in found):
            word = f"{word}_{number}"
        # As if there were several, so that the first keeps its name, and with it its URL, when a second comes.
        part = next((one.name for one in functions if bundle.sources[one.name] == "http"), functions[0].name)
        names = Names(deployment, template, part)
        end = re.sub(r"[^a-z0-9]+", "-", part.lower())[:9].strip("-")
        found.append(Site(bundle, functions, word, names.dashed(end), names.plain("h")))
    return found


def add_telemetry(deployment: Deployment, template: Template, names: Names) -> None:
    """Application Insights, which takes no keys, over a workspace that keeps logs as long as was asked. Raises
    ConfigError where that is longer than can be had.
    """
    least, most = limits.LOG_DAYS
    kept = max(least, deployment.retention_days)
    if kept > most:
        raise ConfigError(f"[tool.portable] log_retention = {kept}: Azure keeps logs {most} days at most; export them")
    body = {"properties": {"retentionInDays": kept, "sku": {"name": "PerGB2018"}}}
    template.add("logs", "Microsoft.OperationalInsights/workspaces", names.dashed("logs"), body, tagged=True)
    inner = {
        "kind": "web",
        "properties": {
            "Application_Type": "web",
            "DisableLocalAuth": True,
            "RetentionInDays": next(days for days in limits.INSIGHTS_DAYS if days >= kept),
            "WorkspaceResourceId": template.id_of("logs"),
        },
    }
    template.add(INSIGHTS, "Microsoft.Insights/components", names.dashed("insights"), inner, tagged=True)


def add_site(
    site: Site, deployment: Deployment, template: Template, placed: Mapping[str, Placed], access: Access
) -> None:
    """Declare a Function App and everything of its own. Raises ConfigError for variables that functions of one app set
    differently.
    """
    identity, host, word = f"identity_{site.word}", f"host_{site.word}", site.word
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    template.add(identity, kind, text("{0}-id", site.name), {}, tagged=True)
    add_account(template, host, site.account, "Standard_LRS")
    add_container(template, f"{host}_packages", host, PACKAGES)
    for role in HOST_ROLES["host"]:
        access.assign(identity, word, host, role)
    for role in HOST_ROLES["telemetry"]:
        access.assign(identity, word, INSIGHTS, role)
    access.grant(identity, word, site.functions, site.bundle.sources)
    plan, body = f"plan_{word}", _flex(site, deployment, template)
    sku: dict[str, Any] = {"name": "FC1", "tier": "FlexConsumption"}
    if deployment.settings.get("plan") == "premium":
        body = _premium(site, deployment)
        sizes = limits.PLAN_MEMORY["premium"]
        sku = {"name": f"EP{sizes.index(_memory(site, deployment)) + 1}", "tier": "ElasticPremium"}
    made = {"kind": "elastic" if sku["tier"] == "ElasticPremium" else "functionapp", "sku": sku}
    template.add(
        plan,
        "Microsoft.Web/serverfarms",
        text("{0}-plan", site.name),
        {**made, "properties": {"reserved": True}},
        tagged=True,
    )
    _add_app(site, template, {"serverFarmId": template.id_of(plan), **body})
    settings = _app_settings(site, deployment, template, placed)
    template.within(f"settings_{word}", f"app_{word}", "config", "appsettings", {"properties": settings})


def _add_app(site: Site, template: Template, body: Mapping[str, Any]) -> None:
    app, identity = f"app_{site.word}", template.id_of(f"identity_{site.word}")
    owned = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    properties = {
        "httpsOnly": True,
        "keyVaultReferenceIdentity": identity,
        "publicNetworkAccess": "Enabled",
        **body,
    }
    said = {"kind": "functionapp,linux", "identity": owned, "properties": properties}
    template.add(app, "Microsoft.Web/sites", site.name, said, tagged=True)
    waits = [f"{site.word}_{role.name.lower().replace(' ', '_')}_on_host_{site.word}" for role in HOST_ROLES["host"]]
    template.after(app, f"host_{site.word}_packages", *waits)
    for way in ("ftp", "scm"):  # code comes with a token of Entra's, and with no password
        symbol = f"{app}_no_{way}_password"
        template.within(symbol, app, "basicPublishingCredentialsPolicies", way, {"properties": {"allow": False}})


def _memory(site: Site, deployment: Deployment) -> int:
    plan = deployment.settings.get("plan", "flex")
    return max(memory_of(deployment.functions[one.name].memory, plan) for one in site.functions)


def _site_config(**more: Any) -> dict[str, Any]:
    said = {"ftpsState": "Disabled", "http20Enabled": True, "minTlsVersion": "1.2", "scmMinTlsVersion": "1.2"}
    return said | more


def _most(site: Site, deployment: Deployment) -> int | None:
    asked = [deployment.functions[one.name].max_instances for one in site.functions]
    return None if None in asked else max(one for one in asked if one is not None)


def _flex(site: Site, deployment: Deployment, template: Template) -> dict[str, Any]:
    blobs = property_of(f"host_{site.word}", "primaryEndpoints.blob")
    scale: dict[str, Any] = {
        "instanceMemoryMB": _memory(site, deployment),
        "maximumInstanceCount": _most(site, deployment) or 100,
    }
    if ready := _always_ready(site, deployment):
        scale["alwaysReady"] = [{"name": name, "instanceCount": count} for name, count in sorted(ready.items())]
    asked = [deployment.functions[one.name].concurrency for one in site.functions if _source(site, one) in _HTTP]
    if concurrency := max((one for one in asked if one is not None), default=None):
        scale["triggers"] = {"http": {"perInstanceConcurrency": concurrency}}
    return {
        "siteConfig": _site_config(),
        "functionAppConfig": {
            "deployment": {
                "storage": {
                    "type": "blobContainer",
                    "value": text(f"{{0}}{PACKAGES}", blobs),
                    "authentication": {
                        "type": "UserAssignedIdentity",
                        "userAssignedIdentityResourceId": template.id_of(f"identity_{site.word}"),
                    },
                }
            },
            "runtime": {"name": "python", "version": deployment.python},
            "scaleAndConcurrency": scale,
        },
    }


def package_url(site: Site) -> Expression:
    """Where an app of the premium plan is run from."""
    blobs = property_of(f"host_{site.word}", "primaryEndpoints.blob")
    return text(f"{{0}}{PACKAGES}/{site.bundle.zip_name}", blobs)


def _source(site: Site, function: FunctionRecord) -> str:
    return site.bundle.sources[function.name]


def _always_ready(site: Site, deployment: Deployment) -> dict[str, int]:
    """Instances by what scales together: all of HTTP, all blobs of Event Grid, every other trigger for itself.
    Documented: flex-consumption-plan, "Per-function scaling".
    """
    found: dict[str, int] = {}
    for function in site.functions:
        count = deployment.functions[function.name].min_instances
        if not count:
            continue
        source = _source(site, function)
        names = [f"function:{name}" for name in registered_names(function, source)]
        if source in _HTTP:
            names = ["http"]
        elif source == "blob-eventgrid":
            names = ["blob"]
        for name in names:
            found[name] = max(count, found.get(name, 0))
    return found


def _premium(site: Site, deployment: Deployment) -> dict[str, Any]:
    least = max(deployment.functions[one.name].min_instances for one in site.functions)
    config = _site_config(
        # Only the runtime itself can look at a queue by the app's identity.
        functionsRuntimeScaleMonitoringEnabled=True,
        linuxFxVersion=f"Python|{deployment.python}",
        minimumElasticInstanceCount=max(1, least),
    )
    if (most := _most(site, deployment)) is not None:
        config["functionAppScaleLimit"] = most
    return {"siteConfig": config}


# --- settings


def _app_settings(
    site: Site, deployment: Deployment, template: Template, placed: Mapping[str, Placed]
) -> dict[str, Any]:
    identity = f"identity_{site.word}"
    client = property_of(identity, "clientId")
    ends = {
        f"{kind}ServiceUri": property_of(f"host_{site.word}", f"primaryEndpoints.{kind}")
        for kind in ("blob", "queue", "table")
    }
    settings: dict[str, Any] = {
        **_connection("AzureWebJobsStorage", ends, client),
        "APPLICATIONINSIGHTS_CONNECTION_STRING": property_of(INSIGHTS, "ConnectionString"),
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": text("ClientId={0};Authorization=AAD", client),
        "AZURE_CLIENT_ID": client,
        "PORTABLE_STAGE": deployment.stage,
    }
    if deployment.settings.get("plan") == "premium":
        settings |= {
            "FUNCTIONS_EXTENSION_VERSION": "~4",
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "WEBSITE_RUN_FROM_PACKAGE": package_url(site),
            "WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID": template.id_of(identity),
        }
    settings |= _longest(site, deployment)
    for function in site.functions:
        for kind, name in deployment.uses(function.name):
            one = placed[f"{kind}:{name}"]
            settings[address_variable(kind, name)] = one.address
            if one.dead_letters is not None:
                settings[address_variable("deadletter", name)] = one.dead_letters
        for trigger in function.triggers:
            if trigger.kind in ("message", "stream", "change", "blob"):
                settings |= _binding(function, *trigger.source, placed, client)
        if _source(site, function) == "web-pubsub" and SOCKETS in template:
            settings[CONNECTION] = socket_connection(template)
    return dict(sorted((settings | _environment(site, deployment)).items()))


def _connection(name: str, ends: Mapping[str, Any], client: Expression) -> dict[str, Any]:
    """A connection of the Functions host by the app's identity. Documented: functions-reference, "Configure an
    identity-based connection".
    """
    said = {**ends, "clientId": client, "credential": "managedidentity"}
    return {f"{name}__{end}": value for end, value in said.items()}


def _binding(
    function: FunctionRecord, kind: str, name: str, placed: Mapping[str, Placed], client: Expression
) -> dict[str, Any]:
    """What the host is told of the source of a trigger, as ``portable_azure.build.files`` asks for it."""
    one = placed[f"{kind}:{name}"]
    found = {
        address_variable(f"{kind}name", name): one.name,
        **_connection(address_variable(f"{kind}account", name), one.connection, client),
    }
    full = subscription_name(name, function.name)
    if kind in ("topic", "stream"):
        own = dict(one.settings.get(full, {}))
        own.pop("scopes", None)
        found |= {address_variable(variable, full): value for variable, value in own.items()}
    elif kind == "table":
        found |= {address_variable(variable, name): value for variable, value in one.settings.items()}
    return found


def _longest(site: Site, deployment: Deployment) -> dict[str, str]:
    """The time limit where settings say another than the handler, which is in host.json."""
    asked = [deployment.functions[one.name].timeout for one in site.functions]
    if asked == [one.timeout for one in site.functions] or not any(asked):
        return {}
    longest = max(one for one in asked if one is not None)
    return {"AzureFunctionsJobHost__functionTimeout": time_span(longest)}


def _environment(site: Site, deployment: Deployment) -> dict[str, str]:
    found: dict[str, str] = {}
    whose: dict[str, str] = {}
    for function in site.functions:
        for name, value in deployment.functions[function.name].environment.items():
            if name in limits.FLEX_REFUSES and deployment.settings.get("plan", "flex") == "flex":
                raise ConfigError(f"function {function.name!r}, environment: an app on Flex must not have {name}")
            if found.setdefault(name, value) != value:
                raise ConfigError(
                    f"functions {whose[name]!r} and {function.name!r} share a Function App and set {name} differently; "
                    "an app has one environment: give both the same, or one another memory or timeout"
                )
            whose.setdefault(name, function.name)
    return found
