"""Queues on Pub/Sub: a topic, and a subscription that shares its messages among workers.

Addresses: ``projects/P/topics/T``; the subscription is ``projects/P/subscriptions/T``, or what ``?subscription=`` says
(``projects/P/topics/T?subscription=projects/P/subscriptions/S``). Dead letters have a topic of their own, in the
same form, in ``PORTABLE_DEADLETTER_<NAME>``.

A message's group is its ordering key. Pub/Sub has no delay and no deduplication by id on a topic: UnsupportedError.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from threading import Lock

from portable.drivers import Received, SendFailure, address_variable, read_address
from portable.errors import ConfigError, UnsupportedError
from portable_gcp import _sdk
from portable_gcp.errors import translate
from portable_gcp.limits import ACK_DEADLINE_MAX, PUBLISH_BYTES, PUBLISH_MESSAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from portable.resources import Resource

__all__ = ["PubSubQueue", "parse_address", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> PubSubQueue:
    """The driver of a declared queue. Raises ConfigError without an address."""
    dead_letters = environment.get(address_variable("deadletter", resource.name)) or None
    address = read_address("queue", resource.name, environment)
    return PubSubQueue(resource.name, address, dead_letters, environment, resource.options)


_MOVED = "CloudPubSubDeadLetterSource"  # https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic
TIMEOUT = 30.0  # seconds a call may take
_REDRIVE = 100  # dead letters taken at once to be sent again
_OVERHEAD = 64  # bytes a message takes in a request beside its body, rounded up


def parse_address(address: str) -> tuple[str, str]:
    """Topic and subscription of an address. Raises ConfigError."""
    topic, _, query = address.partition("?")
    parts = topic.split("/")
    if len(parts) != 4 or parts[0] != "projects" or parts[2] != "topics" or not parts[1] or not parts[3]:
        raise ConfigError(f"queue address {address!r} is not 'projects/PROJECT/topics/TOPIC'")
    subscription = f"projects/{parts[1]}/subscriptions/{parts[3]}"
    if query:
        from urllib.parse import unquote

        name, _, value = query.partition("=")
        if name != "subscription" or not value.startswith("projects/"):
            raise ConfigError(
                f"queue address {address!r}: after '?' comes subscription=projects/PROJECT/subscriptions/S"
            )
        subscription = unquote(value)
    return topic, subscription


class PubSubQueue:
    """See ``portable.drivers.QueueDriver``. Safe under threads: the clients are.

    Args:
        name: as declared. address, dead_letters: see the module. environment: where clients find their endpoint.
        label: what errors call it. A topic, and a subscription of one, are such queues under another name.
    """

    def __init__(
        self,
        name: str,
        address: str,
        dead_letters: str | None,
        environment: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
        *,
        label: str | None = None,
    ) -> None:
        self._resource = label or f"queue {name}"
        self._options = options or {}
        self._topic, self._subscription = parse_address(address)
        self._dead = None if dead_letters is None else parse_address(dead_letters)
        self._environment = environment
        self._lock = Lock()
        self._publishing: Any = None
        self._subscribing: Any = None

    # --- sending

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        """Publish one message; its id means that Pub/Sub holds it."""
        if delay:
            raise UnsupportedError("Pub/Sub cannot delay a message", resource=self._resource)
        if dedup is not None or self._options.get("dedup"):
            raise UnsupportedError("Pub/Sub has no deduplication id", resource=self._resource)
        message: dict[str, Any] = {"data": body.encode(), "attributes": dict(attributes)}
        if group is not None:
            message["ordering_key"] = group
        return self._publish(self._topic, [message])[0]

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """Ten million bytes, with all that goes with them."""
        named = sum(len(name.encode()) + len(value.encode()) + _OVERHEAD for name, value in attributes.items())
        return len(body.encode()) + named + _OVERHEAD <= PUBLISH_BYTES

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """Publish in as few requests as Pub/Sub takes. A request is accepted whole or not at all."""
        refused: list[SendFailure] = []
        for chunk in _chunks(bodies, refused, self._resource):
            self._publish(self._topic, [{"data": data} for data in chunk])
        return refused

    def _publish(self, topic: str, messages: list[dict[str, Any]]) -> list[str]:
        # No retry: after a failure nobody knows whether the message was accepted, and the caller decides.
        request = {"topic": topic, "messages": messages}
        answer = self._do(lambda: self._publisher().publish(request=request, retry=None, timeout=TIMEOUT))
        return list(answer.message_ids)

    # --- receiving

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """Pull. A lease is at most 600 seconds on Pub/Sub; a longer one raises UnsupportedError."""
        seconds = self._deadline(lease)
        taken = self._pull(self._subscription, limit, wait)
        if taken:
            self._set_deadline(self._subscription, [one.ack_id for one in taken], seconds)
        return [_received(one) for one in taken]

    def acknowledge(self, received: Received) -> None:
        """The message is done."""
        self._acknowledge(self._subscription, [received.receipt])

    def acknowledge_many(self, batch: Sequence[Received]) -> None:
        """A thousand a call: a request has at most 524,288 bytes, and a receipt some two hundred."""
        for start in range(0, len(batch), PUBLISH_MESSAGES):
            self._acknowledge(self._subscription, [one.receipt for one in batch[start : start + PUBLISH_MESSAGES]])

    def _acknowledge(self, subscription: str, receipts: list[str]) -> None:
        request = {"subscription": subscription, "ack_ids": receipts}
        self._do(lambda: self._subscriber().acknowledge(request=request, timeout=TIMEOUT))

    def retry(self, received: Received, after: timedelta | None) -> None:
        """Give it back. ``after`` is at most 600 seconds: it is the rest of the lease."""
        seconds = 0 if after is None else self._deadline(after)
        self._set_deadline(self._subscription, [received.receipt], seconds)

    def extend(self, received: Received, lease: timedelta) -> None:
        """At most 600 seconds from now. Pub/Sub does not say whether the lease had ended."""
        self._set_deadline(self._subscription, [received.receipt], self._deadline(lease))

    def depth(self) -> int:
        """Pub/Sub tells it to Cloud Monitoring alone, minutes late: UnsupportedError."""
        raise UnsupportedError(
            "Pub/Sub counts no messages; ask Cloud Monitoring for subscription/num_undelivered_messages",
            resource=self._resource,
        )

    def purge(self) -> None:
        """Seek to now: what was published before counts as acknowledged. Pub/Sub takes a minute to heed it."""
        request = {"subscription": self._subscription, "time": datetime.now(UTC)}
        self._do(lambda: self._subscriber().seek(request=request, timeout=TIMEOUT))

    def _pull(self, subscription: str, limit: int, wait: timedelta) -> list[Any]:
        # Pub/Sub waits as long as the call may take. Below a second an idle connection alone would use it up.
        seconds = max(1.0, wait.total_seconds())
        request = {"subscription": subscription, "max_messages": limit}

        def pull() -> list[Any]:
            try:
                answer = self._subscriber().pull(request=request, retry=None, timeout=seconds)
            except Exception as error:
                if type(error).__name__ == "DeadlineExceeded":
                    return []
                raise
            return list(answer.received_messages)

        taken: list[Any] = self._do(pull)
        return taken

    def _set_deadline(self, subscription: str, receipts: list[str], seconds: int) -> None:
        request = {"subscription": subscription, "ack_ids": receipts, "ack_deadline_seconds": seconds}
        self._do(lambda: self._subscriber().modify_ack_deadline(request=request, timeout=TIMEOUT))

    def _deadline(self, duration: timedelta) -> int:
        seconds = -int(-duration.total_seconds() // 1)  # rounded up: at least as long as asked
        if seconds > ACK_DEADLINE_MAX:
            raise UnsupportedError(
                f"Pub/Sub hides a message for at most {ACK_DEADLINE_MAX} s, {seconds} s were asked",
                resource=self._resource,
            )
        return seconds

    # --- dead letters

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        """Publish to the dead-letter topic."""
        self._publish(self._dead_address()[0], [{"data": body.encode(), "attributes": dict(attributes)}])

    def dead_letters(self, limit: int) -> list[Received]:
        """Pull from the dead-letter subscription and give back at once."""
        _, subscription = self._dead_address()
        taken = self._pull(subscription, limit, timedelta(0))
        if taken:
            self._set_deadline(subscription, [one.ack_id for one in taken], 0)
        return [_letter(one) for one in taken]

    def redrive(self, limit: int | None) -> int:
        """See ``portable.drivers``. An empty answer to a pull ends it, which proves little: ask again for the rest."""
        _, subscription = self._dead_address()
        moved = 0
        while limit is None or moved < limit:
            taken = self._pull(subscription, _REDRIVE if limit is None else min(_REDRIVE, limit - moved), timedelta(0))
            if not taken:
                break
            self._set_deadline(subscription, [one.ack_id for one in taken], ACK_DEADLINE_MAX)
            for one in taken:
                letter = _letter(one)
                message: dict[str, Any] = {"data": letter.body.encode(), "attributes": letter.attributes}
                if letter.group is not None:
                    message["ordering_key"] = letter.group
                self._publish(self._topic, [message])
                self._acknowledge(subscription, [one.ack_id])
                moved += 1
        return moved

    def _dead_address(self) -> tuple[str, str]:
        if self._dead is None:
            raise UnsupportedError("it has no dead-letter topic", resource=self._resource)
        return self._dead

    # --- clients

    def native(self) -> Any:
        """``google.pubsub_v1.PublisherClient``."""
        return self._publisher()

    def close(self) -> None:
        """Close the connections; the next call opens them anew."""
        with self._lock:
            for client in (self._publishing, self._subscribing):
                if client is not None:
                    client.transport.close()
            self._publishing = self._subscribing = None

    def _publisher(self) -> Any:
        if self._publishing is None:
            with self._lock:
                if self._publishing is None:
                    self._publishing = _sdk.publisher(self._environment)
        return self._publishing

    def _subscriber(self) -> Any:
        if self._subscribing is None:
            with self._lock:
                if self._subscribing is None:
                    self._subscribing = _sdk.subscriber(self._environment)
        return self._subscribing

    def _do(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ConfigError:
            raise
        except Exception as error:
            raise translate(error, self._resource) from error


def _chunks(bodies: Sequence[str], refused: list[SendFailure], resource: str) -> Iterator[list[bytes]]:
    """Bodies in requests of a size Pub/Sub takes; those too large for any are put into ``refused``."""
    chunk: list[bytes] = []
    size = 0
    for index, body in enumerate(bodies):
        data = body.encode()
        cost = len(data) + _OVERHEAD
        if cost > PUBLISH_BYTES:
            message = f"a body of {len(data)} bytes; Pub/Sub takes {PUBLISH_BYTES}"
            refused.append(SendFailure(index, UnsupportedError(message, resource=resource)))
            continue
        if chunk and (len(chunk) == PUBLISH_MESSAGES or size + cost > PUBLISH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(data)
        size += cost
    if chunk:
        yield chunk


def _letter(taken: Any) -> Received:
    """A dead letter as it was sent: without what Pub/Sub added when it moved the message."""
    letter = _received(taken)
    letter.attributes = {name: value for name, value in letter.attributes.items() if not name.startswith(_MOVED)}
    return letter


def _received(taken: Any) -> Received:
    message = taken.message
    try:
        body = message.data.decode()
    except UnicodeDecodeError:  # not sent by this framework; its JSON decoder says what is wrong
        body = b64encode(message.data).decode()
    return Received(
        message.message_id,
        body,
        taken.ack_id,
        dict(message.attributes),
        taken.delivery_attempt or 1,  # counted where the subscription has a dead-letter topic
        datetime.fromtimestamp(message.publish_time.timestamp(), UTC),
        message.ordering_key or None,
    )
