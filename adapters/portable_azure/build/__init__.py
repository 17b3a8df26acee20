"""How an Azure bundle is made: one folder a Function App."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from portable.build.costs import Calls, Charge
from portable.build.deployment import Deployment
from portable.build.schedules import Timer, needs_zones, timers_by_function
from portable.build.target import Bundle, Finding
from portable.manifest import Manifest
from portable_azure.build.check import check_app
from portable_azure.build.files import files_of, source_of
from portable_azure.build.plan import CHOICES, FunctionApp, bus_sources, plan_apps, read_settings
from portable_azure.capabilities import BOUNDS, CAPABILITIES, NAMES
from portable_azure.schedules import timers_of

__all__ = ["TARGET", "AzureTarget"]


class AzureTarget:
    """See ``portable.build.target.BuildTarget``.

    Python 3.13 alone: from it on Azure runs the worker that artifacts are proven under.
    """

    name = "azure"
    pythons: Sequence[str] = ("3.13",)
    reserved = frozenset({"function_app", "azure"})
    splits = "grouped"
    dependency_folder = ".python_packages/lib/site-packages"
    loads = "import function_app; from portable.instance import Instance; Instance({spec}, {function}, {modules})"
    adapter_packages: Sequence[str] = ("portable_azure",)
    known_settings: Sequence[str] = (
        *CHOICES,
        "image",
        "subscription",
        "resource_group",
        "resource_groups",
        "location",
        "parameters",
    )
    infrastructure_forms: Sequence[str] = ("bicep",)
    bounds = BOUNDS
    capabilities = CAPABILITIES
    prices = Path(__file__).with_name("prices.toml")
    naming = NAMES
    image_instead = (
        "a Function App's host is no part of one; `portable build --target container --platform azure --image` makes "
        "an image for Container Apps"
    )

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:
        return list(check_app(manifest, read_settings(settings)))

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
        wanted = ["azure-functions>=1.21"]
        if any(function.kind == "http" and any(function.asks("stream")) for function in manifest.functions):
            wanted.append("azurefunctions-extensions-http-fastapi>=1.0")
        if manifest.resources:
            wanted.append("azure-identity>=1.19")
        if manifest.of_kind("table"):
            wanted.append("azure-cosmos>=4.9")
        if manifest.of_kind("bucket"):
            wanted.append("azure-storage-blob>=12.23")
        if manifest.of_kind("queue"):
            wanted.append("azure-storage-queue>=12.12")
        if manifest.of_kind("sockets"):
            wanted.append("azure-messaging-webpubsubservice>=1.1")
        if bus_sources(manifest):
            wanted.append("azure-servicebus>=7.12")
        if manifest.of_kind("secret") or manifest.of_kind("config"):  # where a config value is, its address says later
            wanted.append("azure-keyvault-secrets>=4.9")
        if needs_zones(manifest, self.timers(manifest, settings)):
            wanted.append("tzdata>=2024.2")
        return wanted

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:  # noqa: ARG002
        """Nothing is left out."""
        return {}

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:
        chosen = read_settings(settings)
        apps = plan_apps(manifest, chosen)
        return [
            Bundle(
                "" if len(apps) == 1 else _name(app),
                {function.name: source_of(function, chosen, app.bus) for function in app.functions},
                files_of(app, manifest.spec),
            )
            for app in apps
        ]

    def infrastructure(self, deployment: Deployment) -> Mapping[str, Any]:
        """See ``portable_azure.build.infrastructure``."""
        from portable_azure.build.infrastructure import templates

        return templates(deployment)

    def charges(self, calls: Sequence[Calls], settings: Mapping[str, Any]) -> Mapping[str, Sequence[Charge]]:
        """What is billed, by function."""
        from portable_azure.build.costs import charges_of

        return charges_of(calls, settings)

    def timers(self, manifest: Manifest, settings: Mapping[str, Any]) -> Mapping[str, Sequence[Timer]]:  # noqa: ARG002
        """The timers, by function."""
        return timers_by_function(manifest, timers_of)


def _name(app: FunctionApp) -> str:
    """That of the function that answers requests, for its URL is known to others; else of the first."""
    return next((one.name for one in app.functions if one.kind == "http"), app.functions[0].name)


TARGET = AzureTarget()
