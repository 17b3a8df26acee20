"""Kubernetes: a file for each object, and a ``kustomization.yaml`` of them all, for ``kubectl apply -k``.

Shapes: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.build.project import nearest
from portable.errors import ConfigError
from portable_container.infrastructure.scaling import scaler
from portable_container.infrastructure.schedules import cron_of_job
from portable_container.infrastructure.workloads import (
    PORT,
    Workload,
    addresses,
    fitting,
    image_of,
    unbound,
    variables_of,
    workloads_of,
)

__all__ = [
    "USER",
    "config_map",
    "container",
    "kubernetes_files",
    "labels",
    "named",
    "namespace_of",
    "pod",
    "shared_files",
]

NAME = 63
"""Characters of most names: a DNS label."""
CRON_NAME = 52
"""Of a CronJob's, which has 11 more of its jobs: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"""
USER = 65532
MOST = 10
"""Instances, where nobody says."""
SPREAD = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
"""What the pods of one workload are told apart by, so that one failure does not take all of them."""
_SCALING = ("keda", "hpa")


def kubernetes_files(deployment: Deployment, platform: str) -> Mapping[str, Any]:
    """Path to document. Raises ConfigError for a setting that is wrong, and a schedule no CronJob can keep."""
    chosen = deployment.settings.get("scaling", _SCALING[0])
    if chosen not in _SCALING:
        raise ConfigError(f"[tool.portable.container] scaling = {chosen!r}{nearest(str(chosen), _SCALING)}")
    files = dict(shared_files(deployment, platform))
    for one in workloads_of(deployment):
        if one.kind == "web":
            files[f"deployment-{one.name}.yaml"] = _deployment(deployment, one)
            files[f"service-{one.name}.yaml"] = _service(deployment, one)
            files[f"autoscaler-{one.name}.yaml"] = _autoscaler(deployment, one)
            if one.least > 1:
                files[f"disruption-{one.name}.yaml"] = _disruption(deployment, one)
        else:
            files |= worker_files(deployment, one, platform, keda=chosen == "keda")
    return with_kustomization(deployment, files)


def worker_files(deployment: Deployment, one: Workload, platform: str, *, keda: bool) -> dict[str, Any]:
    """What polls, and what runs at set times."""
    if one.kind == "job":
        return {f"cronjob-{one.name}.yaml": _cron_job(deployment, one)}
    files = {f"deployment-{one.name}.yaml": _deployment(deployment, one)}
    marked = labels(deployment, one)
    scaled = scaler(deployment, one, platform, named(deployment, one.name), marked) if keda else None
    files[f"autoscaler-{one.name}.yaml"] = scaled or _autoscaler(deployment, one)
    return files


def shared_files(deployment: Deployment, platform: str) -> Iterator[tuple[str, Any]]:
    """What every workload needs."""
    yield "namespace.yaml", _namespace(deployment)
    account = _object("v1", "ServiceAccount", named(deployment), labels(deployment))
    yield "account.yaml", account | {"automountServiceAccountToken": False}
    yield "addresses.yaml", config_map(deployment, platform)


def with_kustomization(deployment: Deployment, files: Mapping[str, Any]) -> dict[str, Any]:
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace_of(deployment),
        "resources": list(files),
    }
    return {"kustomization.yaml": document, **files}


def _namespace(deployment: Deployment) -> dict[str, Any]:
    """One of the app's own takes no pod that asks for privileges; another is as whoever has it wants it."""
    marked = labels(deployment)
    if not deployment.settings.get("namespace"):
        marked |= {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return _object("v1", "Namespace", namespace_of(deployment), marked)


def namespace_of(deployment: Deployment) -> str:
    """The setting ``namespace``, else the app's name and the stage's."""
    return str(deployment.settings.get("namespace") or fitting(f"{deployment.app}-{deployment.stage}", NAME))


def named(deployment: Deployment, name: str = "", most: int = NAME) -> str:
    """The name of an object of the app."""
    return fitting(f"{deployment.app}-{name}" if name else deployment.app, most)


def labels(deployment: Deployment, one: Workload | None = None) -> dict[str, str]:
    """As https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ has them."""
    found = {"app.kubernetes.io/name": deployment.app, "app.kubernetes.io/instance": deployment.stage}
    if one is not None:
        found["app.kubernetes.io/component"] = fitting(one.name, NAME)
    return found | {"app.kubernetes.io/managed-by": "portable"}


def _object(version: str, kind: str, name: str, marked: Mapping[str, str], **rest: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": dict(marked)}, **rest}


def config_map(deployment: Deployment, platform: str) -> dict[str, Any]:
    """The addresses; those that somebody has to add are named in an annotation."""
    found = _object("v1", "ConfigMap", named(deployment, "addresses"), labels(deployment))
    if missing := unbound(deployment, platform):
        found["metadata"]["annotations"] = {"portable/to-be-added": ",".join(missing)}
    return found | {"data": {"PORTABLE_STAGE": deployment.stage, **addresses(deployment, platform)}}


def _deployment(deployment: Deployment, one: Workload) -> dict[str, Any]:
    marked = labels(deployment, one)
    spec = {  # no replicas, the autoscaler's: they would set back what it has found
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": marked},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": marked}, "spec": pod(deployment, one)},
    }
    return _object("apps/v1", "Deployment", named(deployment, one.name), marked, spec=spec)


def pod(deployment: Deployment, one: Workload) -> dict[str, Any]:
    """A pod's specification: nobody's privileges, a file system that cannot be written but for /tmp."""
    return {
        "serviceAccountName": named(deployment),
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": int(one.grace),
        "nodeSelector": {"kubernetes.io/arch": {"x86_64": "amd64", "arm64": "arm64"}[deployment.arch]},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(deployment, one)],
        "topologySpreadConstraints": [_spread(deployment, one, key) for key in SPREAD],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": f"{one.storage}Mi"} if one.storage else {}}],
    }


def _spread(deployment: Deployment, one: Workload, key: str) -> dict[str, Any]:
    """A wish: where there is one node, all run on it."""
    chosen = {"labelSelector": {"matchLabels": labels(deployment, one)}}
    return {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", **chosen}


def _pod_of_job(deployment: Deployment, one: Workload) -> dict[str, Any]:
    found = pod(deployment, one) | {"restartPolicy": "Never"}
    del found["topologySpreadConstraints"]  # there is one at a time
    return found


def container(deployment: Deployment, one: Workload) -> dict[str, Any]:
    """The one container of a pod."""
    found: dict[str, Any] = {
        "name": "app",
        "image": image_of(deployment),
        "env": _environment(deployment, one),
        "envFrom": [{"configMapRef": {"name": named(deployment, "addresses")}}],
        "resources": {
            "requests": {"cpu": "100m", "memory": f"{one.memory}Mi"},
            "limits": {"memory": f"{one.memory}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }
    if one.kind == "job":
        [function] = one.functions
        return found | {"args": ["run", function.name]}
    return found | {
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/-/ready", 1, 60),
        "readinessProbe": _probe("/-/ready", 5, 2),
        "livenessProbe": _probe("/-/live", 10, 3),
    }


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    request = {"path": path, "port": PORT}
    return {"httpGet": request, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures}


def _environment(deployment: Deployment, one: Workload) -> list[dict[str, Any]]:
    values = variables_of(one) | dict(one.environment)
    found: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    if one.pushed:
        source = {"name": named(deployment, "events"), "key": "token"}
        found.append({"name": "PORTABLE_EVENTS_TOKEN", "valueFrom": {"secretKeyRef": source}})
    return found


def _service(deployment: Deployment, one: Workload) -> dict[str, Any]:
    marked = labels(deployment, one)
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "selector": marked, "ports": ports}
    return _object("v1", "Service", named(deployment), marked, spec=spec)


def _autoscaler(deployment: Deployment, one: Workload) -> dict[str, Any]:
    least = max(one.least, 1)
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": named(deployment, one.name)},
        "minReplicas": least,
        "maxReplicas": max(one.most or MOST, least),
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    name, marked = named(deployment, one.name), labels(deployment, one)
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", name, marked, spec=spec)


def _disruption(deployment: Deployment, one: Workload) -> dict[str, Any]:
    marked = labels(deployment, one)
    spec = {"minAvailable": 1, "selector": {"matchLabels": marked}}
    return _object("policy/v1", "PodDisruptionBudget", named(deployment, one.name), marked, spec=spec)


def _cron_job(deployment: Deployment, one: Workload) -> dict[str, Any]:
    [function] = one.functions
    expression, timezone = cron_of_job(function)
    marked = labels(deployment, one)
    job = {
        "backoffLimit": 2,
        "activeDeadlineSeconds": int(one.timeout * 3 + ENDING_OF_A_JOB),
        "ttlSecondsAfterFinished": 86_400,
        "template": {
            "metadata": {"labels": marked},
            "spec": _pod_of_job(deployment, one),
        },
    }
    spec = {
        "schedule": expression,
        "timeZone": timezone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 300,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": marked}, "spec": job},
    }
    return _object("batch/v1", "CronJob", named(deployment, one.name, CRON_NAME), marked, spec=spec)


ENDING_OF_A_JOB = 120
"""Seconds for the starts of a job's pods, beside what three attempts may take."""
