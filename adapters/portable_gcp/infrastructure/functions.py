"""What runs, and what calls it: functions (or Cloud Run services, from an image), Eventarc's triggers, and jobs."""

from __future__ import annotations

import math
from typing import Any

from portable.build.deployment import Deployment
from portable.build.settings import FunctionSettings
from portable.errors import ConfigError
from portable.manifest import FunctionRecord, TriggerRecord
from portable_gcp.infrastructure.data import Entries, labels_of, owner_of
from portable_gcp.infrastructure.names import Names
from portable_gcp.infrastructure.places import Places, local_id
from portable_gcp.limits import DEFAULT_TIMEOUT, MEMORY
from portable_gcp.schedules import timers_of
from portable_gcp.triggers.firestore import EVENT_TYPE
from portable_gcp.triggers.pubsub import PubSubEventarc
from portable_gcp.triggers.storage import KINDS

__all__ = ["Functions", "cpu_and_memory", "is_public"]

_BUILD_ENVIRONMENT = {"SOURCE_DATE_EPOCH": "315532800"}
"""For the buildpack, which compiles all of a bundle anew (``compileall -f``): with this the bytecode holds its source's
hash, and without it its time, which the image then has not, so that every cold start would compile everything.
https://github.com/GoogleCloudPlatform/buildpacks cmd/python/functions_framework, https://docs.python.org/3/library/py_compile.html
"""
_PATH = {"PYTHONPATH": "/workspace"}
"""Where the buildpack puts a bundle. It installs a server with Flask and more in versions of its own, and the server
puts the bundle behind them on the path: with this, what the build has resolved and tried is what runs.
https://github.com/GoogleCloudPlatform/functions-framework-python, _function_registry.py
"""
_DEFAULT_MEMORY = 256  # MiB, what Cloud Run functions has where nobody asks
_CPUS = ((4096, "1"), (8192, "2"), (16384, "4"), (24576, "6"), (MEMORY[1], "8"))
"""Most memory in MiB that so many processors may have, https://cloud.google.com/run/docs/configuring/memory-limits."""


class Functions:
    """The entries of one deployment, by kind."""

    def __init__(self, deployment: Deployment, names: Names, places: Places) -> None:
        self._deployment = deployment
        self._names = names
        self._places = places
        self._labels = labels_of(deployment)
        self._http = [one.name for one in deployment.manifest.functions if one.kind == "http"]
        self.functions: Entries = {}
        self.services: Entries = {}
        self.triggers: Entries = {}
        self.jobs: Entries = {}
        for function in deployment.manifest.functions:
            settings = deployment.functions[function.name]
            if settings.arch != "x86_64":
                raise ConfigError(f'function {function.name}: Cloud Run has no {settings.arch}; arch = "x86_64"')
            if deployment.image is None:
                self._add_function(function, settings)
            else:
                self._add_service(function, settings, deployment.image)
            for trigger in function.triggers:
                getattr(self, f"_call_by_{trigger.kind}", lambda *_: None)(function, trigger)

    # --- what runs

    def _add_function(self, function: FunctionRecord, settings: FunctionSettings) -> None:
        cpu, memory = cpu_and_memory(settings)
        service: dict[str, Any] = {
            "availableMemory": f"{memory}Mi",
            "availableCpu": cpu,
            "timeoutSeconds": _seconds(settings),
            "maxInstanceRequestConcurrency": settings.concurrency or 1,
            "minInstanceCount": settings.min_instances,
            "environmentVariables": dict(sorted((_PATH | self._environment(function, settings)).items())),
            "serviceAccountEmail": f"${{account.{function.name}}}",
            "ingressSettings": self._ingress(function, "ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"),
            "allTrafficOnLatestRevision": True,
        }
        if settings.max_instances is not None:
            service["maxInstanceCount"] = settings.max_instances
        body = {
            "environment": "GEN_2",
            "description": f"{function.name} of {owner_of(self._deployment)}",
            "labels": self._labels,
            "buildConfig": {
                "runtime": f"python{self._deployment.python.replace('.', '')}",
                "entryPoint": function.name.replace("-", "_"),
                "environmentVariables": _BUILD_ENVIRONMENT,
                "serviceAccount": "projects/${project}/serviceAccounts/${account.portable_build}",
            },
            "serviceConfig": service,
        }
        bundle = self._deployment.zip_of(function.name)
        self.functions[function.name] = {"id": self._names.service(function.name), "bundle": bundle, "body": body}

    def _add_service(self, function: FunctionRecord, settings: FunctionSettings, image: str) -> None:
        cpu, memory = cpu_and_memory(settings)
        by_eventarc = self._deployment.bundle_of(function.name).sources[function.name].endswith("-eventarc")
        environment = self._environment(function, settings)
        environment["FUNCTION_TARGET"] = function.name.replace("-", "_")  # see portable_gcp.image
        environment["FUNCTION_SIGNATURE_TYPE"] = "cloudevent" if by_eventarc else "http"
        scaling: dict[str, Any] = {"minInstanceCount": settings.min_instances}
        if settings.max_instances is not None:
            scaling["maxInstanceCount"] = settings.max_instances
        template: dict[str, Any] = {
            "serviceAccount": f"${{account.{function.name}}}",
            "timeout": f"{_seconds(settings)}s",
            "scaling": scaling,
            "containers": [
                {
                    "image": image,
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                    "resources": {"limits": {"cpu": cpu, "memory": f"{memory}Mi"}},
                }
            ],
        }
        template["maxInstanceRequestConcurrency"] = settings.concurrency or 1
        ingress = self._ingress(
            function,
            "INGRESS_TRAFFIC_ALL",
            "INGRESS_TRAFFIC_INTERNAL_ONLY",
            "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
        )
        body = {"labels": self._labels, "ingress": ingress, "template": template}
        self.services[function.name] = {"id": self._names.service(function.name), "body": body}

    def _ingress(self, function: FunctionRecord, everybody: str, inside: str, front: str) -> str:
        """Pub/Sub, Eventarc and Cloud Scheduler of the same project come from inside:
        https://cloud.google.com/run/docs/securing/ingress.
        """
        if function.kind == "http":
            return front if len(self._http) > 1 else everybody
        return everybody if function.kind == "direct" else inside

    def _environment(self, function: FunctionRecord, settings: FunctionSettings) -> dict[str, str]:
        from portable_gcp.infrastructure.tokens import escaped

        found = {name: escaped(value) for name, value in settings.environment.items()}
        found |= self._places.environment(function)
        found["PORTABLE_STAGE"] = self._deployment.stage
        found["CLOUD_RUN_TIMEOUT_SECONDS"] = str(_seconds(settings))
        if function.kind not in ("http", "direct"):
            # Cloud Run's IAM check stands before it: it has looked at signature and audience.
            found["PORTABLE_EVENT_AUTH"] = "iam"
            found["PORTABLE_EVENT_ACCOUNT"] = "${account.portable_events}"
        return dict(sorted(found.items()))

    # --- what calls it

    def _call_by_message(self, function: FunctionRecord, trigger: TriggerRecord) -> None:
        if self._deployment.bundle_of(function.name).sources[function.name] != "pubsub-eventarc":
            return  # a subscription of ours pushes
        kind, name = trigger.source
        topic = self._places.part(kind, name, "topic")
        body = {"transport": {"pubsub": {"topic": topic}}}
        self._trigger(function, local_id(function.name, kind, name), {"type": PubSubEventarc.event_type}, body)

    def _call_by_blob(self, function: FunctionRecord, trigger: TriggerRecord) -> None:
        name = trigger.options["bucket"]
        bucket = self._places.part("bucket", name, "bucket")
        for event_type, kind in KINDS.items():
            if kind in trigger.options["kinds"]:
                one = local_id(function.name, "bucket", name, kind)
                self._trigger(function, one, {"type": event_type, "bucket": bucket})

    def _call_by_change(self, function: FunctionRecord, trigger: TriggerRecord) -> None:
        name = trigger.options["table"]
        database, collection = self._places.collection(name)
        filters = {"type": EVENT_TYPE, "database": database, "document": f"{collection}/{{id}}"}
        body = {"eventDataContentType": "application/protobuf"}
        self._trigger(function, local_id(function.name, "table", name), filters, body)

    def _trigger(
        self, function: FunctionRecord, one: str, filters: dict[str, str], body: dict[str, Any] | None = None
    ) -> None:
        patterns = [
            {"attribute": name, "value": value} | ({"operator": "match-path-pattern"} if name == "document" else {})
            for name, value in filters.items()
        ]
        if one not in self.triggers:
            self.triggers[one] = {
                "id": self._names.trigger(one.replace("_", "--")),
                "body": {
                    "eventFilters": patterns,
                    "serviceAccount": "${account.portable_events}",
                    "destination": {"cloudRun": {"service": f"${{service.{function.name}}}", "region": "${region}"}},
                    "labels": self._labels,
                }
                | (body or {}),
            }

    def _call_by_schedule(self, function: FunctionRecord, trigger: TriggerRecord) -> None:
        uri = f"${{uri.{function.name}}}"
        for position, timer in enumerate(timers_of(trigger)):
            one = local_id(function.name, str(position + 1)) if position else function.name
            self.jobs[one] = {
                "id": self._names.trigger(one.replace("_", "--")),
                "body": {
                    "description": f"{function.name} of {owner_of(self._deployment)}",
                    "schedule": timer.expression,
                    "timeZone": timer.timezone or "UTC",
                    "attemptDeadline": f"{max(15, _seconds(self._deployment.functions[function.name]))}s",
                    "httpTarget": {
                        "uri": uri,
                        "httpMethod": "POST",
                        "oidcToken": {"serviceAccountEmail": "${account.portable_events}", "audience": uri},
                    },
                },
            }


def _seconds(settings: FunctionSettings) -> int:
    return math.ceil(settings.timeout or DEFAULT_TIMEOUT.total_seconds())


def cpu_and_memory(settings: FunctionSettings) -> tuple[str, int]:
    """Processors, and MiB. One at least: less would serve one request at a time, and be throttled while it does."""
    memory = max(settings.memory or _DEFAULT_MEMORY, MEMORY[0])
    return next((cpu for most, cpu in _CPUS if memory <= most), "8"), memory


def is_public(function: FunctionRecord) -> bool:
    """Whether anybody may call it. The build refuses a function that is both."""
    return function.kind == "http" and all(trigger.options["auth"] == "public" for trigger in function.triggers)
