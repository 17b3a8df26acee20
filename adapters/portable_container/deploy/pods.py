"""Why pods do not become ready, in the words of the cluster and of the container itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portable.deploy import Place
from portable.errors import DeployError
from portable_container.deploy.kubectl import asked, kubectl

__all__ = ["troubles"]

_LINES = 20
"""Of a container's log, from its end."""
_STARTING = ("ContainerCreating", "PodInitializing")


def troubles(deployment: str, namespace: str, place: Place) -> Iterator[str]:
    """A line for each reason that pods of a Deployment tell; the last lines of a container that ended follow. Nothing
    where the cluster does not say.
    """
    try:
        [found] = asked(["get", "deployment", deployment, "-n", namespace], place, "")
        chosen = found["spec"]["selector"]["matchLabels"]
        marks = ",".join(f"{key}={value}" for key, value in chosen.items())
        pods = asked(["get", "pods", "-n", namespace, "-l", marks], place, "")
    except DeployError:
        return
    told = set()
    for pod in pods:
        for reason, ended in _reasons(pod):
            if reason in told:
                continue  # the pods of one Deployment fail alike
            told.add(reason)
            yield f"pod {pod['metadata']['name']}: {reason}"
            if ended is not None:
                yield from _log(pod["metadata"]["name"], namespace, place, previous=ended)


def _reasons(pod: Mapping[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """Each reason, and of a container that ended whether it was started again since."""
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"{condition.get('reason', 'not scheduled')}: {condition.get('message', '')}", None
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        state, last = one.get("state", {}), one.get("lastState", {}).get("terminated")
        waits, ended = state.get("waiting", {}), state.get("terminated") or last
        if ended is not None:
            code = f"ended with code {ended.get('exitCode')} ({ended.get('reason', 'no reason')})"
            yield ": ".join(part for part in (waits.get("reason"), code) if part), last is not None
        elif waits.get("reason", _STARTING[0]) not in _STARTING:
            yield f"{waits['reason']}: {waits.get('message', '')}".rstrip(": "), None
        elif "running" in state and not one.get("ready", True):
            yield "runs, and its readiness probe says no", False


def _log(pod: str, namespace: str, place: Place, *, previous: bool) -> Iterator[str]:
    before = ["--previous"] if previous else []
    done = kubectl(["logs", pod, "-n", namespace, f"--tail={_LINES}", *before], place)
    if done.returncode == 0:
        yield from (f"  | {line}" for line in done.stdout.splitlines() if line.strip())
