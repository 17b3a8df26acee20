"""What a function on Cloud Run is billed for, by the meters of ``prices.toml``: request-based billing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from portable.build.costs import APP, Calls, Charge
from portable.build.load import HOURS
from portable_gcp.infrastructure.functions import cpu_and_memory
from portable_gcp.schedules import timers_of

__all__ = ["charges_of"]

_GIB = 2**30
_LEAST = 1000
"""Bytes that a publishing or a push counts at least. [page] pubsub/pricing"""

_PUSHED = ("pubsub-push", "pubsub-eventarc", "storage-eventarc", "firestore-eventarc")


def charges_of(calls: Sequence[Calls], settings: Mapping[str, Any]) -> dict[str, list[Charge]]:  # noqa: ARG001
    """By function, and under ``APP`` what the app has once."""
    found = {one.function.name: list(_function(one)) for one in calls}
    http = [one for one in calls if one.function.kind == "http"]
    if len(http) > 1:  # a load balancer stands before them
        data = sum(one.load.requests * one.load.size for one in http) / _GIB
        found[APP] = [Charge("always", "balancer.hours", HOURS), Charge("front", "balancer.data", data)]
    return found


def _function(one: Calls) -> Iterator[Charge]:
    """Every message and event is a request of its own here."""
    requests = one.load.requests
    asked = msgspec.structs.replace(one.settings, memory=one.load.memory or one.settings.memory)
    cpu, memory = cpu_and_memory(asked)
    each = math.ceil(round(one.load.duration * 10, 6)) / 10
    seconds, concurrency = requests * each, one.settings.concurrency or 1
    said = f"{cpu} vCPU and {memory} MiB for {each * 1000:.0f} ms, in steps of 100 ms"
    shared = f"; {concurrency} at once share it at best" if concurrency > 1 else ""
    yield Charge("calls", "run.calls", requests)
    yield Charge("time", "run.cpu", seconds * int(cpu), seconds * int(cpu) / concurrency, said + shared)
    gib = seconds * memory / 1024
    yield Charge("time", "run.memory", gib, gib / concurrency)
    if one.source in _PUSHED:
        published = 1 / (one.hearers or 1)
        yield Charge("events", "pubsub", requests * (1 + published) * max(one.load.size, _LEAST) / _GIB)
    if one.function.kind == "schedule":
        jobs = sum(len(timers_of(trigger)) for trigger in one.function.triggers)
        yield Charge("events", "scheduler.jobs", jobs)
    if one.settings.min_instances:
        kept = one.settings.min_instances * HOURS * 3600
        yield Charge("always", "run.warm.cpu", kept * int(cpu))
        yield Charge("always", "run.warm.memory", kept * memory / 1024)
