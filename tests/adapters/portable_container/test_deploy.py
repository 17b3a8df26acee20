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
from urllib.parse import urlsplit

import pytest
import yaml

from portable.deploy import Place, Step
from portable.errors import ConfigError, DeployError
from portable.manifest import Manifest
from portable.run.target import Artifact
from portable_container.deploy import DEPLOYER

KINDS = {
    "v1": {"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps"},
    "apps/v1": {"Deployment": "deployments"},
}


class Cluster(ThreadingHTTPServer):
    """Discovery, server-side apply, get and delete; an object whose label ``refuse`` is set is refused."""

    daemon_threads = True

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.ready = True
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
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
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


def artifact_of(folder: Path, refused: bool = False) -> Artifact:
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
            "data": {"A": "1"},
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


def test_nowhere_to_go(tmp_path: Path) -> None:
    artifact = artifact_of(tmp_path)
    with pytest.raises(ConfigError, match="kubectl is not here"):
        DEPLOYER.preview(artifact, Place("dev", {}, {"PATH": str(tmp_path)}))
    shutil.rmtree(artifact.folder / "infra")
    with pytest.raises(ConfigError, match="build it with --iac kubernetes"), contextlib.suppress(DeployError):
        DEPLOYER.preview(artifact, Place("dev", {}, {}))
