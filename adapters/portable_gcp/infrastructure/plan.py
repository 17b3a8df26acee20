"""All that a deployment consists of, in the words of Google Cloud's own APIs: what Terraform's files, the script and
``portable deploy`` are made from. Written to ``infra/deployment.json``.

By kind, and by the name that a resource has at every stage: its ``id`` in the cloud and the ``body`` that creates it.
What is not known before a deployment is a token, see ``portable_gcp.infrastructure.tokens``:

=========================  =======================================================================
``${project}``             the project's id; ``${number}`` its number; ``${region}``
``${topic.ID}``            ``projects/P/topics/T``; ``subscription``, ``secret``, ``database``, ``role`` likewise
``${bucket.ID}``           the bucket's name; ``${databaseid.ID}`` the database's
``${account.ID}``          the e-mail address of the service account
``${service.FUNCTION}``    the name of the Cloud Run service that a function is; ``${uri.FUNCTION}`` its URL
``${variable.NAME}``       what the user has to say: ``variables`` tells what
=========================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.errors import ConfigError
from portable_gcp.infrastructure.access import Access
from portable_gcp.infrastructure.data import Data
from portable_gcp.infrastructure.front import front_of
from portable_gcp.infrastructure.functions import Functions
from portable_gcp.infrastructure.names import Names
from portable_gcp.infrastructure.places import Places, local_id

__all__ = ["REGION", "make_plan"]

REGION = "us-central1"
"""Where ``[tool.portable.gcp] region`` says nothing: the region in Google's own examples."""

_APIS = {
    "functions": ("artifactregistry", "cloudbuild", "cloudfunctions", "run"),
    "services": ("artifactregistry", "run"),
    "buckets": ("storage",),
    "topics": ("pubsub",),
    "secrets": ("secretmanager",),
    "databases": ("firestore",),
    "triggers": ("eventarc", "pubsub"),
    "jobs": ("cloudscheduler",),
    "front": ("compute",),
}
_ALWAYS = ("iam", "logging")


def make_plan(deployment: Deployment) -> dict[str, Any]:
    """The plan of a deployment. Raises ConfigError for settings that Google Cloud has no place for."""
    names, places = Names(deployment), Places(deployment)
    data, functions = Data(deployment, names, places), Functions(deployment, names, places)
    access = Access(deployment, names, places, data, functions)
    plan: dict[str, Any] = {
        "app": deployment.app,
        "stage": deployment.stage,
        "project": _setting(deployment, "project", ""),
        "region": _setting(deployment, "region", REGION),
        "variables": _variables(deployment, places),
        "roles": access.roles,
        "accounts": access.accounts,
        "buckets": data.buckets,
        "topics": data.topics,
        "subscriptions": data.subscriptions,
        "secrets": data.secrets,
        "databases": data.databases,
        "fields": data.fields,
        "functions": functions.functions,
        "services": functions.services,
        "triggers": functions.triggers,
        "jobs": functions.jobs,
        "bindings": access.bindings,
        "bundles": names.bucket("bundles"),
        "logs": _logs(deployment, names),
        "front": front_of(deployment, names),
        "outputs": _outputs(deployment),
    }
    apis = {api for kind, needed in _APIS.items() if plan[kind] for api in needed} | set(_ALWAYS)
    _check_ids(plan)
    plan["apis"] = [f"{api}.googleapis.com" for api in sorted(apis)]
    return plan


def _check_ids(plan: Mapping[str, Any]) -> None:
    """Two resources with one name in the cloud would be taken for one."""
    for kind in ("accounts", "buckets", "topics", "subscriptions", "secrets", "functions", "triggers", "jobs"):
        owners: dict[str, str] = {}
        for one, entry in plan[kind].items():
            other = owners.setdefault(entry["id"], one)
            if other != one:
                raise ConfigError(f"{kind} {other} and {one} would both be called {entry['id']!r}: rename one of them")


def _setting(deployment: Deployment, name: str, default: str) -> str:
    value = deployment.settings.get(name, default)
    if not isinstance(value, str):
        raise ConfigError(f"[tool.portable.gcp] {name} is text, got {value!r}")
    return value


def _variables(deployment: Deployment, places: Places) -> dict[str, str]:
    """Caches: Memorystore is in a network of the user's, and Upstash elsewhere."""
    return {
        local_id("cache", one.name): f"Address of cache {one.name}: redis://…, rediss://… or https://:TOKEN@HOST"
        for one in deployment.manifest.of_kind("cache")
        if places.bound("cache", one.name) is None
    }


def _logs(deployment: Deployment, names: Names) -> dict[str, Any]:
    services = " OR ".join(f'"{names.service(one.name)}"' for one in deployment.manifest.functions)
    return {
        "id": names.trigger("logs"),
        "retentionDays": deployment.retention_days,
        "filter": f'resource.type="cloud_run_revision" AND resource.labels.service_name=({services})',
    }


def _outputs(deployment: Deployment) -> dict[str, str]:
    """URLs of what is called from outside; those of a split front end are its domain's."""
    called = [one for one in deployment.manifest.functions if one.kind in ("http", "direct")]
    return {local_id(one.name, "url"): f"${{uri.{one.name}}}" for one in called}
