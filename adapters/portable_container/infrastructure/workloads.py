"""An app as processes to be deployed: one for what is asked over HTTP, one for each function that takes messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from portable.build.deployment import Deployment
from portable.drivers import address_variable
from portable.manifest import FunctionRecord
from portable.resources.topic import subscription_name
from portable_container.positions import NAME

__all__ = ["PORT", "Workload", "addresses", "fitting", "image_of", "unbound", "variables_of", "workloads_of"]

PORT = 8080
DEFAULT_MEMORY = 256
"""MiB, where nobody asks: an interpreter, an app and a vendor's SDK."""
DRAIN = 5.0
"""Seconds that whoever routes goes on sending requests to what is told to end."""
ENDING = 10.0
"""Seconds between the last answer and a kill: what ``on_stop`` and the process's own end may take."""


class Workload(msgspec.Struct, frozen=True):
    """Processes that are alike.

    Attributes:
        name: ``web``, or the function's. kind: ``web`` answers requests and what is pushed, ``worker`` polls,
            ``job`` runs once at each time of ``function``'s schedule.
        functions: those it serves. memory, storage: MiB. timeout: seconds, the longest of its functions.
        concurrency: invocations at a time, None for the container's own default.
        least, most: instances; most None where nobody says. environment: beside the addresses.
    """

    name: str
    kind: str
    functions: Sequence[FunctionRecord]
    memory: int
    timeout: float
    concurrency: int | None
    least: int
    most: int | None
    environment: Mapping[str, str]
    storage: int | None

    @property
    def serves(self) -> str:
        """``PORTABLE_FUNCTIONS``."""
        return ",".join(function.name for function in self.functions)

    @property
    def grace(self) -> float:
        """Seconds from SIGTERM to the kill: what is in hand may end."""
        return self.timeout + ENDING

    @property
    def pushed(self) -> bool:
        """Whether events or direct calls come to it, which need a token."""
        return any(function.kind in ("blob", "change", "direct") for function in self.functions)


def workloads_of(deployment: Deployment) -> list[Workload]:
    """All of them: the web one first, then by name. Variables that several functions of one set must agree."""
    kinds = {"message": "worker", "stream": "worker", "schedule": "job"}
    by_kind: dict[str, list[FunctionRecord]] = {"web": [], "worker": [], "job": []}
    for function in deployment.manifest.functions:
        by_kind[kinds.get(function.kind, "web")].append(function)
    found = [_workload(deployment, "web", "web", by_kind["web"])] if by_kind["web"] else []
    for kind in ("worker", "job"):
        found += [_workload(deployment, one.name, kind, [one]) for one in by_kind[kind]]
    return found


def _workload(deployment: Deployment, name: str, kind: str, functions: Sequence[FunctionRecord]) -> Workload:
    settings = [deployment.functions[one.name] for one in functions]
    environment = {key: value for one in settings for key, value in one.environment.items()}
    most = [one.max_instances for one in settings if one.max_instances is not None]
    timeout = max((one.timeout for one in settings if one.timeout), default=30.0)
    return Workload(
        name=name,
        kind=kind,
        functions=functions,
        memory=max((one.memory for one in settings if one.memory), default=DEFAULT_MEMORY),
        timeout=timeout,
        concurrency=max((one.concurrency for one in settings if one.concurrency), default=None),
        least=max(one.min_instances for one in settings),
        most=max(most) if most else None,
        environment=environment,
        storage=max((one.storage for one in settings if one.storage), default=None),
    )


def variables_of(one: Workload, longest: float | None = None) -> dict[str, str]:
    """What a container is told of itself. ``longest``: seconds that its home gives it to end; None for what it asks."""
    drain = DRAIN if one.kind == "web" else 0.0
    rest = one.timeout if longest is None else min(one.timeout, longest - ENDING - drain)
    found = {"PORTABLE_FUNCTIONS": one.serves, "PORTABLE_SHUTDOWN_SECONDS": f"{rest:g}"}
    if one.kind != "job":
        found |= {"PORT": str(PORT), "PORTABLE_POLL": "1" if one.kind == "worker" else "0"}
        found["PORTABLE_TIMEOUT_SECONDS"] = f"{one.timeout:g}"
    if drain:
        found["PORTABLE_DRAIN_SECONDS"] = f"{drain:g}"
    if one.concurrency:
        found["PORTABLE_CONCURRENCY"] = str(one.concurrency)
    return found


def addresses(deployment: Deployment, platform: str) -> dict[str, str]:
    """Every address that is known before anything runs: what the settings bind, and the names that NATS takes."""
    found = {}
    for variable, key in _variables(deployment):
        kind, _, name = key.partition(":")
        if key in deployment.existing:
            found[variable] = deployment.existing[key]
        elif platform == "nats" and kind in ("bucket", "queue", "topic", "table", "cache"):
            found[variable] = name
        elif platform == "nats" and kind == "deadletter":
            found[variable] = f"{name}-dead"
        elif platform == "nats" and kind == "subscription":
            topic, _, function = name.partition("/")
            found[variable] = subscription_name(topic, function)
    return found


def unbound(deployment: Deployment, platform: str) -> list[str]:
    """Variables that somebody has to say, unless the platform needs none."""
    known = addresses(deployment, platform)
    optional = ("cache", "deadletter", "subscriptiondeadletter", "sockets")
    return [
        variable
        for variable, key in _variables(deployment)
        if platform != "local" and variable not in known and key.partition(":")[0] not in optional
    ]


def _variables(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Variable and ``kind:name`` of every address that a function may read."""
    seen = set()
    for function in deployment.manifest.functions:
        for kind, name in deployment.uses(function.name):
            pairs = [(kind, name)]
            if kind == "queue":
                pairs.append(("deadletter", name))
            for one in pairs:
                if one not in seen:
                    seen.add(one)
                    yield address_variable(*one), ":".join(one)
        if function.kind == "stream" and ("table", NAME) not in seen:
            seen.add(("table", NAME))
            yield address_variable("table", NAME), f"table:{NAME}"
        for topic in function.asks("topic"):
            shown = subscription_name(topic, function.name)
            yield address_variable("subscription", shown), f"subscription:{topic}/{function.name}"


def image_of(deployment: Deployment) -> str:
    """The image's reference; one that says what it is where nobody gave one."""
    return deployment.image or f"{deployment.app}:{deployment.stage}"


def fitting(name: str, most: int) -> str:
    """A name of ``most`` characters at most: as it is, or cut and told apart by a hash."""
    if len(name) <= most:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: most - 9].rstrip('-')}-{digest}"
