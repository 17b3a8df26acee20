"""Makes what the drivers need on the servers: drivers themselves make nothing, so that a wrong address is told.

    from portable_nats.provision import provision

    provision([emails, uploads])

What exists is left as it is, so this can run before every start.
"""

from __future__ import annotations

import json
import os

from portable.drivers import address_variable
from portable_nats import queue, topic
from portable_nats._sdk import JetStreamError, Link
from portable_nats.bucket import chunks_stream, chunks_subject
from portable_nats.keys import read_place
from portable_nats.limits import ACK_WAIT_SECONDS, CACHE_BYTES, DUPLICATE_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from portable.resources import Resource
    from portable.resources.filters import Filter
    from portable_nats._sdk import Server

__all__ = ["provision", "subscribe"]

SECOND = 1_000_000_000
STREAM_NOT_FOUND = 10059


def provision(
    resources: Iterable[Resource], environment: Mapping[str, str] | None = None, *, replicas: int = 1
) -> None:
    """Create what is missing at the addresses of ``resources``: streams and consumers. What exists is left as it is.

    Args:
        resources: queues with their dead letters, where those have an address, buckets, …; other kinds are passed over.
        environment: addresses, servers and credentials; None reads the process's own.
        replicas: copies of each stream in a cluster: 3 survives the loss of a server.
    """
    link = Link(environment)
    try:
        for resource in resources:
            make = _MAKERS.get(resource.kind)
            if make is not None:
                link.call(make(resource, environment, link, replicas))
    finally:
        link.close()


async def _make_stream(server: Server, name: str, subject: str, replicas: int, **options: Any) -> None:
    try:
        await server.api(f"STREAM.INFO.{name}")
    except JetStreamError as error:
        if error.err_code != STREAM_NOT_FOUND:
            raise
    else:
        return
    config = {
        "name": name,
        "subjects": [subject],
        "storage": "file",
        "num_replicas": replicas,
        "duplicate_window": DUPLICATE_SECONDS * SECOND,
        "allow_direct": True,
        **options,
    }
    await server.api(f"STREAM.CREATE.{name}", config)


async def _make_consumer(server: Server, stream: str, name: str, ordered: bool, description: str = "") -> None:
    config = {
        "durable_name": name,
        "description": description,
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_SECONDS * SECOND,
        "max_deliver": -1,  # the driver counts: it has dead letters
        # A delayed message is pending too, and must not keep others back; where order matters it has to.
        "max_ack_pending": 1 if ordered else -1,
    }
    await server.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})


async def _make_queue(resource: Resource, environment: Mapping[str, str] | None, link: Link, replicas: int) -> None:
    urls, name = read_place("queue", resource.name, environment)
    server = link.server(urls)
    await _make_stream(server, name, queue.subject_of(name), replicas, retention="workqueue")
    await _make_consumer(server, name, queue.CONSUMER, bool(resource.options.get("ordered")))
    known = os.environ if environment is None else environment
    if known.get(address_variable("deadletter", resource.name)):
        urls, name = read_place("deadletter", resource.name, environment)
        await _make_stream(link.server(urls), name, queue.subject_of(name), replicas)


async def _make_topic(resource: Resource, environment: Mapping[str, str] | None, link: Link, replicas: int) -> None:
    urls, name = read_place("topic", resource.name, environment)
    await _make_stream(link.server(urls), name, topic.subject_of(name), replicas, retention="interest")
    await _make_stream(link.server(urls), topic.dead_stream(name), topic.dead_subject(name, "*"), replicas)


def subscribe(
    resource: Resource, subscriptions: Mapping[str, Filter | None], environment: Mapping[str, str] | None = None
) -> None:
    """Create the subscriptions of a topic, by the functions' names; a filter replaces the one there was.

    Args:
        subscriptions: name to filter, None for every message. What has no name here any more is left as it is.
        environment: as for :func:`provision`.
    """
    link = Link(environment)
    urls, stream = read_place("topic", resource.name, environment)
    ordered = bool(resource.options.get("ordered"))
    try:
        for name, wanted in subscriptions.items():
            text = json.dumps(wanted) if wanted else ""
            link.call(_make_consumer(link.server(urls), stream, name, ordered, text))
    finally:
        link.close()


async def _make_table(resource: Resource, environment: Mapping[str, str] | None, link: Link, replicas: int) -> None:
    urls, name = read_place("table", resource.name, environment)
    await _make_values(link.server(urls), name, replicas)


async def _make_bucket(resource: Resource, environment: Mapping[str, str] | None, link: Link, replicas: int) -> None:
    urls, name = read_place("bucket", resource.name, environment)
    await _make_values(link.server(urls), name, replicas)
    await _make_stream(link.server(urls), chunks_stream(name), chunks_subject(name, "*", "*"), replicas, discard="new")


async def _make_cache(resource: Resource, environment: Mapping[str, str] | None, link: Link, replicas: int) -> None:
    urls, name = read_place("cache", resource.name, environment)
    await _make_values(link.server(urls), name, replicas, max_bytes=CACHE_BYTES, discard="old")


async def _make_values(server: Server, name: str, replicas: int, **changed: Any) -> None:
    # As NATS's own key-value store makes them, so that its tools can read it.
    options = {"max_msgs_per_subject": 1, "discard": "new", "allow_rollup_hdrs": True, "deny_delete": True, **changed}
    await _make_stream(server, f"KV_{name}", f"$KV.{name}.>", replicas, **options)


_MAKERS = {
    "bucket": _make_bucket,
    "cache": _make_cache,
    "queue": _make_queue,
    "table": _make_table,
    "topic": _make_topic,
}
