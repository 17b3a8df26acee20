"""What an app on Azure Functions is billed for, by the meters of ``prices.toml``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portable.build.costs import APP, Calls, Charge
from portable.build.load import HOURS
from portable_azure import limits
from portable_azure.build.plan import bus_sources, memory_of, plan_apps, read_settings

__all__ = ["charges_of"]

_CHUNK = 64_000
_LEAST_ACTIVE = 1.0
"""Seconds that an instance of Flex Consumption is billed for at least, once it is busy. Documented:
functions-consumption-costs."""

_STEP = 0.1
_USED_STEP = 128  # MiB
_OPERATIONS = 3
"""Of a message: sent, received, settled."""


def charges_of(calls: Sequence[Calls], settings: Mapping[str, Any]) -> dict[str, list[Charge]]:
    """By function, and under ``APP`` what the app has once."""
    plan = read_settings(settings).plan
    found = {one.function.name: [*_time(one, plan), *_events(one)] for one in calls}
    found[APP] = list(_always(calls, settings))
    return found


def _time(one: Calls, plan: str) -> Iterator[Charge]:
    """A call of a batch is one of each message."""
    requests, duration = one.load.requests, one.load.duration
    asked = one.load.memory or one.settings.memory
    memory = memory_of(asked, plan)
    if plan == "premium":
        return
    yield Charge("calls", f"{plan}.calls", requests)
    if plan == "consumption":
        used = math.ceil(min(asked or memory, memory) / _USED_STEP) * _USED_STEP
        each = max(_STEP, duration)
        said = f"{used} MiB, if it uses so much, for {each * 1000:.0f} ms, 100 at least"
        yield Charge("time", "consumption.time", requests * each * used / 1024, said=said)
        return
    alone = max(_LEAST_ACTIVE, math.ceil(round(duration / _STEP, 6)) * _STEP)
    said = f"{memory} MiB for {alone * 1000:.0f} ms where a call comes alone"
    if duration < alone:
        said += f", {duration * 1000:g} where one follows another"
    size = memory / 1024
    yield Charge("time", "flex.time", requests * alone * size, requests * duration * size, said)
    if one.settings.min_instances:
        yield Charge("always", "flex.warm", one.settings.min_instances * HOURS * 3600 * size)


def _events(one: Calls) -> Iterator[Charge]:
    requests = one.load.requests
    chunks = max(1, math.ceil(one.load.size / _CHUNK))
    if one.function.kind == "message":
        bus = any(trigger.key in bus_sources(one.manifest) for trigger in one.function.triggers)
        sent = 1 / (one.hearers or 1)  # what a topic has is sent once for all that hear it
        operations = requests * (_OPERATIONS - 1 + sent)
        yield Charge("events", "bus.operations" if bus else "storage-queue", operations * (chunks if bus else 1))
    elif one.source == "blob-eventgrid":
        yield Charge("events", "event-grid", 2 * requests)
    elif one.function.kind == "stream":
        yield Charge("events", "hubs.events", requests * chunks)


def _always(calls: Sequence[Calls], settings: Mapping[str, Any]) -> Iterator[Charge]:
    if not calls:
        return
    manifest, chosen = calls[0].manifest, read_settings(settings)
    if bus_sources(manifest):
        yield Charge("always", "bus.base", 1)
    if manifest.of_kind("stream"):
        yield Charge("always", "hubs.units", HOURS)
    if manifest.of_kind("sockets"):
        yield Charge("always", "sockets.units", 1)
    if chosen.plan == "premium":
        for app in plan_apps(manifest, chosen):
            names = {one.name for one in app.functions}
            kept = max(1, *(one.settings.min_instances for one in calls if one.function.name in names))
            cpus = 2 ** limits.PLAN_MEMORY["premium"].index(app.needs.memory)  # EP1 to EP3
            said = f"{kept} always there"
            yield Charge("always", "premium.cpu", kept * cpus, said=said)
            yield Charge("always", "premium.memory", kept * app.needs.memory / 1024)
