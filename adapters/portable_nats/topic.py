"""Topics on JetStream. The address names a stream that keeps a message until every consumer is done with it; each
subscription is a consumer of its own, and its filter is the consumer's description.

The dead letters of all subscriptions are on the stream ``<name>-dead``, each subscription's on a subject of its own.
"""

from __future__ import annotations

import json

from portable.errors import UnsupportedError
from portable.resources.filters import fits
from portable_nats.deliveries import DeadLetters, Deliveries
from portable_nats.keys import read_place
from portable_nats.messages import headers_of, new_name, send_each
from portable_nats.twins import Twins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.drivers import Received, SendFailure
    from portable.resources import Resource
    from portable.resources.filters import Filter
    from portable_nats._sdk import Link, Server

__all__ = ["NATSTopic", "SubscriptionCalls", "TopicCalls", "dead_stream", "dead_subject", "open_driver", "subject_of"]


def open_driver(resource: Resource, environment: Mapping[str, str] | None, link: Link) -> NATSTopic:
    """The driver of a declared topic. Raises ConfigError without an address."""
    urls, stream = read_place("topic", resource.name, environment)
    return NATSTopic(link, resource, link.server(urls), stream)


def subject_of(stream: str) -> str:
    """Where the messages of a topic's stream are published."""
    return f"portable.topic.{stream}"


def dead_stream(stream: str) -> str:
    """The stream of a topic's dead letters."""
    return f"{stream}-dead"


def dead_subject(stream: str, subscription: str) -> str:
    """Where one subscription's dead letters are."""
    return f"portable.dead.{stream}.{subscription}"


class NATSTopic(Twins):
    """One topic. See :class:`TopicCalls`."""

    def __init__(self, link: Link, resource: Resource, server: Server, stream: str) -> None:
        super().__init__(link, TopicCalls(resource, server, stream))
        self._resource = resource
        self._stream = stream
        self._subscriptions: dict[str, Twins] = {}

    def subscription(self, name: str) -> Twins:
        """See ``portable.drivers``. It has no address of its own: it is the consumer of that name."""
        server = self._calls.server
        dead = DeadLetters(server, dead_stream(self._stream), dead_subject(self._stream, name))
        calls = SubscriptionCalls(self._resource, server, self._stream, name, dead)
        return self._subscriptions.setdefault(name, Twins(self._link, calls))


class TopicCalls:
    """One topic, as coroutines."""

    def __init__(self, resource: Resource, server: Server, stream: str) -> None:
        self.label = str(resource)
        self.server = server
        self._stream = stream
        self._ordered = bool(resource.options.get("ordered"))

    async def publish(self, body: str, *, attributes: Mapping[str, str], group: str | None) -> str:
        """See ``portable.drivers``. The id is the message's number in the stream, and what subscribers see."""
        if group is not None and not self._ordered:
            raise UnsupportedError("it is not declared as ordered", resource=self.label)
        return await self._store(body, headers_of(new_name(), attributes, group=group))

    async def _store(self, body: str, headers: Mapping[str, str]) -> str:
        receipt = await self.server.store(self._stream, subject_of(self._stream), body.encode(), headers)
        return str(receipt["seq"])

    async def publish_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """See ``portable.drivers``. Receipts are awaited together."""
        return await send_each(self._store, bodies, self.label)


class SubscriptionCalls(Deliveries):
    """One subscription, as coroutines. What its filter does not fit is acknowledged as soon as it arrives."""

    _filter: Filter | None = None

    def _study(self, about: Mapping[str, Any]) -> None:
        super()._study(about)
        description = about["config"].get("description")
        self._filter = json.loads(description) if description else None

    async def _take(self, message: Any, lease: timedelta) -> Received | None:
        received = await super()._take(message, lease)
        if received is not None and self._filter is not None and not fits(self._filter, received.attributes):
            await self.server.tell(received.receipt, b"+ACK")
            return None
        return received
