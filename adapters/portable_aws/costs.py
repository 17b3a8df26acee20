"""What a function on Lambda is billed for, by the meters of ``prices.toml``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portable.build.costs import APP, Calls, Charge
from portable.build.load import HOURS
from portable_aws import limits

__all__ = ["charges_of"]

_DEFAULT_MEMORY = limits.MEMORY_LEAST
"""MiB of a function whose template says none."""

_CHUNK = 64 * 1024
"""Bytes of a message that count as one request. [aws] sqs/pricing"""

_HTTP_CHUNK = 512 * 1024
_SOCKET_CHUNK = 32 * 1024
_STREAM_CHUNK = 25_000


def charges_of(calls: Sequence[Calls], settings: Mapping[str, Any]) -> dict[str, list[Charge]]:  # noqa: ARG001
    """By function, and under ``APP`` what the app has once."""
    found = {one.function.name: list(_function(one)) for one in calls}
    found[APP] = list(_always(calls))
    return found


def _function(one: Calls) -> Iterator[Charge]:
    together = one.asked_batch
    invocations = one.load.requests / together
    memory = one.load.memory or one.settings.memory or _DEFAULT_MEMORY
    memory = min(max(memory, limits.MEMORY_LEAST), limits.MEMORY_LARGEST)
    each = math.ceil(round(together * one.load.duration * 1000, 6)) / 1000
    arch = one.settings.arch
    yield Charge("calls", "lambda.calls", invocations)
    said = f"{memory} MiB on {arch} for {each * 1000:.0f} ms, in steps of 1 ms"
    yield Charge("time", f"lambda.time.{arch}", invocations * each * memory / 1024, said=said)
    yield from _front(one)
    yield from _events(one, invocations)
    if one.settings.min_instances:
        kept = one.settings.min_instances * HOURS * 3600 * memory / 1024
        yield Charge("always", f"lambda.warm.{arch}", kept)


def _front(one: Calls) -> Iterator[Charge]:
    requests = one.load.requests
    if one.source == "http-api":
        yield Charge("front", "http-api", requests * _chunks(one, _HTTP_CHUNK))
    elif one.source == "rest-api":
        yield Charge("front", "rest-api", requests)
    elif one.source == "alb":
        units = max(requests / (25 * 3600), requests * one.load.size / 0.4e9)
        yield Charge("front", "alb.capacity", units)
    elif one.source == "websocket-api":
        yield Charge("front", "websocket.messages", requests * _chunks(one, _SOCKET_CHUNK))


def _events(one: Calls, invocations: float) -> Iterator[Charge]:
    """A message is sent, and with those of its batch received and deleted."""
    requests = one.load.requests
    if one.source == "sqs":
        meter = "sqs.fifo" if any(_is_ordered(one, *source) for source in one.heard) else "sqs"
        yield Charge("events", meter, (requests + 2 * invocations) * _chunks(one, _CHUNK))
        if one.hearers:
            yield Charge("events", "sns", requests / one.hearers * _chunks(one, _CHUNK))
    elif one.source == "kinesis":
        yield Charge("events", "kinesis.puts", requests * _chunks(one, _STREAM_CHUNK))
    elif one.source == "scheduler":
        yield Charge("events", "scheduler", requests)


def _is_ordered(one: Calls, kind: str, name: str) -> bool:
    options = one.manifest.resource(kind, name).options
    return bool(options.get("ordered") or options.get("dedup"))


def _always(calls: Sequence[Calls]) -> Iterator[Charge]:
    if any(one.source == "alb" for one in calls):
        yield Charge("always", "alb.hours", HOURS)
    if any(one.source == "kinesis" for one in calls):
        shards = sum(stream.options["partitions"] for stream in calls[0].manifest.of_kind("stream"))
        yield Charge("always", "kinesis.shards", shards * HOURS)


def _chunks(one: Calls, size: int) -> int:
    return max(1, math.ceil(one.load.size / size))
