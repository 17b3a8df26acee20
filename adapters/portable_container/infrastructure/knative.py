"""Knative: a Service for what is asked over HTTP, which goes to zero; workers and jobs as on any Kubernetes.

https://knative.dev/docs/serving/reference/serving-api/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable_container.infrastructure import kubernetes
from portable_container.infrastructure.workloads import PORT, Workload, workloads_of

__all__ = ["knative_files"]

LONGEST = 600
"""Seconds of a request that a Knative as it comes allows: ``max-revision-timeout-seconds`` of config-defaults."""


def knative_files(deployment: Deployment, platform: str) -> Mapping[str, Any]:
    """Path to document. Raises ConfigError likewise."""
    keda = deployment.settings.get("scaling", "keda") == "keda"
    files = dict(kubernetes.shared_files(deployment, platform))
    for one in workloads_of(deployment):
        if one.kind == "web":
            files[f"service-{one.name}.yaml"] = _service(deployment, one)
        else:
            files |= kubernetes.worker_files(deployment, one, platform, keda=keda)
    return kubernetes.with_kustomization(deployment, files)


def _service(deployment: Deployment, one: Workload) -> dict[str, Any]:
    marked = kubernetes.labels(deployment, one)
    scale = {"autoscaling.knative.dev/min-scale": str(one.least)}
    if one.most is not None:
        scale["autoscaling.knative.dev/max-scale"] = str(one.most)
    pod = kubernetes.pod(deployment, one)
    [app] = pod["containers"]
    # What Knative sets itself, or refuses: https://knative.dev/docs/serving/configuration/feature-flags/
    del app["startupProbe"], pod["terminationGracePeriodSeconds"], pod["nodeSelector"], pod["securityContext"]
    del pod["topologySpreadConstraints"]
    app["securityContext"] |= {"runAsNonRoot": True, "runAsUser": kubernetes.USER}
    app["securityContext"]["seccompProfile"] = {"type": "RuntimeDefault"}
    app["ports"] = [{"name": "http1", "containerPort": PORT}]
    app["env"] = [entry for entry in app["env"] if entry["name"] != "PORT"]  # Knative's
    spec = pod | {"timeoutSeconds": min(int(one.timeout), LONGEST)}
    if one.concurrency:
        spec["containerConcurrency"] = one.concurrency
    template = {"metadata": {"labels": marked, "annotations": scale}, "spec": spec}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": kubernetes.named(deployment), "labels": marked},
        "spec": {"template": template},
    }
