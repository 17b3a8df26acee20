"""Infrastructure files for Azure: two templates, each as ARM's JSON, which a deployment sends, and as Bicep.

``main`` is everything; ``events`` is sent once the code is there, and is left out where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_azure.build.infrastructure.access import Access
from portable_azure.build.infrastructure.apps import add_site, add_telemetry, package_url, sites_of
from portable_azure.build.infrastructure.bicep import bicep
from portable_azure.build.infrastructure.containers import add_containers
from portable_azure.build.infrastructure.events import add_events, add_topic
from portable_azure.build.infrastructure.existing import Elsewhere
from portable_azure.build.infrastructure.expressions import Expression, property_of, text
from portable_azure.build.infrastructure.resources import Names, place_resources
from portable_azure.build.infrastructure.template import Template

__all__ = ["EVENTS", "MAIN", "templates"]

MAIN, EVENTS = "main", "events"


def templates(deployment: Deployment) -> dict[str, Any]:
    """The files, by their path under ``infra/``. Raises ConfigError for what this cloud cannot be told."""
    if deployment.image is None and (image := deployment.settings.get("image")) is not None:
        if not isinstance(image, str) or not image:
            raise ConfigError(f"[tool.portable.azure] image = {image!r}: it is the reference of an image, as text")
        deployment = msgspec.structs.replace(deployment, image=image)
    if deployment.settings.get("plan") == "consumption" and deployment.image is None:
        raise ConfigError(
            'the consumption plan runs no Python 3.13 on Linux: set plan = "flex" or "premium" in [tool.portable.azure]'
        )
    template, names = _start(deployment, f"App {deployment.app} on Azure, stage {deployment.stage}")
    template.parameter("location", "The region", Expression("resourceGroup().location"))
    add_telemetry(deployment, template, names)
    elsewhere = Elsewhere(deployment)
    placed = place_resources(deployment, template, names, elsewhere)
    access = Access(template, deployment.app, deployment.stage, placed, elsewhere)
    sites = sites_of(deployment, template) if deployment.image is None else []
    if deployment.image is not None:
        add_containers(deployment, template, names, placed, access)
    for site in sites:
        add_site(site, deployment, template, placed, access)
    sources = {source for site in sites for source in site.bundle.sources.values()}
    if sources & {"blob-eventgrid", "event-grid"} and "data" in template:
        add_topic(template, names, access)
    template.metadata["packages"] = {f"app_{site.word}": site.bundle.zip_name for site in sites}
    for site in sites:
        app = f"app_{site.word}"
        template.output(f"{app}_name", site.name, f"The Function App of {site.bundle.zip_name}")
        template.output(f"{app}_url", text("https://{0}", property_of(app, "defaultHostName")), "Where it is")
        if deployment.settings.get("plan") == "premium":
            template.output(f"{app}_package", package_url(site), "Where its code is run from")
        template.output(f"{app}_identity", property_of(f"identity_{site.word}", "principalId"), "What it acts as")
    for key, one in placed.items():
        if one.scopes and one.made:
            name = key.replace(":", "_").replace("-", "_")
            template.output(f"{name}_address", one.address, f"Where {key.replace(':', ' ')} is")
    elsewhere.send(template)
    events, _ = _start(deployment, f"Events of app {deployment.app}, sent once its code is there")
    files = _files(MAIN, template) | {f"{name}.bicep": partial(_module_of, name) for name in elsewhere.names}
    if add_events(events, sites, template, placed):
        files |= _files(EVENTS, events)
    return files


def _start(deployment: Deployment, description: str) -> tuple[Template, Names]:
    template = Template(description, {"application": deployment.app, "stage": deployment.stage})
    return template, Names(deployment, template)


def _files(name: str, template: Template) -> dict[str, Any]:
    return {f"{name}.json": template.document(), f"{name}.bicep": partial(_bicep_of, f"{name}.json")}


def _module_of(name: str, documents: Mapping[str, Mapping[str, Any]]) -> str:
    return bicep(documents[f"{MAIN}.json"]["resources"][name]["properties"]["template"])


def _bicep_of(document: str, documents: Mapping[str, Mapping[str, Any]]) -> str:
    return bicep(documents[document])
