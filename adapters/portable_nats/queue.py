"""Queues on JetStream. The address names a work-queue stream; the consumer ``workers`` hands its messages out."""

from __future__ import annotations

from portable.drivers import address_variable
from portable.errors import UnsupportedError
from portable_nats.deliveries import DeadLetters, Deliveries
from portable_nats.keys import read_place, tokens_of
from portable_nats.messages import fits, headers_of, new_name, send_each
from portable_nats.twins import Twins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from portable.drivers import SendFailure
    from portable.resources import Resource
    from portable_nats._sdk import Link

__all__ = ["CONSUMER", "NATSQueue", "QueueCalls", "open_driver", "subject_of"]

CONSUMER = "workers"


def open_driver(resource: Resource, environment: Mapping[str, str] | None, link: Link) -> NATSQueue:
    """The driver of a declared queue. Raises ConfigError without an address."""
    import os

    known, dead = os.environ if environment is None else environment, None
    if known.get(address_variable("deadletter", resource.name)):
        urls, stream = read_place("deadletter", resource.name, environment)
        dead = DeadLetters(link.server(urls), stream, subject_of(stream))
    urls, stream = read_place("queue", resource.name, environment)
    return NATSQueue(link, QueueCalls(resource, link.server(urls), stream, CONSUMER, dead))


def subject_of(stream: str) -> str:
    """Where the messages of a queue's stream are published."""
    return f"portable.queue.{stream}"


class NATSQueue(Twins):
    """One queue. See :class:`QueueCalls`, which says how."""

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """See ``portable.drivers``. By what the server said it takes; before it said so, by its default."""
        return fits(body, attributes, self._calls.server.largest)


class QueueCalls(Deliveries):
    """One queue, as coroutines. A message has an id of its own, so sending it again after a lost answer does no harm
    within the stream's window of duplicates.
    """

    async def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        """See ``portable.drivers``. The id is the message's number in the stream."""
        if group is not None and not self._ordered:
            raise UnsupportedError("it is not declared as ordered", resource=self.label)
        name = new_name() if dedup is None else f"d.{tokens_of(dedup)}"
        return await self._store(body, headers_of(name, attributes, group=group, delay=delay))

    async def _store(self, body: str, headers: Mapping[str, str]) -> str:
        receipt = await self.server.store(self._stream, subject_of(self._stream), body.encode(), headers)
        return str(receipt["seq"])

    async def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """See ``portable.drivers``. Receipts are awaited together."""
        return await send_each(self._store, bodies, self.label)

    async def purge(self) -> None:
        """See ``portable.drivers``. Leased messages go too."""
        await self.server.api(f"STREAM.PURGE.{self._stream}")

    async def redrive(self, limit: int | None) -> int:
        """See ``portable.drivers``. Under an id of its own, so that within the window even a crash makes no second."""
        dead, count = self._dead(), 0
        async for letter in dead.look(limit):
            name = f"y.{dead.stream}.{letter.id}"
            await self._store(letter.body, headers_of(name, letter.attributes, group=letter.group))
            await dead.remove(letter)
            count += 1
        return count
