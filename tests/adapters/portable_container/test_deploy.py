"""kubectl against a server that keeps objects as an API server does: created, changed, refused, deleted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from portable.deploy import Place, Step
from portable.errors import ConfigError, DeployError
from portable.manifest import Manifest
from portable.run.target import Artifact
from portable_container.deploy import DEPLOYER
from portable_container.deploy.pods import troubles

KINDS = {
    "v1": {
        "Namespace": "namespaces",
        "ServiceAccount": "serviceaccounts",
        "ConfigMap": "configmaps",
        "Secret": "secrets",
        "Pod": "pods",
    },
    "apps/v1": {"Deployment": "deployments"},
}


class Cluster(ThreadingHTTPServer):
    """Discovery, server-side apply, get and delete; an object whose label ``refuse`` is set is refused."""

    daemon_threads = True

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.ready = True
        self.restarted: list[str] = []
        self.log = ""
        super().__init__(("127.0.0.1", 0), Handler)

    def answer(self, method: str, path: str, query: str, body: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if path in ("/api", "/apis"):
            return 200, discovery(path)
        if (found := re.fullmatch(r"/api(?:s)?/((?:apps/)?v1)", path)) is not None:
            return 200, resources(found.group(1))
        if path.startswith("/openapi/v3"):
            return 200, validation(path)
        if path.startswith(("/openapi", "/version")):
            return 404, status(404, path)
        if path.endswith("/log"):
            return 200, self.log
        if method == "PATCH" and "metadata" not in body:
            self.restarted += list(body["spec"]["template"]["metadata"]["annotations"])
            return 200, self.objects[path]
        if method == "PATCH":
            if "refuse" in body["metadata"].get("labels", {}):
                return 422, status(422, f'{body["kind"]} "{body["metadata"]["name"]}" is invalid: spec.x: Required')
            known = self.objects.get(path)
            kept = {**body, "metadata": {**body["metadata"], "uid": "1", "resourceVersion": "1", "generation": 1}}
            if body["kind"] == "Deployment":
                done = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
                kept["status"] = done | ({"availableReplicas": 1, "readyReplicas": 1} if self.ready else {})
            if "dryRun" not in query:
                self.objects[path] = kept
            return (200 if known else 201), kept
        if method == "GET" and path.rpartition("/")[2] in {name for kinds in KINDS.values() for name in kinds.values()}:
            named = [one for place, one in self.objects.items() if place.rpartition("/")[0] == path]
            asked = dict(parse_qsl(query)).get("labelSelector")
            marks = dict(one.split("=") for one in asked.split(",")) if asked else {}
            named = [one for one in named if marks.items() <= one["metadata"].get("labels", {}).items()]
            return 200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": named}
        if path not in self.objects:
            return 404, status(404, f"{path} not found")
        if method == "DELETE":
            return 200, self.objects.pop(path)
        return 200, self.objects[path]


def discovery(path: str) -> dict[str, Any]:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    version = {"groupVersion": "apps/v1", "version": "v1"}
    group = {"name": "apps", "versions": [version], "preferredVersion": version}
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}


def resources(version: str) -> dict[str, Any]:
    verbs = ["create", "delete", "get", "list", "patch", "update"]
    listed = [
        {"name": name, "singularName": kind.lower(), "namespaced": kind != "Namespace", "kind": kind, "verbs": verbs}
        for kind, name in KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}


def validation(path: str) -> dict[str, Any]:
    """That the server checks fields itself, kind by kind: else kubectl wants to."""
    versions = {"v1": "/openapi/v3/api/v1", "apps/v1": "/openapi/v3/apis/apps/v1"}
    if path == "/openapi/v3":
        return {
            "paths": {place.removeprefix("/openapi/v3/"): {"serverRelativeURL": place} for place in versions.values()}
        }
    [version] = [version for version, place in versions.items() if place == path]
    group, _, number = version.rpartition("/")
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    paths = {}
    for kind, name in KINDS[version].items():
        known = {"group": group, "version": number, "kind": kind}
        patch = {"x-kubernetes-group-version-kind": known, "parameters": [parameter], "responses": {}}
        paths[f"/{name}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "a cluster", "version": "1"}, "paths": paths}


def status(code: int, message: str) -> dict[str, Any]:
    reason = {404: "NotFound", 422: "Invalid"}[code]
    found = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    return found | {"message": message, "reason": reason}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Cluster

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        text = self.rfile.read(length)
        body = yaml.safe_load(text) if text else None
        place = urlsplit(self.path)
        code, answer = self.server.answer(self.command, place.path, place.query, body)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("content-type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PATCH = do_DELETE = do_POST = _serve  # noqa: N815 - as http.server calls them

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    server = Cluster()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path, require_part: Callable[..., Any]) -> Place:
    require_part("kubectl")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "none",
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    known = {"PATH": os.environ["PATH"], "KUBECONFIG": str(file), "HOME": str(tmp_path)}
    return Place("dev", {"context": "here"}, known)


MARKS = {
    "app.kubernetes.io/name": "shop",
    "app.kubernetes.io/instance": "dev",
    "app.kubernetes.io/managed-by": "portable",
}


def put(cluster: Cluster, version: str, kind: str, name: str, **more: Any) -> None:
    """An object that is there, whoever put it."""
    metadata = {"name": name, "namespace": "shop-dev", "uid": "1", "resourceVersion": "1", **more.pop("metadata", {})}
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    place = f"{root}/namespaces/shop-dev/{KINDS[version][kind]}/{name}"
    cluster.objects[place] = {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def artifact_of(folder: Path, refused: bool = False, value: str = "1") -> Artifact:
    infra = folder / "dist" / "infra"
    infra.mkdir(parents=True, exist_ok=True)
    marked = {"refuse": "yes"} if refused else {}
    container = {"name": "app", "image": "shop:dev"}
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
    }
    objects = {
        "namespace.yaml": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-dev"}},
        "addresses.yaml": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "shop-addresses", "labels": marked},
            "data": {"A": value},
        },
        "deployment-web.yaml": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop-web"},
            "spec": spec,
        },
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "shop-dev",
        "resources": list(objects),
    }
    for name, document in {"kustomization.yaml": kustomization, **objects}.items():
        (infra / name).write_text(yaml.safe_dump(document))
    return Artifact(
        folder / "dist", "container", "3.13", Manifest("shop", "app:app", [], [], False, False, []), {}, {}, {}
    )


def test_a_deployment(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    kinds = ["Namespace", "ConfigMap", "Deployment"]
    assert [(one.action, one.kind) for one in DEPLOYER.preview(artifact, place)] == [("create", kind) for kind in kinds]
    assert cluster.objects == {}
    steps: list[Step] = []
    assert DEPLOYER.apply(artifact, place, steps.append) == {"namespace": "shop-dev"}
    assert [one["kind"] for one in cluster.objects.values()] == kinds
    assert ("deployment.apps", "shop-web", "done") in [(one.kind, one.name, one.state) for one in steps]
    assert {one.action for one in DEPLOYER.preview(artifact, place)} == {"keep"}
    assert DEPLOYER.holding(artifact, place) == []
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)
    assert cluster.objects == {}
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)  # nothing is there, and that is no error


def test_where_it_goes_is_said(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    assert DEPLOYER.where(artifact, place) == "context here, namespace shop-dev"
    assert DEPLOYER.where(artifact, Place("dev", {}, place.environment)) == "context none, namespace shop-dev"
    config = tmp_path / "empty"
    config.write_text("apiVersion: v1\nkind: Config\n")
    with pytest.raises(ConfigError, match="kubectl has no context"):
        DEPLOYER.where(artifact, Place("dev", {}, {**place.environment, "KUBECONFIG": str(config)}))
    assert cluster.asked == []


def test_what_the_app_has_no_more_goes(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    DEPLOYER.apply(artifact, place, lambda step: None)
    put(cluster, "apps/v1", "Deployment", "shop-old", metadata={"labels": MARKS})
    put(cluster, "apps/v1", "Deployment", "shop-prod", metadata={"labels": MARKS | {"app.kubernetes.io/instance": "p"}})
    put(cluster, "apps/v1", "Deployment", "theirs", metadata={"labels": {}})
    owner = {"apiVersion": "v1", "kind": "Secret", "name": "o", "uid": "2"}
    put(cluster, "v1", "ConfigMap", "of-a-controller", metadata={"labels": MARKS, "ownerReferences": [owner]})
    deleted = [one for one in DEPLOYER.preview(artifact, place) if one.action == "delete"]
    assert [(one.kind, one.name) for one in deleted] == [("Deployment", "shop-old")]
    steps: list[Step] = []
    DEPLOYER.apply(artifact, place, steps.append)
    assert steps[-1] == Step("Deployment", "shop-old", "done", "deleted")
    left = sorted(one["metadata"]["name"] for one in cluster.objects.values())
    assert left == ["of-a-controller", "shop-addresses", "shop-dev", "shop-prod", "shop-web", "theirs"]


def test_the_namespace_of_another_app_is_left_alone(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    marks = MARKS | {"app.kubernetes.io/name": "shop-dev", "app.kubernetes.io/instance": "eu"}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-dev", "labels": marks}}
    cluster.objects["/api/v1/namespaces/shop-dev"] = document
    wrong = r"namespace shop-dev is of app shop-dev, stage eu: another name"
    with pytest.raises(DeployError, match=wrong):
        DEPLOYER.preview(artifact, place)
    with pytest.raises(DeployError, match=wrong):
        DEPLOYER.apply(artifact, place, lambda step: None)
    with pytest.raises(DeployError, match=wrong):
        DEPLOYER.destroy(artifact, place, lambda step: None, with_data=True)
    assert list(cluster.objects.values()) == [document]
    shared = Place("dev", {**place.settings, "namespace": "shop-dev"}, place.environment)
    assert DEPLOYER.preview(artifact, shared)


def test_pods_are_started_anew_where_addresses_change(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    DEPLOYER.apply(artifact_of(tmp_path), place, lambda step: None)
    DEPLOYER.apply(artifact_of(tmp_path), place, lambda step: None)
    assert cluster.restarted == []
    DEPLOYER.apply(artifact_of(tmp_path, value="2"), place, lambda step: None)
    assert cluster.restarted == ["kubectl.kubernetes.io/restartedAt"]


def test_what_others_put_into_the_namespace_stays(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    DEPLOYER.apply(artifact, place, lambda step: None)
    put(cluster, "v1", "Secret", "shop-events")
    put(cluster, "v1", "ConfigMap", "kube-root-ca.crt")
    assert DEPLOYER.holding(artifact, place) == ["namespace shop-dev: Secret shop-events"]
    steps: list[Step] = []
    DEPLOYER.destroy(artifact, place, steps.append, with_data=False)
    assert steps[-1] == Step("Namespace", "shop-dev", "done", "kept: others put something into it")
    left = sorted(one["metadata"]["name"] for one in cluster.objects.values())
    assert left == ["kube-root-ca.crt", "shop-dev", "shop-events"]
    DEPLOYER.destroy(artifact, place, steps.append, with_data=True)
    assert steps[-1] == Step("Namespace", "shop-dev", "done", "deleted")


def test_what_is_refused_is_named(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r'ConfigMap "shop-addresses" is invalid: spec\.x: Required'):
        DEPLOYER.apply(artifact_of(tmp_path, refused=True), place, lambda step: None)
    assert "Namespace" in [one["kind"] for one in cluster.objects.values()]


def test_pods_that_never_become_ready(
    cluster: Cluster, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.ready = False
    monkeypatch.setattr("portable_container.deploy.ROLLOUT", "1s")
    steps: list[Step] = []
    with pytest.raises(DeployError, match=r"deployment\.apps/shop-web in shop-dev: its pods are not ready"):
        DEPLOYER.apply(artifact_of(tmp_path), place, steps.append)
    assert steps[-1].state == "failed"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image shop:dev"}}},
            ["pod shop-web-1: ImagePullBackOff: no such image shop:dev"],
        ),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            },
            [
                "pod shop-web-1: CrashLoopBackOff: ended with code 1 (Error)",
                "  | Traceback",
                "  | KeyError: 'PORTABLE_QUEUE_EMAILS'",
            ],
        ),
        (
            {"state": {"running": {}}, "ready": False},
            [
                "pod shop-web-1: runs, and its readiness probe says no",
                "  | Traceback",
                "  | KeyError: 'PORTABLE_QUEUE_EMAILS'",
            ],
        ),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, []),
    ],
)
def test_why_pods_are_not_ready(
    cluster: Cluster, place: Place, tmp_path: Path, state: dict[str, Any], expected: list[str]
) -> None:
    DEPLOYER.apply(artifact_of(tmp_path), place, lambda step: None)
    cluster.log = "Traceback\n\nKeyError: 'PORTABLE_QUEUE_EMAILS'\n"
    spec = {"containers": [{"name": "app", "image": "shop:dev"}]}
    for number in (1, 2):
        status = {"containerStatuses": [{"name": "app", **state}]}
        put(cluster, "v1", "Pod", f"shop-web-{number}", metadata={"labels": {"a": "b"}}, status=status, spec=spec)
    assert list(troubles("shop-web", "shop-dev", place)) == expected
    pod = next(one for one in cluster.objects.values() if one["kind"] == "Pod")
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: memory"}
    pod["status"] = {"conditions": [refused]}
    assert "pod shop-web-1: Unschedulable: 0/3 nodes: memory" in list(troubles("shop-web", "shop-dev", place))


def test_nowhere_to_go(tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    with pytest.raises(ConfigError, match="kubectl is not here"):
        DEPLOYER.preview(artifact, Place("dev", {}, {"PATH": str(tmp_path)}))
    shutil.rmtree(artifact.folder / "infra")
    with pytest.raises(ConfigError, match="build it with --iac kubernetes"), contextlib.suppress(DeployError):
        DEPLOYER.preview(artifact, Place("dev", {}, {}))
