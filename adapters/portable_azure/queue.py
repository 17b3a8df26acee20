"""Queues on Azure Queue Storage.

A message is base64 on the wire, as the Functions host expects it. Azure's messages have no attributes: a message with
some, or one sent again by a function, is an envelope: a line that no JSON text starts like, then the body as it is::

    portable/1 {"attributes":{"lang":"en"},"attempts":1,"id":"…","sent_at":"…"}
    {"email":"ann@example.com"}
"""

from __future__ import annotations

from portable.drivers import Received, SendFailure, address_variable, read_address
from portable.errors import NotFoundError, ServiceError, UnsupportedError
from portable_azure import _sdk, limits
from portable_azure.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any

    from portable.resources import Resource

__all__ = ["AzureQueue", "Envelope", "pack", "poison_address", "unpack", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> Any:
    """The driver of a declared queue: its address says whether it is a storage queue's or one of Service Bus.

    Raises ConfigError without an address.
    """
    address = read_address("queue", resource.name, environment)
    if address.startswith("sb://"):
        from portable_azure import servicebus_queue

        return servicebus_queue.open_driver(resource, environment)
    dead_letters = environment.get(address_variable("deadletter", resource.name)) or poison_address(address)
    return AzureQueue(resource.name, address, dead_letters, environment, resource.options)


_MARK = "portable/1 "
_SENDERS = 8  # threads of one send_many: Azure takes messages one by one
_REDRIVE_SECONDS = 120  # how long a dead letter is hidden while it is sent again
_POLL = 0.1  # seconds between looks at an empty queue at first; Azure has no long polling


class Envelope:
    """What is known of a message beyond its body.

    ``attempts`` is how many were made before this copy of the message was sent; ``id`` and ``sent_at`` (ISO 8601) are
    the first copy's, None where this is it.
    """

    __slots__ = ("attempts", "attributes", "body", "id", "sent_at")

    def __init__(
        self,
        body: str,
        attributes: Mapping[str, str] | None = None,
        attempts: int = 0,
        id: str | None = None,
        sent_at: str | None = None,
    ) -> None:
        self.body = body
        self.attributes = dict(attributes or {})
        self.attempts = attempts
        self.id = id
        self.sent_at = sent_at


def pack(envelope: Envelope) -> str:
    """The text of a message: the body alone when there is nothing else to say."""
    fields = {name: getattr(envelope, name) for name in ("attributes", "attempts", "id", "sent_at")}
    said = {name: value for name, value in fields.items() if value}
    if not said:
        return envelope.body
    from portable.jsontext import encode_text

    return f"{_MARK}{encode_text(said)}\n{envelope.body}"


def unpack(text: str) -> Envelope:
    """The inverse of :func:`pack`. Raises ValueError for an envelope that is broken."""
    if not text.startswith(_MARK):
        return Envelope(text)
    from json import loads

    head, newline, body = text[len(_MARK) :].partition("\n")
    said = loads(head)
    if not newline or not isinstance(said, dict):
        raise ValueError(f"a message starts like an envelope ({_MARK.strip()}) and is none")
    return Envelope(body, said.get("attributes"), said.get("attempts", 0), said.get("id"), said.get("sent_at"))


def _to_wire(text: str) -> str:
    from base64 import b64encode

    return b64encode(text.encode()).decode()


def _from_wire(content: str) -> str:
    """The text of a stored message; what a foreign producer sent as plain text is taken as it is."""
    from base64 import b64decode

    try:
        return b64decode(content, validate=True).decode()
    except ValueError:
        return content


def poison_address(address: str) -> str:
    """Where the Functions host moves what failed too often: ``<name>-poison`` beside the queue."""
    path, mark, signature = address.partition("?")
    return f"{path.rstrip('/')}-poison{mark}{signature}"


class AzureQueue:
    """One storage queue and its poison queue. See ``portable.drivers.QueueDriver``.

    Ordering groups and deduplication are not to be had. A delay is whole seconds, rounded up, and at most seven days.
    A message does not expire. After ``max_attempts`` the Functions host moves one of a queue that triggers a function;
    one of a queue that a worker pulls from is moved here: on its last ``retry``, or when it is received once more.
    """

    def __init__(
        self,
        name: str,
        address: str,
        dead_letters: str,
        environment: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._resource = f"queue {name}"
        self._options = options or {}
        self._max_attempts: int = self._options.get("max_attempts", 5)
        self._address = address
        self._poison_address = dead_letters
        self._environment = environment
        self._clients: dict[str, Any] = {}

    def _client(self, address: str) -> Any:
        client = self._clients.get(address)
        if client is None:
            client = self._clients.setdefault(address, _sdk.queue_client(address, self._environment))
        return client

    def native(self) -> Any:
        """The ``azure.storage.queue.QueueClient``."""
        return self._client(self._address)

    def close(self) -> None:
        """Close the clients' connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _call(self, operation: Callable[[], Any]) -> Any:
        try:
            return operation()
        except _sdk.error_class() as error:
            raise translate(error, self._resource) from error

    def _put(self, address: str, envelope: Envelope, delay: timedelta | None = None) -> str:
        text = pack(envelope)
        size = len(text.encode())
        if size > limits.QUEUE_TEXT_BYTES:
            raise UnsupportedError(
                f"a message and its attributes have at most {limits.QUEUE_TEXT_BYTES} bytes on Azure (64 KiB in "
                f"base64), this one has {size}; put the data in a bucket and send its key",
                resource=self._resource,
            )
        client = self._client(address)
        # No retries: one whose answer was lost would be sent twice.
        sent = self._call(
            lambda: client.send_message(
                _to_wire(text), visibility_timeout=self._seconds(delay), time_to_live=-1, retry_total=0
            )
        )
        return str(sent.id)

    def _seconds(self, delay: timedelta | None) -> int:
        if delay is None:
            return 0
        seconds = -int(-delay.total_seconds() // 1)
        if not 0 <= seconds <= limits.QUEUE_DELAY_SECONDS:
            raise UnsupportedError(f"a delay is 0 to 7 days on Azure, got {delay}", resource=self._resource)
        return seconds

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        for option, value in (("group", group), ("dedup", dedup)):
            if value is not None or self._options.get("ordered" if option == "group" else option):
                raise UnsupportedError(f"a storage queue has no {option}", resource=self._resource)
        return self._put(self._address, Envelope(body, attributes), delay)

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        if not bodies:
            return []
        from concurrent.futures import ThreadPoolExecutor

        def send(body: str) -> ServiceError | None:
            try:
                self._put(self._address, Envelope(body))
            except ServiceError as error:
                return error
            return None

        with ThreadPoolExecutor(min(_SENDERS, len(bodies))) as senders:
            errors = list(senders.map(send, bodies))
        for error in errors:
            if isinstance(error, NotFoundError):  # the queue is not there: none was accepted
                raise error
        return [SendFailure(index, error) for index, error in enumerate(errors) if error is not None]

    def send_again(self, envelope: Envelope, after: timedelta) -> str:
        """Send another copy of a message, to be seen after a while: how a triggered function delays an attempt."""
        return self._put(self._address, envelope, after)

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        from time import monotonic, sleep

        client = self._client(self._address)
        end = monotonic() + wait.total_seconds()
        pause = _POLL
        while True:
            found: list[Received] = []
            while len(found) < limit:
                count = min(limit - len(found), limits.QUEUE_RECEIVE)
                page = self._receive_page(client, count, lease)
                found += self._unless_spent(self._received(message) for message in page)
                if len(page) < count:
                    break
            left = end - monotonic()
            if found or left <= 0:
                return found
            sleep(min(pause, left))
            pause = min(pause * 2, 1.0)

    def _receive_page(self, client: Any, count: int, lease: timedelta) -> list[Any]:
        hidden = max(1, self._seconds(lease))
        options = {"max_messages": count, "messages_per_page": count, "visibility_timeout": hidden}
        found: list[Any] = self._call(lambda: list(client.receive_messages(**options)))
        return found

    def _unless_spent(self, page: Iterable[Received]) -> list[Received]:
        """Without those whose last lease ended without a word: they are dead letters now."""
        found = []
        for received in page:
            if received.attempt > self._max_attempts:
                self._bury(received)
            else:
                found.append(received)
        return found

    def _bury(self, received: Received) -> None:
        """Put a copy among the dead letters, then take the message away: a crash between duplicates."""
        self.dead_letter(received.body, received.attributes)
        self.acknowledge(received)

    def _received(self, message: Any) -> Received:
        try:
            envelope = unpack(_from_wire(message.content))
        except ValueError:
            envelope = Envelope(_from_wire(message.content))
        return Received(
            envelope.id or message.id,
            envelope.body,
            (message.id, message.pop_receipt),
            envelope.attributes,
            envelope.attempts + max(1, message.dequeue_count or 1),
            _read_time(envelope.sent_at) or message.inserted_on,
        )

    def acknowledge(self, received: Received) -> None:
        client = self._client(self._address)
        self._unless_late(lambda: client.delete_message(*received.receipt))

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """48 KiB of text, with the attributes."""
        return len(pack(Envelope(body, attributes)).encode()) <= limits.QUEUE_TEXT_BYTES

    def extend(self, received: Received, lease: timedelta) -> None:
        client = self._client(self._address)
        hidden = max(1, self._seconds(lease))
        try:
            kept = client.update_message(*received.receipt, visibility_timeout=hidden, retry_total=0)
        except _sdk.error_class() as error:
            raise translate(error, self._resource, received.id) from error
        received.receipt = (kept.id, kept.pop_receipt)

    def depth(self) -> int:
        client = self._client(self._address)
        count: int = self._call(lambda: client.get_queue_properties().approximate_message_count)
        return count

    def purge(self) -> None:
        client = self._client(self._address)
        self._call(client.clear_messages)

    def retry(self, received: Received, after: timedelta | None) -> None:
        if received.attempt >= self._max_attempts:
            self._bury(received)
            return
        client = self._client(self._address)
        seconds = self._seconds(after)
        self._unless_late(lambda: client.update_message(*received.receipt, visibility_timeout=seconds, retry_total=0))

    def _unless_late(self, operation: Callable[[], Any]) -> None:
        """A receipt that ended means the message is someone else's now, or gone."""
        try:
            operation()
        except _sdk.error_class() as error:
            translated = translate(error, self._resource)
            if not isinstance(translated, NotFoundError):
                raise translated from error

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        self._put(self._poison_address, Envelope(body, attributes))

    def dead_letters(self, limit: int) -> list[Received]:
        """At most 32, the oldest first: Azure looks no further."""
        client = self._client(self._poison_address)
        count = min(limit, limits.QUEUE_RECEIVE)
        found = self._call(lambda: client.peek_messages(max_messages=count))
        return [self._received(message) for message in found]

    def redrive(self, limit: int | None) -> int:
        from datetime import timedelta
        from functools import partial

        client = self._client(self._poison_address)
        lease = timedelta(seconds=_REDRIVE_SECONDS)
        moved = 0
        while limit is None or moved < limit:
            count = limits.QUEUE_RECEIVE if limit is None else min(limit - moved, limits.QUEUE_RECEIVE)
            page = self._receive_page(client, count, lease)
            if not page:
                break
            for message in page:
                letter = self._received(message)
                self._put(self._address, Envelope(letter.body, letter.attributes))
                self._call(partial(client.delete_message, *letter.receipt))
                moved += 1
        return moved


def _read_time(text: str | None) -> datetime | None:
    if not text:
        return None
    from datetime import UTC, datetime

    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
