"""Queues on JetStream. The address names a work-queue stream; the consumer ``workers`` hands its messages out.

A lease is NATS's delayed negative acknowledgement, sent as soon as a message arrives: the server gives the message to
another worker when the delay is over, unless it was acknowledged before. So each receive has a lease of its own, and
it holds when the worker dies.
"""

from __future__ import annotations

import asyncio
import json
from secrets import token_hex
from time import time

from portable.drivers import Received, SendFailure, address_variable
from portable.errors import ConfigError, UnsupportedError
from portable_nats._sdk import JetStreamError
from portable_nats.errors import translate
from portable_nats.keys import read_place, tokens_of
from portable_nats.twins import Twins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.resources import Resource
    from portable_nats._sdk import Link

__all__ = ["CONSUMER", "NATSQueue", "QueueCalls", "open_driver", "subject_of"]

CONSUMER = "workers"
AT_ONCE = 64  # messages of a send_many that wait for their receipts together
HEADER_BYTES = 256  # the headers of a message, but for its attributes
ATTRIBUTES = "Portable-Attributes"
DELAY = "Portable-Delay"
GROUP = "Portable-Group"


def open_driver(resource: Resource, environment: Mapping[str, str] | None, link: Link) -> Twins:
    """The driver of a declared queue. Raises ConfigError without an address."""
    import os

    name = resource.name
    known = os.environ if environment is None else environment
    dead = read_place("deadletter", name, environment) if known.get(address_variable("deadletter", name)) else None
    calls = QueueCalls(resource, read_place("queue", name, environment), dead, link)
    return NATSQueue(link, calls)


class NATSQueue(Twins):
    """One queue. See :class:`QueueCalls`, which says how."""

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """See ``portable.drivers``. By what the server said it takes; before it said so, by its default."""
        taken = len(body.encode()) + HEADER_BYTES + (len(json.dumps(dict(attributes))) if attributes else 0)
        largest: int = self._calls.server.largest
        return taken <= largest


def subject_of(stream: str) -> str:
    """Where the messages of a queue's stream are published."""
    return f"portable.queue.{stream}"


class QueueCalls:
    """One queue, as coroutines.

    A message is sent under an id of its own, so sending it again after a lost answer does no harm within the stream's
    window of duplicates. What has failed ``max_attempts`` times is published to the dead letters, then acknowledged: a
    crash between the two is made good by whoever receives it next, under the same id.
    """

    def __init__(self, resource: Resource, place: tuple[str, str], dead: tuple[str, str] | None, link: Link) -> None:
        self.label = str(resource)
        self._max_attempts: int = resource.options["max_attempts"]
        self._ordered = bool(resource.options.get("ordered"))
        self._order_kept = False
        self.server = link.server(place[0])
        self._stream = place[1]
        self._dead_server = link.server(dead[0]) if dead else None
        self._dead_stream = dead[1] if dead else ""

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
        headers = _headers(f"r.{token_hex(12)}" if dedup is None else f"d.{tokens_of(dedup)}", attributes)
        if group is not None:
            headers[GROUP] = json.dumps(group)
        if delay is not None and delay.total_seconds() > 0:
            headers[DELAY] = str(-int(-delay.total_seconds() * 1000 // 1))
        return await self._store(body, headers)

    async def _store(self, body: str, headers: Mapping[str, str]) -> str:
        receipt = await self.server.store(self._stream, subject_of(self._stream), body.encode(), headers)
        return str(receipt["seq"])

    async def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """See ``portable.drivers``. Receipts are awaited together."""
        failures: list[SendFailure] = []

        async def send(index: int, body: str) -> None:
            try:
                await self._store(body, _headers(f"r.{token_hex(12)}", {}))
            except Exception as error:
                ours = translate(error, self.label)
                ours.__cause__ = error
                failures.append(SendFailure(index, ours))

        for start in range(0, len(bodies), AT_ONCE):
            chunk = bodies[start : start + AT_ONCE]
            await asyncio.gather(*(send(start + index, body) for index, body in enumerate(chunk)))
        if len(failures) == len(bodies) > 0 and not isinstance(failures[0].error, UnsupportedError):
            raise failures[0].error
        return sorted(failures, key=lambda failure: failure.index)

    async def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """See ``portable.drivers``."""
        if self._ordered and not self._order_kept:
            await self._check_order()
        loop = asyncio.get_running_loop()
        end = loop.time() + wait.total_seconds()
        while True:
            left = end - loop.time()
            messages = await self.server.pull(self._stream, CONSUMER, limit, left)
            taken = [received for message in messages if (received := await self._take(message, lease)) is not None]
            if taken or (not messages and loop.time() >= end):
                return taken

    async def _check_order(self) -> None:
        about = await self.server.api(f"CONSUMER.INFO.{self._stream}.{CONSUMER}")
        if about["config"].get("max_ack_pending") != 1:
            raise ConfigError(
                f"{self.label} is declared as ordered, so the consumer {CONSUMER} of stream {self._stream} has to have "
                "max_ack_pending 1: one message at a time; portable_nats.provision makes it so"
            )
        self._order_kept = True

    async def _take(self, message: Any, lease: timedelta) -> Received | None:
        """The message, hidden for its lease; None when it is not due yet, or has failed too often."""
        received, wait = _read(message)
        if wait > 0:
            await self._delay(received.receipt, wait)
            return None
        if received.attempt > self._max_attempts and self._dead_server:  # the last worker went away without a word
            await self._bury(received)
            return None
        await self._delay(received.receipt, lease.total_seconds())
        return received

    async def _delay(self, receipt: str, seconds: float) -> None:
        await self.server.tell(receipt, _again(seconds))

    async def acknowledge(self, received: Received) -> None:
        """See ``portable.drivers``. The server confirms it; within the lease or not, the message is gone then."""
        await self.server.request(received.receipt, b"+ACK")

    async def retry(self, received: Received, after: timedelta | None) -> None:
        """See ``portable.drivers``."""
        if received.attempt >= self._max_attempts and self._dead_server:
            await self._bury(received)
            return
        seconds = 0.0 if after is None else after.total_seconds()
        await self.server.request(received.receipt, _again(seconds) if seconds > 0 else b"-NAK")

    async def _bury(self, received: Received) -> None:
        name = f"x.{self._stream}.{received.id}"
        await self._store_dead(received.body, _headers(name, received.attributes))
        await self.acknowledge(received)

    async def extend(self, received: Received, lease: timedelta) -> None:
        """See ``portable.drivers``. After the lease ended this may do nothing."""
        await self.server.request(received.receipt, _again(lease.total_seconds()))

    async def depth(self) -> int:
        """See ``portable.drivers``. Exact."""
        state = (await self.server.api(f"STREAM.INFO.{self._stream}"))["state"]
        return int(state["messages"])

    async def purge(self) -> None:
        """See ``portable.drivers``. Leased messages go too."""
        await self.server.api(f"STREAM.PURGE.{self._stream}")

    async def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """See ``portable.drivers``."""
        await self._store_dead(body, _headers(f"r.{token_hex(12)}", attributes))

    async def _store_dead(self, body: str, headers: Mapping[str, str]) -> None:
        server = self._dead()
        await server.store(self._dead_stream, subject_of(self._dead_stream), body.encode(), headers)

    async def dead_letters(self, limit: int) -> list[Received]:
        """See ``portable.drivers``. A look: they are read where they lie."""
        return [letter async for letter in self._letters(limit)]

    async def redrive(self, limit: int | None) -> int:
        """See ``portable.drivers``. Under an id of its own, so that within the window even a crash makes no second."""
        server = self._dead()
        count = 0
        async for letter in self._letters(limit):
            await self._store(letter.body, _headers(f"y.{self._dead_stream}.{letter.id}", letter.attributes))
            try:
                await server.api(f"STREAM.MSG.DELETE.{self._dead_stream}", {"seq": int(letter.id)})
            except JetStreamError as error:
                if error.err_code not in GONE:
                    raise
            count += 1
        return count

    async def _letters(self, limit: int | None) -> AsyncIterator[Received]:
        from base64 import b64decode

        server = self._dead()
        number, left = 1, limit
        while left is None or left > 0:
            try:
                question = {"seq": number, "next_by_subj": subject_of(self._dead_stream)}
                answer = (await server.api(f"STREAM.MSG.GET.{self._dead_stream}", question))["message"]
            except JetStreamError as error:
                if error.err_code == NO_MESSAGE:
                    break
                raise
            number = answer["seq"] + 1
            headers = _parse(b64decode(answer.get("hdrs", "")))
            body = b64decode(answer.get("data", "")).decode()
            yield Received(str(answer["seq"]), body, None, _attributes(headers), sent_at=_instant(answer["time"]))
            left = None if left is None else left - 1

    def _dead(self) -> Any:
        if self._dead_server is None:
            raise UnsupportedError("the queue has no dead-letter queue here", resource=self.label)
        return self._dead_server


NO_MESSAGE = 10037  # err_code: no message found
GONE = (NO_MESSAGE, 10043, 10057)  # sequence not found; a delete that failed: somebody else did it


def _again(seconds: float) -> bytes:
    """To be delivered again after a while, in whole milliseconds and not before."""
    return b'-NAK {"delay": %d}' % (-int(-seconds * 1000 // 1) * 1_000_000)


def _headers(name: str, attributes: Mapping[str, str]) -> dict[str, str]:
    headers = {"Nats-Msg-Id": name}
    if attributes:
        headers[ATTRIBUTES] = json.dumps(dict(attributes))  # ASCII: what a header can hold
    return headers


def _attributes(headers: Mapping[str, str] | None) -> dict[str, str]:
    text = (headers or {}).get(ATTRIBUTES)
    return json.loads(text) if text else {}


def _parse(raw: bytes) -> dict[str, str]:
    """Headers as a stream keeps them: ``NATS/1.0`` and a line each."""
    rows = (line.partition(":") for line in raw.decode().split("\r\n")[1:] if line)
    return {name: value.strip() for name, _, value in rows}


def _instant(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


def _read(message: Any) -> tuple[Received, float]:
    """The message, and for how many seconds it is to wait still.

    The deliveries that only found out that it is not due are no attempts. There is one, as a rule; none when the
    queue was behind by more than the delay.
    """
    about = message.metadata
    headers = message.headers or {}
    attempt = about.num_delivered
    wait = 0.0
    if DELAY in headers:
        wait = about.timestamp.timestamp() + int(headers[DELAY]) / 1000 - time()
        attempt = max(1, attempt - 1)
    received = Received(
        str(about.sequence.stream),
        message.data.decode(),
        message.reply,
        _attributes(headers),
        attempt,
        about.timestamp,
        json.loads(headers[GROUP]) if GROUP in headers else None,
    )
    return received, wait
