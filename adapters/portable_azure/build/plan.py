"""Which functions share a Function App: memory, timeout, dequeue count and batch size belong to the app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portable.errors import ConfigError
from portable.manifest import FunctionRecord, Manifest
from portable_azure import limits

__all__ = ["CHOICES", "FunctionApp", "Settings", "bus_queues", "bus_sources", "needs_of", "plan_apps", "read_settings"]

DEFAULT_ATTEMPTS = 5
DEFAULT_BATCH = 16


@dataclass(frozen=True)
class Settings:
    """``[tool.portable.azure]``.

    Attributes:
        plan: ``"flex"``, ``"premium"`` or ``"consumption"``.
        apps: ``"split"``: functions that disagree get an app each; ``"one"``: one app with the union of what they ask.
        blob_source: ``"eventgrid"`` or ``"poll"``, for blob triggers.
        changes: ``"latest"``: handlers of a table's changes take the latest version of an item, and every change as an
            update; ``"all"`` refuses what Cosmos DB does not give.
    """

    plan: str = "flex"
    apps: str = "split"
    blob_source: str = "eventgrid"
    changes: str = "all"


CHOICES: dict[str, tuple[str, ...]] = {
    "plan": tuple(limits.PLAN_TIMEOUTS),
    "apps": ("split", "one"),
    "blob_source": ("eventgrid", "poll"),
    "changes": ("all", "latest"),
}


def read_settings(settings: Mapping[str, Any]) -> Settings:
    """The settings this target knows. Raises ConfigError for a value that is none of theirs."""
    found = {name: settings[name] for name in CHOICES if name in settings}
    for name, value in found.items():
        if value not in CHOICES[name]:
            raise ConfigError(f"[tool.portable.azure] {name} = {value!r}: it is one of {', '.join(CHOICES[name])}")
    return Settings(**found)


@dataclass
class Needs:
    """What one function asks of its app; None where it does not matter to it."""

    memory: int
    timeout: float | None
    attempts: int | None
    batch: int | None
    stream: tuple[int, str, float | None] | None = None  # batch size, start and window of its streams


@dataclass
class FunctionApp:
    """Functions in one app, and what they agree on. ``timeout`` in seconds; ``memory`` in MiB."""

    functions: list[FunctionRecord]
    needs: Needs
    settings: Settings = field(default_factory=Settings)
    bus: Mapping[str, bool] = field(default_factory=dict)  # queues on Service Bus, and whether each is ordered

    @property
    def timeout(self) -> float:
        return self.needs.timeout or limits.PLAN_TIMEOUTS[self.settings.plan][0]

    @property
    def streams(self) -> bool:
        """Whether a route of it streams: the host passes all of its HTTP on to the worker then."""
        return any(function.kind == "http" and any(function.asks("stream")) for function in self.functions)

    @property
    def max_dequeue_count(self) -> int:
        return self.needs.attempts or DEFAULT_ATTEMPTS

    @property
    def batch_size(self) -> int:
        return self.needs.batch or DEFAULT_BATCH


def memory_of(asked: int | None, plan: str) -> int:
    """The instance size of a plan that holds what was asked, or its largest."""
    if asked is None:
        return limits.DEFAULT_MEMORY[plan]
    return next((size for size in limits.PLAN_MEMORY[plan] if size >= asked), limits.PLAN_MEMORY[plan][-1])


def bus_sources(manifest: Manifest) -> dict[str, bool]:
    """By the key of a trigger: queues on Service Bus, and every topic; and whether each is ordered."""
    topics = {f"topic:{topic.name}": bool(topic.options["ordered"]) for topic in manifest.of_kind("topic")}
    return bus_queues(manifest) | topics


def bus_queues(manifest: Manifest) -> dict[str, bool]:
    """The queues that need Service Bus, for a storage queue has no order and no duplicate detection; and whether each
    is ordered.
    """
    asked = [(queue.name, queue.options) for queue in manifest.of_kind("queue")]
    return {name: bool(it.get("ordered")) for name, it in asked if it.get("ordered") or it.get("dedup")}


def needs_of(function: FunctionRecord, manifest: Manifest, settings: Settings) -> Needs:
    """What a function asks of its app."""
    attempts = batch = None
    names = set(function.asks("queue")) - set(bus_queues(manifest))  # a queue of Service Bus has attempts of its own
    if function.kind == "message" and names:
        queues = [manifest.resource("queue", name) for name in names]
        attempts = max(queue.options["max_attempts"] for queue in queues)
        batch = min(limits.QUEUE_BATCH, *function.asks("batch_size"))
    stream = None
    if function.kind == "stream":
        windows = function.asks("window")
        stream = (max(function.asks("batch_size")), function.asks("start")[0], max(windows) if windows else None)
    return Needs(memory_of(function.memory, settings.plan), function.timeout, attempts, batch, stream)


def plan_apps(manifest: Manifest, settings: Settings) -> Sequence[FunctionApp]:
    """The Function Apps of a manifest, each function in the first it agrees with."""
    apps: list[FunctionApp] = []
    for function in manifest.functions:
        needs = needs_of(function, manifest, settings)
        for app in apps:
            if settings.apps == "one" or _agree(app.needs, needs):
                app.functions.append(function)
                app.needs = _union(app.needs, needs)
                break
        else:
            apps.append(FunctionApp([function], needs, settings, bus_sources(manifest)))
    return apps


def _agree(one: Needs, other: Needs) -> bool:
    pairs = (
        (one.timeout, other.timeout),
        (one.attempts, other.attempts),
        (one.batch, other.batch),
        (one.stream, other.stream),
    )
    return one.memory == other.memory and all(a is None or b is None or a == b for a, b in pairs)


def _union(one: Needs, other: Needs) -> Needs:
    def of(choose: Any, a: Any, b: Any) -> Any:
        return choose(a, b) if a is not None and b is not None else a if b is None else b

    return Needs(
        max(one.memory, other.memory),
        of(max, one.timeout, other.timeout),
        of(max, one.attempts, other.attempts),
        of(min, one.batch, other.batch),
        of(lambda a, b: (max(a[0], b[0]), a[1], a[2] or b[2]), one.stream, other.stream),
    )
