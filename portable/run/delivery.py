"""The cloud's part between a bucket, a queue or a table and a function, played here.

**This delivery is an imitation.** What stands between a queue and a function in a cloud (Lambda's poller, Pub/Sub push,
the Azure Functions host) exists on no development machine. The queue itself, the storage protocol, the event's native
form, the codec and the runtime client are real; that a message is taken from the one and handed to the other, and what
becomes of it after that, is the code below. Where it differs from a cloud:

* a failed message comes back at once; after ``Retry(after=…)``, or the ``Backoff`` of its queue, then; but a ``Retry``
  that only the function and the queue know of (AWS: a change of its visibility) still comes back at once;
* blob events and changes of tables are found by comparing two listings: what was written and deleted between them is
  not seen, two writes of one key are one event, and a change has its old item on every cloud;
* a blob event or a change is tried ``BLOB_ATTEMPTS`` times and then dropped, as AWS does with an asynchronous
  invocation; other clouds, and DynamoDB's stream, go on for longer, and a stream waits with the changes behind it;
* a stream is read from its beginning, whatever ``start=`` says, one batch of a partition at a time; a record that fails
  is given up alone, see ``portable.run.streams``;
* a topic's filter is looked at here too, for emulators that keep filters and do not heed them;
* nothing is delivered twice, though every cloud may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import msgspec

from portable.drivers import BlobInfo, BucketDriver, Platform, Received, StreamDriver, SubscriptionDriver
from portable.drivers.table import Schema
from portable.errors import PortableError, UnsupportedError
from portable.events import BlobEvent, Change, Message
from portable.events.records import StreamRecord
from portable.manifest import FunctionRecord, Manifest, ResourceRecord, TriggerRecord
from portable.resources import Resource
from portable.resources.backoff import Backoff
from portable.resources.bucket import Bucket
from portable.resources.filters import fits
from portable.resources.queue import Queue
from portable.resources.stream import Stream
from portable.resources.table import Table
from portable.resources.topic import Topic
from portable.run.changes import TableWatch
from portable.run.streams import PartitionReader
from portable.samples import Event, Outcome

__all__ = [
    "BLOB_ATTEMPTS",
    "Delivery",
    "Failure",
    "NotSettledError",
    "Settled",
    "open_resource",
    "receiver",
    "resource_of",
]

BLOB_ATTEMPTS = 3
"""Deliveries of one blob event before it is dropped: AWS's two retries of an asynchronous invocation."""

FRESH_ROUNDS = 100
"""Rounds with a new event in each before the app is taken for a loop."""

CONFIRM = timedelta(milliseconds=200)
"""How long an empty queue is listened to before it counts as empty: Pub/Sub may answer "nothing" while it has some."""

AT_ONCE = 1000
"""Messages taken from a queue in one round."""

_LEASE = timedelta(minutes=10)  # the longest Pub/Sub has
_NOW = timedelta(0)


class NotSettledError(PortableError):
    """Events went on and on: a loop, or more work than the time allowed."""


class Failure(msgspec.Struct, frozen=True):
    """One delivery that failed. ``subject``: message id or ``bucket/key``; ``given_up``: no further attempt."""

    function: str
    subject: str
    attempt: int
    error: str
    given_up: bool


class Settled(msgspec.Struct):
    """What a run of deliveries came to. ``delivered`` counts events that a function took."""

    delivered: int = 0
    failures: list[Failure] = []


Call = Callable[[FunctionRecord, Event], Outcome]
"""How an event reaches a function. It does not raise: what went wrong is the outcome's ``error``."""


class Delivery:
    """Plays one app's deliveries over a platform. Not safe under threads: one at a time."""

    def __init__(
        self,
        manifest: Manifest,
        platform: Platform,
        call: Call,
        *,
        batch_limit: int | None = None,
        confirm: timedelta = CONFIRM,
    ) -> None:
        self._call = call
        self._batch_limit = batch_limit
        self._confirm = confirm
        self._lines = [
            _Line(function, trigger, manifest.resource(*trigger.source), platform)
            for function, trigger in _triggers(manifest, "message")
        ]
        watched = {trigger.options["bucket"] for _, trigger in _triggers(manifest, "blob")}
        self._event_functions = [function for function in manifest.functions if function.kind in ("blob", "change")]
        self._watches: list[_Watch | TableWatch] = [
            _Watch(name, open_resource(platform, manifest.resource("bucket", name))) for name in sorted(watched)
        ]
        for name in sorted({trigger.options["table"] for _, trigger in _triggers(manifest, "change")}):
            record = manifest.resource("table", name)
            self._watches.append(TableWatch(name, Schema(record.options), open_resource(platform, record)))
        self._streams = [
            _StreamLine(function, trigger, open_resource(platform, manifest.resource(*trigger.source)))
            for function, trigger in _triggers(manifest, "stream")
        ]
        self._waiting: list[_EventTry] = []
        self._attempts: dict[str, int] = {}

    def forget(self) -> None:
        """Take what the buckets and streams hold now as known, and drop the retries that wait."""
        for watch in self._watches:
            watch.changes()
        for stream in self._streams:
            stream.skip()
        self._waiting.clear()
        self._attempts.clear()

    def settle(self, timeout: float = 30.0) -> Settled:
        """Deliver until every queue with a function is empty and no bucket changes any more.

        Messages whose delay, or whose ``Retry(after=…)``, has not passed are not waited for.

        Raises:
            NotSettledError: it took longer than ``timeout`` seconds, or every round of ``FRESH_ROUNDS`` brought new
                events, as it does when a handler writes to the bucket or queue that triggers it.
        """
        limit = time.monotonic() + timeout
        result = Settled()
        fresh_rounds = 0
        while True:
            before = result.delivered + len(result.failures)
            fresh = self.round(result, _NOW)
            if result.delivered + len(result.failures) == before and not self._waiting:
                fresh = self.round(result, self._confirm) if self._confirm else ""
                if result.delivered + len(result.failures) == before and not self._waiting:
                    return result
            fresh_rounds += bool(fresh)
            if fresh_rounds > FRESH_ROUNDS:
                raise NotSettledError(
                    f"after {FRESH_ROUNDS} rounds there is still a new event for {fresh}; does the handler write to "
                    "the bucket or queue that triggers it? Write elsewhere, or give the trigger a prefix"
                )
            if time.monotonic() > limit:
                raise NotSettledError(f"deliveries went on for {timeout:g} s; {_last(result)}")

    def round(self, result: Settled, wait: timedelta = _NOW) -> str:
        """Deliver what is there now, once. Returns what the last new event was, "" when there was none."""
        fresh = ""
        for watch in self._watches:
            for event in watch.changes():
                for function in self._event_functions:
                    if _wants(function, event):
                        self._waiting.append(_EventTry(function, event))
        tries, self._waiting = self._waiting, []
        for one in tries:
            if one.attempt == 1:
                fresh = f"{one.function.name}: {_in_words(one.event)} {one.event.kind}"
            self._deliver_event(one, result)
        for line in self._lines:
            size = min(line.batch_size, self._batch_limit or line.batch_size)
            # All of them first: what a handler sends meanwhile belongs to the next round, so that a loop shows.
            there = line.wanted(_take(line.driver, wait))
            for start in range(0, len(there), size):
                fresh = self._deliver_batch(line, there[start : start + size], result) or fresh
        for stream in self._streams:
            for reader in stream.readers:
                if batch := reader.read():
                    fresh = self._deliver_records(stream.function, reader, batch, result) or fresh
        return fresh

    def _deliver_records(
        self, function: FunctionRecord, reader: PartitionReader, batch: list[StreamRecord[bytes]], result: Settled
    ) -> str:
        outcome = self._call(function, batch)
        failed = batch[0].offset if outcome.error is not None else None
        for identity in outcome.failed:
            failed = identity.rpartition("/")[2]
        subject = f"{batch[0].stream}/{reader.partition}/"
        attempt = 1 if failed is not None and failed != batch[0].offset else reader.attempt
        new = reader.attempt == 1
        given_up = reader.settle(batch, failed)
        for record in batch:
            if record.offset == failed:
                error = outcome.error or "the function asks for it again"
                result.failures.append(
                    Failure(function.name, subject + record.offset, attempt, error, given_up is not None)
                )
                break
            result.delivered += 1
        return f"{function.name}: a record of stream {batch[0].stream}" if new else ""

    def _deliver_event(self, one: _EventTry, result: Settled) -> None:
        outcome = self._call(one.function, one.event)
        if outcome.error is None:
            result.delivered += 1
            return
        given_up = one.attempt >= BLOB_ATTEMPTS
        result.failures.append(Failure(one.function.name, one.subject, one.attempt, outcome.error, given_up))
        if not given_up:
            self._waiting.append(_EventTry(one.function, one.event, one.attempt + 1))

    def _deliver_batch(self, line: _Line, batch: list[Received], result: Settled) -> str:
        function = line.function
        attempts = {one.id: self._attempt(line.key, one) for one in batch}
        messages = [
            Message(one.id, one.body, one.attributes, attempts[one.id], one.sent_at, one.group, one) for one in batch
        ]
        outcome = self._call(function, messages)
        failed = set(attempts) if outcome.error is not None else set(outcome.failed)
        for one in batch:
            if one.id not in failed:
                line.driver.acknowledge(one)
                result.delivered += 1
                self._attempts.pop(f"{line.key}/{one.id}", None)
                continue
            given_up = attempts[one.id] >= line.max_attempts
            error = outcome.error or "the function asks for it again"
            result.failures.append(Failure(function.name, one.id, attempts[one.id], error, given_up))
            after = outcome.after.get(one.id)
            if after is None and line.backoff is not None:  # the queue's own policy
                after = line.backoff.after(attempts[one.id]).total_seconds()
            self._give_back(line.driver, one, given_up, after)
        new = [one.id for one in batch if attempts[one.id] == 1]
        return f"{function.name}: message {new[-1]} of {line.source}" if new else ""

    def _attempt(self, line: str, received: Received) -> int:
        """Which attempt this is. The queue says it; one that does not count is counted for."""
        key = f"{line}/{received.id}"
        self._attempts[key] = max(received.attempt, self._attempts.get(key, 0) + 1)
        return self._attempts[key]

    @staticmethod
    def _give_back(queue: SubscriptionDriver, received: Received, given_up: bool, after: float | None) -> None:
        if not given_up:
            queue.retry(received, None if after is None else timedelta(seconds=after))
            return
        queue.dead_letter(received.body, received.attributes)
        queue.acknowledge(received)


class _Line:
    """What one function takes of a queue, or its subscription of a topic. ``function`` has this trigger alone."""

    def __init__(
        self, function: FunctionRecord, trigger: TriggerRecord, resource: ResourceRecord, platform: Platform
    ) -> None:
        self.function = msgspec.structs.replace(function, triggers=[trigger])
        self.source = f"{resource.kind} {resource.name}"
        self.batch_size: int = trigger.options["batch_size"]
        self.filter = trigger.options.get("filter")
        self.max_attempts: int = resource.options["max_attempts"]
        self.backoff = Backoff.of_options(resource.options["retry"]) if "retry" in resource.options else None
        self.driver = receiver(platform, resource, function.name)
        self.key = f"{trigger.key}/{function.name}"

    def wanted(self, there: list[Received]) -> list[Received]:
        """What passes the function's filter; the rest is acknowledged."""
        if self.filter is None:
            return there
        for one in there:
            if not fits(self.filter, one.attributes):
                self.driver.acknowledge(one)
        return [one for one in there if fits(self.filter, one.attributes)]


class _StreamLine:
    """What one function takes of a stream. ``function`` has this trigger alone."""

    def __init__(self, function: FunctionRecord, trigger: TriggerRecord, driver: StreamDriver) -> None:
        self.function = msgspec.structs.replace(function, triggers=[trigger])
        name = trigger.options["stream"]
        self.readers = [PartitionReader(driver, name, one, trigger.options) for one in driver.partitions()]

    def skip(self) -> None:
        """Take every record there is as dealt with."""
        for reader in self.readers:
            while batch := reader.read():
                reader.settle(batch, None)


class _EventTry:
    """One blob event, or one change of a table, for one function."""

    def __init__(self, function: FunctionRecord, event: BlobEvent | Change[Any], attempt: int = 1) -> None:
        self.function = function
        self.event = event
        self.attempt = attempt
        self.subject = f"{event.bucket if isinstance(event, BlobEvent) else event.table}/{event.key}"


class _Watch:
    """What a bucket held when it was last looked at."""

    def __init__(self, name: str, driver: BucketDriver) -> None:
        self.name = name
        self._driver = driver
        self._known: dict[str, tuple[Any, ...]] = {}
        self.changes()

    def changes(self) -> list[BlobEvent]:
        """An event for each difference since the last look, in order of the keys."""
        now: dict[str, BlobInfo] = {info.key: info for info in self._driver.list("", None)}
        known, self._known = self._known, {key: (info.etag, info.time, info.size) for key, info in now.items()}
        events = [
            BlobEvent("created", self.name, key, info.size, info.etag, info.time)
            for key, info in now.items()
            if known.get(key) != self._known[key]
        ]
        return events + [BlobEvent("deleted", self.name, key) for key in known if key not in now]


def resource_of(record: ResourceRecord) -> Resource:
    """The declaration a record was made from. Raises UnsupportedError for a kind this cannot open."""
    if record.kind == "bucket":
        return Bucket(record.name)
    if record.kind == "queue":
        return Queue(record.name, **_arguments(record.options))
    if record.kind == "topic":
        return Topic(record.name, **_arguments(record.options))
    if record.kind == "stream":
        return Stream(record.name, **record.options)
    if record.kind == "table":
        return Table.of_options(record.name, {name: _frozen(one) for name, one in record.options.items()})
    raise UnsupportedError(f"{record.kind} {record.name}: buckets, queues, topics and tables are looked into here")


def _frozen(value: Any) -> Any:
    """With tuples for the lists that JSON made of them: platforms know resources by their options."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    found = dict(options)
    if "large" in options:
        found["large"] = Bucket(options["large"])
    if "retry" in options:
        found["retry"] = Backoff.of_options(options["retry"])
    return found


def open_resource(platform: Platform, record: ResourceRecord) -> Any:
    """The driver of a manifest's resource."""
    return platform.open(resource_of(record))


def receiver(platform: Platform, record: ResourceRecord, function: str) -> SubscriptionDriver:
    """What a function's messages are received from: the queue, or its own subscription of the topic."""
    driver: Any = open_resource(platform, record)
    found: SubscriptionDriver = driver.subscription(function) if record.kind == "topic" else driver
    return found


def _triggers(manifest: Manifest, kind: str) -> Iterable[tuple[FunctionRecord, TriggerRecord]]:
    return [
        (function, trigger) for function in manifest.functions for trigger in function.triggers if trigger.kind == kind
    ]


def _take(queue: SubscriptionDriver, wait: timedelta) -> list[Received]:
    """Every message there is, up to ``AT_ONCE``."""
    there = queue.receive(10, wait, _LEASE)
    more = bool(there)
    while more and len(there) < AT_ONCE:
        batch = queue.receive(10, _NOW, _LEASE)
        there += batch
        more = bool(batch)
    return there


def _wants(function: FunctionRecord, event: BlobEvent | Change[Any]) -> bool:
    if isinstance(event, Change):
        return any(
            trigger.options.get("table") == event.table and (trigger.options["old"] or event.kind != "delete")
            for trigger in function.triggers
        )
    return function.kind == "blob" and any(
        trigger.options["bucket"] == event.bucket
        and event.kind in trigger.options["kinds"]
        and event.key.startswith(trigger.options["prefix"])
        and event.key.endswith(trigger.options["suffix"])
        for trigger in function.triggers
    )


def _in_words(event: BlobEvent | Change[Any]) -> str:
    if isinstance(event, Change):
        return f"item {event.key!r} of table {event.table}"
    return f"blob {event.key!r} of bucket {event.bucket}"


def _last(result: Settled) -> str:
    if not result.failures:
        return f"{result.delivered} events were taken"
    last = result.failures[-1]
    return f"the last failure was {last.function} on {last.subject}: {last.error}"
