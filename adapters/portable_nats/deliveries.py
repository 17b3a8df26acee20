"""What one consumer of a stream hands out: leases, attempts and dead letters, of queues and subscriptions alike.

A lease is NATS's delayed negative acknowledgement, sent as soon as a message arrives: the server gives the message to
another worker when the delay is over, unless it was acknowledged before. So each receive has a lease of its own, and
it holds when the worker dies.
"""

from __future__ import annotations

import asyncio

from portable.errors import ConfigError, UnsupportedError
from portable_nats._sdk import JetStreamError
from portable_nats.limits import LOOK_SECONDS
from portable_nats.messages import again, headers_of, letter_of, new_name, read
from portable_nats.together import together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.drivers import Received
    from portable.resources import Resource
    from portable_nats._sdk import Server

__all__ = ["DeadLetters", "Deliveries"]

AT_ONCE = 64  # acknowledgements that wait for their answers together
NO_MESSAGE = 10037  # err_code: no message found
GONE = (NO_MESSAGE, 10043, 10057)  # sequence not found; a delete that failed: somebody else did it


class DeadLetters:
    """The messages on one subject of a stream, which are read where they lie."""

    def __init__(self, server: Server, stream: str, subject: str) -> None:
        self.server = server
        self.stream = stream
        self._subject = subject

    async def put(self, body: str, headers: Mapping[str, str]) -> None:
        """Store one."""
        await self.server.store(self.stream, self._subject, body.encode(), headers)

    async def look(self, limit: int | None) -> AsyncIterator[Received]:
        """Each, the oldest first."""
        number, left = 1, limit
        while left is None or left > 0:
            try:
                question = {"seq": number, "next_by_subj": self._subject}
                stored = (await self.server.api(f"STREAM.MSG.GET.{self.stream}", question))["message"]
            except JetStreamError as error:
                if error.err_code == NO_MESSAGE:
                    return
                raise
            yield letter_of(stored)
            number = stored["seq"] + 1
            left = None if left is None else left - 1

    async def remove(self, letter: Received) -> None:
        """Remove one; it may be gone already."""
        try:
            await self.server.api(f"STREAM.MSG.DELETE.{self.stream}", {"seq": int(letter.id)})
        except JetStreamError as error:
            if error.err_code not in GONE:
                raise


class Deliveries:
    """One consumer, as coroutines.

    What has failed ``max_attempts`` times is stored among the dead letters, then acknowledged: a crash between the two
    is made good by whoever receives it next, under the same id. Without dead letters it comes again for ever.
    """

    def __init__(
        self, resource: Resource, server: Server, stream: str, consumer: str, dead: DeadLetters | None
    ) -> None:
        self.label = str(resource)
        self.server = server
        self._stream = stream
        self._consumer = consumer
        self._dead_letters = dead
        self._max_attempts: int = resource.options["max_attempts"]
        self._ordered = bool(resource.options.get("ordered"))
        self._known = False
        self._look_at = 0.0  # by the loop's clock: not before

    async def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """See ``portable.drivers``."""
        if not self._known:
            self._study(await self.server.api(f"CONSUMER.INFO.{self._stream}.{self._consumer}"))
            self._known = True
        if self._ordered:
            limit = 1  # a pull for more would wait for what only comes after this one is acknowledged
        loop = asyncio.get_running_loop()
        end = loop.time() + wait.total_seconds()
        while True:
            left = end - loop.time()
            messages = await self.server.pull(self._stream, self._consumer, limit, left)
            taken = [received for message in messages if (received := await self._take(message, lease)) is not None]
            if taken:
                return taken
            if not messages and loop.time() >= end:
                if self._ordered and loop.time() >= self._look_at:
                    self._look_at = loop.time() + LOOK_SECONDS
                    await self._unblock()
                return []

    async def _unblock(self) -> None:
        """Acknowledge the message under way, if the stream has it no more: only then comes what is behind it.

        A server that was killed may have removed an acknowledged message and not have written down that it was
        acknowledged. Where older messages were kept it then waits for it for ever, and with one at a time hands out
        nothing else. Servers give it up of themselves from 2.12.7 on (nats-server's pull request 7984).

        Nothing is lost or comes out of turn, also when several workers do this at once or the message is acknowledged
        meanwhile: its number is never given again, and an acknowledgement of what is not under way does nothing.
        """
        about = await self.server.api(f"CONSUMER.INFO.{self._stream}.{self._consumer}")
        if not (about["num_ack_pending"] and about["num_pending"]):  # nothing is held back
            return
        number = about["delivered"]["stream_seq"]  # one at a time: what is under way is what was delivered last
        try:
            await self.server.api(f"STREAM.MSG.GET.{self._stream}", {"seq": number})
        except JetStreamError as error:
            if error.err_code != NO_MESSAGE:
                raise
            # As the reply of a delivery: its count, the numbers in the stream and among the deliveries, time, pending.
            # The server goes by the number in the stream; no delivery has the number 0, so it takes it for no other.
            await self.server.request(f"$JS.ACK.{self._stream}.{self._consumer}.1.{number}.0.0.0", b"+ACK")

    def _study(self, about: Mapping[str, Any]) -> None:
        """Look at the consumer before it is used for the first time."""
        if self._ordered and about["config"].get("max_ack_pending") != 1:
            raise ConfigError(
                f"{self.label} is declared as ordered, so the consumer {self._consumer} of stream {self._stream} "
                "has to have max_ack_pending 1: one message at a time; portable_nats.provision makes it so"
            )

    async def _take(self, message: Any, lease: timedelta) -> Received | None:
        """The message, hidden for its lease; None when it is not due yet, or has failed too often."""
        received, wait = read(message)
        if wait > 0:
            await self.server.tell(received.receipt, again(wait))
            return None
        if received.attempt > self._max_attempts and self._dead_letters:  # the last worker went away without a word
            await self._bury(received, self._dead_letters)
            return None
        await self.server.tell(received.receipt, again(lease.total_seconds()))
        return received

    async def acknowledge(self, received: Received) -> None:
        """See ``portable.drivers``. The server confirms it; within the lease or not, the message is gone then."""
        await self.server.request(received.receipt, b"+ACK")

    async def acknowledge_many(self, batch: Sequence[Received]) -> None:
        """Like :meth:`acknowledge` for each, together."""
        await together(self.acknowledge, batch, AT_ONCE)

    async def retry(self, received: Received, after: timedelta | None) -> None:
        """See ``portable.drivers``."""
        if received.attempt >= self._max_attempts and self._dead_letters:
            await self._bury(received, self._dead_letters)
            return
        await self.server.request(received.receipt, again(0.0 if after is None else after.total_seconds()))

    async def extend(self, received: Received, lease: timedelta) -> None:
        """See ``portable.drivers``. After the lease ended this may do nothing."""
        await self.server.request(received.receipt, again(lease.total_seconds()))

    async def depth(self) -> int:
        """See ``portable.drivers``. By what the consumer has not seen acknowledged. A server that was killed may keep
        messages that were, and count for a while what was under way.
        """
        about = await self.server.api(f"CONSUMER.INFO.{self._stream}.{self._consumer}")
        return int(about["num_pending"]) + int(about["num_ack_pending"])

    async def _bury(self, received: Received, dead: DeadLetters) -> None:
        name = f"x.{self._stream}.{self._consumer}.{received.id}"
        await dead.put(received.body, headers_of(name, received.attributes, group=received.group))
        await self.acknowledge(received)

    async def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """See ``portable.drivers``."""
        await self._dead().put(body, headers_of(new_name(), attributes))

    async def dead_letters(self, limit: int) -> list[Received]:
        """See ``portable.drivers``. A look: they are read where they lie."""
        return [letter async for letter in self._dead().look(limit)]

    def _dead(self) -> DeadLetters:
        if self._dead_letters is None:
            raise UnsupportedError("it has no dead letters here", resource=self.label)
        return self._dead_letters
