"""Kubernetes by ``kubectl``: the user's own, with the context it has; see https://kubernetes.io/docs/reference/kubectl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from portable.deploy import Change, Place, Progress, Step
from portable.errors import ConfigError, DeployError
from portable.run.target import Artifact
from portable_container.deploy.kubectl import kubectl, reasons
from portable_container.deploy.objects import Object, left_over, of_others, owner, said, there
from portable_container.deploy.pods import troubles

__all__ = ["DEPLOYER", "KubernetesDeployer"]

MANAGER = "portable"
ROLLOUT = "180s"
"""How long the pods of one Deployment have to become ready, and objects to be gone."""
_DEPLOYMENT, _KNATIVE = "deployment.apps/", "service.serving.knative.dev/"


class KubernetesDeployer:
    """See ``portable.deploy.Deployer``. Applied on the server's side, so that what others set stays theirs."""

    def where(self, artifact: Artifact, place: Place) -> str:
        """Context and namespace. Raises ConfigError where kubectl has no context."""
        context = place.settings.get("context")
        if not context:
            done = kubectl(["config", "current-context"], place)
            context = done.stdout.strip()
            if done.returncode or not context:
                raise ConfigError(
                    'kubectl has no context: `kubectl config use-context`, or context = "…" in the settings'
                )
        return f"context {context}, namespace {_namespace(_folder(artifact))}"

    def preview(self, artifact: Artifact, place: Place) -> Sequence[Change]:
        """What is there, and what is not. Raises DeployError where the cluster refuses an object."""
        folder = _folder(artifact)
        _check_owner(artifact, folder, place)
        found = set(there(folder, place))
        changed = _different(folder, place) if found else set()
        changes = [_change(one, found, changed) for one in said(folder, place)]
        going = _left_over(artifact, folder, place) if found else []
        return changes + [Change("delete", one.kind, one.name) for one in going]

    def apply(self, artifact: Artifact, place: Place, progress: Progress) -> Mapping[str, str]:
        """Every object, then until their pods are ready, and then what the app has no more goes.

        An object the cluster refuses does not keep the others back; each failure is told.
        """
        folder = _folder(artifact)
        _check_owner(artifact, folder, place)
        namespace, addressed = _namespace(folder), _addresses_change(folder, place)
        command = ["apply", "--server-side", f"--field-manager={MANAGER}", "-k", str(folder)]
        done = kubectl(command, place)
        names = []
        for line in done.stdout.splitlines():
            name = line.rpartition(" ")[0]
            names.append(name)
            progress(_step(name, "done", line.rpartition(" ")[2]))
        if done.returncode:
            raise DeployError(reasons(done, "the cluster refused an object"))
        if addressed:  # variables are read when a pod starts
            for name in names:
                if name.startswith(_DEPLOYMENT):
                    self._run(["rollout", "restart", name, "-n", namespace], place, name, "could not be started anew")
        for name in names:
            if name.startswith((_DEPLOYMENT, _KNATIVE)):
                self._await(name, namespace, place, progress)
        self._delete(_left_over(artifact, folder, place), namespace, place, progress)
        return {"namespace": namespace}

    @staticmethod
    def _run(arguments: Sequence[str], place: Place, name: str, what: str) -> None:
        done = kubectl(arguments, place)
        if done.returncode:
            raise DeployError(reasons(done, f"{name} {what}"))

    @staticmethod
    def _await(name: str, namespace: str, place: Place, progress: Progress) -> None:
        progress(_step(name, "started", "waiting for its pods"))
        waiting = ["rollout", "status"] if name.startswith(_DEPLOYMENT) else ["wait", "--for=condition=Ready"]
        waited = kubectl([*waiting, name, "-n", namespace, f"--timeout={ROLLOUT}"], place)
        if waited.returncode:
            progress(_step(name, "failed", "its pods are not ready"))
            found = troubles(name.partition("/")[2], namespace, place) if name.startswith(_DEPLOYMENT) else ()
            lines = [reasons(waited, f"{name} in {namespace}: its pods are not ready"), *(f"  {one}" for one in found)]
            raise DeployError("\n".join(lines))
        progress(_step(name, "done"))

    def holding(self, artifact: Artifact, place: Place) -> Sequence[str]:
        """What others put into the namespace, which would go with it; what holds data is the platform's, and not made
        here.
        """
        folder = _folder(artifact)
        namespace = _namespace(folder)
        if not any(one.kind == "Namespace" for one in there(folder, place)):
            return []
        return [f"namespace {namespace}: {one.kind} {one.name}" for one in of_others(folder, namespace, place)]

    def destroy(self, artifact: Artifact, place: Place, progress: Progress, *, with_data: bool) -> None:
        """Delete every object; the namespace last, and only with ``with_data`` where others put something into it."""
        folder = _folder(artifact)
        _check_owner(artifact, folder, place)
        namespace, found = _namespace(folder), list(there(folder, place))
        if not found:
            return
        kept = not with_data and bool(self.holding(artifact, place))
        own = [one for one in found if one.kind != "Namespace"]
        self._delete([*reversed(own), *_left_over(artifact, folder, place)], namespace, place, progress)
        for one in found:
            if one.kind == "Namespace" and kept:
                progress(Step(one.kind, one.name, "done", "kept: others put something into it"))
            elif one.kind == "Namespace":
                self._delete([one], namespace, place, progress)

    @staticmethod
    def _delete(going: Sequence[Object], namespace: str, place: Place, progress: Progress) -> None:
        for one in going:
            scope = [] if one.kind == "Namespace" else ["-n", namespace]
            done = kubectl(["delete", one.path, *scope, "--ignore-not-found", f"--timeout={ROLLOUT}"], place)
            if done.returncode:
                progress(Step(one.kind, one.name, "failed"))
                raise DeployError(reasons(done, f"{one.kind} {one.name} could not be deleted"))
            progress(Step(one.kind, one.name, "done", "deleted"))


DEPLOYER = KubernetesDeployer()


def _folder(artifact: Artifact) -> Path:
    folder = artifact.folder / "infra"
    if not (folder / "kustomization.yaml").is_file():
        raise ConfigError(
            f"{folder} holds nothing for kubectl: build it with --iac kubernetes or knative; a task definition of ECS "
            "is registered by `aws ecs register-task-definition --cli-input-json`"
        )
    return folder


def _namespace(folder: Path) -> str:
    import yaml

    return str(yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["namespace"])


def _check_owner(artifact: Artifact, folder: Path, place: Place) -> None:
    """Raise DeployError for a namespace of another app's, unless the settings name it: two pairs of app and stage may
    make one name.
    """
    namespace = _namespace(folder)
    whose = None if place.settings.get("namespace") else owner(namespace, place)
    if whose not in (None, (artifact.manifest.app, place.stage)):
        raise DeployError(
            f"namespace {namespace} is of app {whose[0]}, stage {whose[1]}: "
            'another name, namespace = "…" in [tool.portable.container]'
        )


def _left_over(artifact: Artifact, folder: Path, place: Place) -> list[Object]:
    return list(left_over(folder, _namespace(folder), place, artifact.manifest.app, place.stage))


def _different(folder: Path, place: Place) -> set[str]:
    """The files of ``kubectl diff``, called GROUP.VERSION.KIND.NAMESPACE.NAME, of the objects that differ. It ends with
    0 where none do, with 1 where some do, and more is an error.
    """
    done = kubectl(["diff", "--server-side", f"--field-manager={MANAGER}", "-k", str(folder)], place)
    if done.returncode > 1:
        raise DeployError(reasons(done, "the cluster refuses an object"))
    return {line.split("\t")[0].rpartition("/")[2] for line in done.stdout.splitlines() if line.startswith("+++ ")}


def _addresses_change(folder: Path, place: Place) -> bool:
    """Whether a config map that is there is about to become another."""
    if not any(one.kind == "ConfigMap" for one in there(folder, place)):
        return False
    return any(".ConfigMap." in name for name in _different(folder, place))


def _change(one: Object, found: set[Object], changed: set[str]) -> Change:
    if one not in found:
        return Change("create", one.kind, one.name)
    differs = any(f".{one.kind}." in f".{name}" and name.endswith(f".{one.name}") for name in changed)
    return Change("update" if differs else "keep", one.kind, one.name)


def _step(name: str, state: str, detail: str = "") -> Step:
    kind, _, rest = name.partition("/")
    return Step(kind, rest, state, detail)  # type: ignore[arg-type]
