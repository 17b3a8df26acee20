"""The objects of an app in a cluster: what its files say, what is there, and what others put beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from portable.deploy import Place
from portable.errors import DeployError
from portable_container.deploy.kubectl import asked, kubectl, reasons

__all__ = ["Object", "left_over", "of_others", "owner", "said", "there"]

_MADE = (
    "configmaps",
    "cronjobs.batch",
    "deployments.apps",
    "horizontalpodautoscalers.autoscaling",
    "poddisruptionbudgets.policy",
    "scaledobjects.keda.sh",
    "serviceaccounts",
    "services",
    "services.serving.knative.dev",
)
"""Kinds that the files may hold, beside the namespace."""
_OTHERS = (
    "configmaps",
    "deployments.apps",
    "persistentvolumeclaims",
    "pods",
    "secrets",
    "services",
    "statefulsets.apps",
)
"""Kinds whose objects a namespace is kept for."""
_EVERYWHERE = ("kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt")
"""Config maps that a cluster puts into every namespace."""


class Object(NamedTuple):
    """An object by its group, kind and name."""

    group: str
    kind: str
    name: str

    @property
    def path(self) -> str:
        """As kubectl takes it."""
        return f"{self.kind}.{self.group}/{self.name}" if self.group else f"{self.kind}/{self.name}"


def said(folder: Path, place: Place) -> Iterator[Object]:
    """Those of the kustomization, with what the user's own part of it adds."""
    import yaml

    done = kubectl(["kustomize", str(folder)], place)
    if done.returncode:
        raise DeployError(reasons(done, f"kubectl does not take {folder / 'kustomization.yaml'}"))
    yield from (_object(document) for document in yaml.safe_load_all(done.stdout) if document)


def there(folder: Path, place: Place) -> Iterator[Object]:
    """Which of them are in the cluster."""
    arguments = ["get", "--ignore-not-found", "-k", str(folder)]
    yield from map(_object, asked(arguments, place, "the cluster does not say what is there"))


def owner(namespace: str, place: Place) -> tuple[str, str] | None:
    """App and stage that a namespace was made for; None where none was, or it is not there."""
    found = asked(
        ["get", "namespace", namespace, "--ignore-not-found"], place, "the cluster does not say what is there"
    )
    marks = found[0]["metadata"].get("labels", {}) if found else {}
    if marks.get("app.kubernetes.io/managed-by") != "portable":
        return None
    return marks.get("app.kubernetes.io/name", ""), marks.get("app.kubernetes.io/instance", "")


def left_over(folder: Path, namespace: str, place: Place, app: str, stage: str) -> Iterator[Object]:
    """What bears the app's labels and is not in its files any more. What a controller made goes with its owner."""
    marks = {"name": app, "instance": stage, "managed-by": "portable"}
    chosen = ",".join(f"app.kubernetes.io/{key}={value}" for key, value in marks.items())
    known = set(said(folder, place))
    for one in _listed(_MADE, namespace, place, ["-l", chosen]):
        if not one["metadata"].get("ownerReferences") and _object(one) not in known:
            yield _object(one)


def of_others(folder: Path, namespace: str, place: Place) -> Iterator[Object]:
    """What others put into the namespace."""
    known = set(said(folder, place))
    for one in _listed(_OTHERS, namespace, place, []):
        metadata = one["metadata"]
        own = metadata.get("labels", {}).get("app.kubernetes.io/managed-by") == "portable" or _object(one) in known
        if not own and not metadata.get("ownerReferences") and metadata["name"] not in _EVERYWHERE:
            yield _object(one)


def _listed(kinds: tuple[str, ...], namespace: str, place: Place, more: list[str]) -> list[dict[str, Any]]:
    done = kubectl(["api-resources", "--namespaced=true", "--verbs=list", "-o", "name"], place)
    if done.returncode and not done.stdout:  # one that answers in part is asked for what it has
        raise DeployError(reasons(done, "the cluster does not say what it has"))
    known = set(done.stdout.split())
    wanted = ",".join(one for one in kinds if one in known)
    if not wanted:
        return []
    return asked(["get", wanted, "-n", namespace, "--ignore-not-found", *more], place, "the cluster does not list")


def _object(document: Mapping[str, Any]) -> Object:
    group, found, _ = document["apiVersion"].rpartition("/")
    return Object(group if found else "", document["kind"], document["metadata"]["name"])
