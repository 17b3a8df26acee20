"""Kubernetes by ``kubectl``: the user's own, with the context it has; see https://kubernetes.io/docs/reference/kubectl."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from portable.deploy import Change, Place, Progress, Step
from portable.errors import ConfigError, DeployError
from portable.run.target import Artifact

__all__ = ["DEPLOYER", "KubernetesDeployer"]

MANAGER = "portable"
ROLLOUT = "180s"
"""How long the pods of one Deployment have to become ready, and objects to be gone."""
_ACTIONS = {"created": "create", "configured": "update", "serverside-applied": "update", "unchanged": "keep"}
_ROLLED_OUT = "deployment.apps/"


class KubernetesDeployer:
    """See ``portable.deploy.Deployer``. Applied on the server's side, so that what others set stays theirs."""

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """What is there, and what is not. Raises DeployError where the cluster refuses an object."""
        folder = _folder(artifact)
        there = set(_there(folder, place))
        changed = _different(folder, place) if there else set()
        return [_change(one, there, changed) for one in _objects(folder)]

    def apply(self, artifact: Artifact, place: Place, progress: Progress) -> Mapping[str, str]:
        """Every object, and then until their pods are ready.

        An object the cluster refuses does not keep the others back; each failure is told.
        """
        folder = _folder(artifact)
        command = ["apply", "--server-side", f"--field-manager={MANAGER}", "-k", str(folder)]
        done = _kubectl(command, place)
        names = []
        for line in done.stdout.splitlines():
            name = line.rpartition(" ")[0]
            names.append(name)
            progress(_step(name, "done", line.rpartition(" ")[2]))
        if done.returncode:
            raise DeployError(_said(done, "the cluster refused an object"))
        namespace = _namespace(folder)
        for name in names:
            if name.startswith(_ROLLED_OUT):
                progress(_step(name, "started", "waiting for its pods"))
                waited = _kubectl(["rollout", "status", name, "-n", namespace, f"--timeout={ROLLOUT}"], place)
                if waited.returncode:
                    progress(_step(name, "failed", "its pods are not ready"))
                    raise DeployError(_said(waited, f"{name} in {namespace}: its pods are not ready"))
                progress(_step(name, "done"))
        return {"namespace": namespace}

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:  # noqa: ARG002
        """None: what holds data is the platform's and not made here."""
        return []

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:  # noqa: ARG002
        """Delete every object. What others put into the namespace goes with it."""
        done = _kubectl(["delete", "--ignore-not-found", f"--timeout={ROLLOUT}", "-k", str(_folder(artifact))], place)
        for line in done.stdout.splitlines():
            name = line.partition(" ")[2 if line.startswith(" ") else 0]
            progress(_step(name.replace('"', ""), "done", "deleted"))
        if done.returncode:
            raise DeployError(_said(done, "not everything could be deleted"))


DEPLOYER = KubernetesDeployer()


def _folder(artifact: Artifact) -> Path:
    folder = artifact.folder / "infra"
    if not (folder / "kustomization.yaml").is_file():
        raise ConfigError(
            f"{folder} holds nothing for kubectl: build it with --iac kubernetes or knative; a task definition of ECS "
            "is registered by `aws ecs register-task-definition --cli-input-json`"
        )
    return folder


def _objects(folder: Path) -> Iterator[tuple[str, str]]:
    """Kind and name of each, in the order of the kustomization."""
    import yaml

    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    for path in kustomization["resources"]:
        document = yaml.safe_load((folder / path).read_text("utf-8"))
        yield document["kind"], document["metadata"]["name"]


def _namespace(folder: Path) -> str:
    import yaml

    return str(yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["namespace"])


def _there(folder: Path, place: Place) -> Iterator[tuple[str, str]]:
    done = _kubectl(["get", "--ignore-not-found", "-o", "json", "-k", str(folder)], place)
    if done.returncode:
        raise DeployError(_said(done, "the cluster does not say what is there"))
    found = json.loads(done.stdout) if done.stdout.strip() else {}
    for item in found.get("items", [found] if found else []):
        yield item["kind"], item["metadata"]["name"]


def _different(folder: Path, place: Place) -> set[str]:
    """Names of the objects that differ, by the files of ``kubectl diff``: 0 none do, 1 some do, more is an error."""
    done = _kubectl(["diff", "--server-side", f"--field-manager={MANAGER}", "-k", str(folder)], place)
    if done.returncode > 1:
        raise DeployError(_said(done, "the cluster refuses an object"))
    return {line.rpartition(".")[2].split()[0] for line in done.stdout.splitlines() if line.startswith("+++ ")}


def _change(one: tuple[str, str], there: set[tuple[str, str]], changed: set[str]) -> Change:
    kind, name = one
    if one not in there:
        return Change("create", kind, name)
    return Change("update" if name in changed else "keep", kind, name)


def _step(name: str, state: str, detail: str = "") -> Step:
    kind, _, rest = name.partition("/")
    return Step(kind, rest, state, detail)  # type: ignore[arg-type]


def _kubectl(arguments: Sequence[str], place: Place) -> subprocess.CompletedProcess[str]:
    found = shutil.which("kubectl", path=place.environment.get("PATH"))
    if found is None:
        raise ConfigError("kubectl is not here: https://kubernetes.io/docs/tasks/tools/ says how to get it")
    context = place.settings.get("context")
    command = [found, *(["--context", str(context)] if context else []), *arguments]
    return subprocess.run(
        command, env=dict(place.environment), capture_output=True, text=True, encoding="utf-8", check=False
    )


def _said(done: subprocess.CompletedProcess[str], what: str) -> str:
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return "\n".join([f"{what}:", *(f"  {line}" for line in lines)])
