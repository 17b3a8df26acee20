"""Queues on Azure Service Bus, for order, duplicate detection and attempts of their own.

Addresses: ``sb://NAMESPACE.servicebus.windows.net/QUEUE``. Dead letters are in the queue's own dead-letter queue, or in
the queue that ``PORTABLE_DEADLETTER_<NAME>`` names, which the first one then forwards them to
(``ForwardDeadLetteredMessagesTo``): only such a queue can be sent to, as ``Reject`` does.

An ordered queue is one with sessions; a group is a session, and a message without a group has one of its own. A lease
is as long as was asked, in steps of the queue's lock duration: a thread renews the locks of what is still in hand.
"""

from __future__ import annotations

from functools import partial
from threading import Lock, RLock, Thread

from portable.drivers import Received, SendFailure, address_variable, read_address
from portable.errors import NotFoundError, ServiceError, UnsupportedError
from portable_azure import _sdk, limits
from portable_azure.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any

    from portable.resources import Resource

__all__ = ["ServiceBusQueue", "open_driver", "read_properties"]

_ATTEMPTS = "portable-attempts"  # made before this copy of the message was sent
_ID = "portable-id"  # the first copy's
_SENT_AT = "portable-sent-at"
_DEAD = "$DeadLetterQueue"
_GONE = ("MessageLockLostError", "SessionLockLostError", "MessageAlreadySettled", "MessageNotFoundError")
_RENEW = 0.25  # seconds between looks at what has to be renewed
_SPENT = "max_attempts"  # why a message is a dead letter
_NO_SESSION = "OperationTimeoutError"
_TAKE = 100  # dead letters and dropped messages taken at once


def open_driver(resource: Resource, environment: Mapping[str, str]) -> ServiceBusQueue:
    """The driver of a declared queue. Raises ConfigError without an address."""
    address = read_address("queue", resource.name, environment)
    dead_letters = environment.get(address_variable("deadletter", resource.name)) or None
    return ServiceBusQueue(resource.name, address, dead_letters, environment, resource.options)


class _Hand:
    """A receiver, and what it gave and is not settled. One thread at a time uses it."""

    def __init__(self, receiver: Any) -> None:
        self.receiver = receiver
        self.lock = RLock()
        self.leases: dict[Any, float] = {}  # delivery tag, and until when it is to be kept, by time()
        self.messages: dict[Any, Any] = {}


class ServiceBusQueue:
    """See ``portable.drivers.QueueDriver``. A receiver is opened for each ``receive`` and closed when all it gave is
    settled, so that no message waits in a buffer of ours while its lock runs out.
    """

    way_out = "declare the queue with large=, and such a body goes through a bucket"

    def __init__(
        self,
        name: str,
        address: str,
        dead_letters: str | None,
        environment: Mapping[str, str],
        options: Mapping[str, Any],
    ) -> None:
        self._resource = f"queue {name}"
        self._namespace, self._queue = _sdk.parse_bus_address(address)
        self._dead = None if dead_letters is None else _sdk.parse_bus_address(dead_letters)[1]
        self._environment = environment
        self._ordered = bool(options.get("ordered"))
        self._dedup = bool(options.get("dedup"))
        self._max_attempts: int = options.get("max_attempts", 5)
        self._opening = Lock()
        self._bus: Any = None
        self._senders: dict[str, tuple[Any, Lock]] = {}
        self._hands: set[_Hand] = set()
        self._renewing: Thread | None = None

    # --- clients

    def native(self) -> Any:
        """The ``azure.servicebus.ServiceBusClient``."""
        with self._opening:
            if self._bus is None:
                self._bus = _sdk.bus_client(self._namespace, self._environment)
            return self._bus

    def close(self) -> None:
        """Close every connection; what is in hand comes back when its lock ends."""
        with self._opening:
            bus, self._bus = self._bus, None
            hands, self._hands = self._hands, set()
            self._senders = {}
        for hand in hands:
            hand.receiver.close()
        if bus is not None:
            bus.close()

    def _call(self, operation: Callable[[], Any], key: str | None = None) -> Any:
        try:
            return _sdk.bus_call(operation)
        except (_sdk.error_class(), ValueError) as error:
            raise translate(error, self._resource, key) from error

    def _sending(self, queue: str) -> tuple[Any, Lock]:
        bus = self.native()
        with self._opening:
            if queue not in self._senders:
                self._senders[queue] = (bus.get_queue_sender(queue), Lock())
            return self._senders[queue]

    # --- sending

    def fits(self, body: str, attributes: Mapping[str, str]) -> bool:
        """256 KB with everything, which a standard namespace takes."""
        named = sum(len(name.encode()) + len(value.encode()) + 16 for name, value in attributes.items())
        return len(body.encode()) + named + limits.BUS_OVERHEAD <= limits.BUS_MESSAGE_BYTES

    def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str],
        delay: timedelta | None,
        group: str | None,
        dedup: str | None,
    ) -> str:
        return self._send(self._queue, self._message(body, attributes, delay, group, dedup))

    def _message(
        self,
        body: str,
        attributes: Mapping[str, str],
        delay: timedelta | None = None,
        group: str | None = None,
        dedup: str | None = None,
    ) -> Any:
        from uuid import uuid4

        if not self.fits(body, attributes):
            raise UnsupportedError(
                f"Service Bus takes messages of {limits.BUS_MESSAGE_BYTES} bytes with their attributes; {self.way_out}",
                resource=self._resource,
            )
        # Without an id of the sender's, one that no other message has: duplicate detection then finds none.
        options: dict[str, Any] = {"message_id": dedup or uuid4().hex, "application_properties": dict(attributes)}
        if self._ordered:
            options["session_id"] = group or uuid4().hex
        if delay:
            from datetime import UTC, datetime

            options["scheduled_enqueue_time_utc"] = datetime.now(UTC) + delay
        return _sdk.bus_message(body, options)

    def _send(self, queue: str, message: Any) -> str:
        sender, lock = self._sending(queue)
        with lock:
            self._call(lambda: sender.send_messages(message))
        return str(message.message_id)

    def send_many(self, bodies: Sequence[str]) -> list[SendFailure]:
        """In batches as large as the namespace takes; of an ordered queue, one by one: a batch has one session."""
        refused: list[SendFailure] = []
        sender, lock = self._sending(self._queue)
        with lock:
            batch = None
            for index, body in enumerate(bodies):
                try:
                    message = self._message(body, {})
                except ServiceError as error:
                    refused.append(SendFailure(index, error))
                    continue
                if batch is None or self._ordered or not self._added(batch, message):
                    if batch is not None:
                        self._call(partial(sender.send_messages, batch))
                    batch = self._call(sender.create_message_batch)
                    batch.add_message(message)
            if batch is not None:
                self._call(lambda: sender.send_messages(batch))
        return refused

    @staticmethod
    def _added(batch: Any, message: Any) -> bool:
        try:
            batch.add_message(message)
        except ValueError:  # the batch is full
            return False
        return True

    # --- receiving

    def receive(self, limit: int, wait: timedelta, lease: timedelta) -> list[Received]:
        """Waits a second at least: that is what it takes to open a receiver, and to be sure."""
        from time import time

        seconds = max(1.0, wait.total_seconds())
        options = _sdk.next_session(seconds) if self._ordered else {}
        hand = _Hand(self.native().get_queue_receiver(self._queue, **options))
        found: list[Received] = []
        try:
            for message in self._take(hand, limit, seconds):
                received = self._received(message, hand)
                if received.attempt > self._max_attempts:  # of several copies: Service Bus counts each one's alone
                    self._call(partial(hand.receiver.dead_letter_message, message, reason=_SPENT))
                    continue
                hand.leases[received.id] = time() + lease.total_seconds()
                hand.messages[received.id] = message
                found.append(received)
        except BaseException:
            hand.receiver.close()
            raise
        if found:
            self._keep(hand)
        else:
            hand.receiver.close()
        return found

    def _take(self, hand: _Hand, limit: int, seconds: float) -> list[Any]:
        try:
            receive = partial(hand.receiver.receive_messages, limit, max_wait_time=seconds)
            taken: list[Any] = _sdk.bus_call(receive)
        except (_sdk.error_class(), ValueError) as error:
            if self._ordered and type(error).__name__ == _NO_SESSION:
                return []
            raise translate(error, self._resource) from error
        return taken

    def _keep(self, hand: _Hand) -> None:
        with self._opening:
            self._hands.add(hand)
            if self._renewing is None:
                self._renewing = Thread(target=self._renew, name="service-bus-locks", daemon=True)
                self._renewing.start()

    def _received(self, message: Any, hand: _Hand | None) -> Received:
        known = read_properties(message.application_properties)
        return Received(
            known.id or str(message.message_id),
            str(message),
            hand,
            known.attributes,
            known.attempts + (message.delivery_count or 0) + 1,
            known.sent_at or message.enqueued_time_utc,
            message.session_id if self._ordered and message.session_id else None,
        )

    def _settle(self, received: Received, settle: Callable[[Any, Any], Any]) -> None:
        """Settle a message with its receiver. A lock that was lost means the message is someone else's now."""
        hand: _Hand = received.receipt
        with hand.lock:
            message = hand.messages.pop(received.id, None)
            hand.leases.pop(received.id, None)
            if message is None:
                return
            try:
                settle(hand.receiver, message)
            except (_sdk.error_class(), ValueError) as error:
                if type(error).__name__ not in _GONE:
                    raise translate(error, self._resource, received.id) from error
            finally:
                if not hand.messages:
                    with self._opening:
                        self._hands.discard(hand)
                    hand.receiver.close()

    def acknowledge(self, received: Received) -> None:
        self._settle(received, lambda receiver, message: receiver.complete_message(message))

    def retry(self, received: Received, after: timedelta | None) -> None:
        """Service Bus gives back at once. ``after``: a copy that is scheduled, with the attempts made; then the message
        is completed. Of an ordered queue that would break the order: UnsupportedError.
        """
        if received.attempt >= self._max_attempts:
            self._settle(received, lambda receiver, message: receiver.dead_letter_message(message, reason=_SPENT))
        elif not after:
            self._settle(received, lambda receiver, message: receiver.abandon_message(message))
        elif self._ordered:
            raise UnsupportedError("a message of an ordered queue comes back at once on Azure", resource=self._resource)
        else:
            self.send_again(received, after)
            self.acknowledge(received)

    def send_again(self, received: Received, after: timedelta) -> str:
        """Send another copy of a message, to be seen after a while, with the attempts made."""
        again = self._message(received.body, received.attributes, after)
        said = {_ATTEMPTS: str(received.attempt), _ID: received.id}
        if received.sent_at is not None:
            said[_SENT_AT] = received.sent_at.isoformat()
        again.application_properties.update(said)
        return self._send(self._queue, again)

    def extend(self, received: Received, lease: timedelta) -> None:
        from time import time

        hand: _Hand = received.receipt
        with hand.lock:
            message = hand.messages.get(received.id)
            if message is None:
                raise NotFoundError("the lease of the message has ended", resource=self._resource, key=received.id)
            self._call(lambda: self._renew_one(hand, message), received.id)
            hand.leases[received.id] = time() + lease.total_seconds()

    def _renew_one(self, hand: _Hand, message: Any) -> None:
        if self._ordered:
            hand.receiver.session.renew_lock()
        else:
            hand.receiver.renew_message_lock(message)

    def _renew(self) -> None:
        """Renew the locks that would end before their leases; ends when nothing is in hand."""
        from time import sleep, time

        while True:
            sleep(_RENEW)
            with self._opening:
                hands = list(self._hands)
                if not hands:
                    self._renewing = None
                    return
            for hand in hands:
                with hand.lock:
                    now = time()
                    for key, until in list(hand.leases.items()):
                        message = hand.messages[key]
                        locked = (hand.receiver.session if self._ordered else message).locked_until_utc.timestamp()
                        if locked - now > min(10.0, 4 * _RENEW) or until <= locked:
                            continue
                        try:
                            self._renew_one(hand, message)
                        except Exception:  # the lock is lost: settling will say so, and the message comes back
                            hand.leases.pop(key)

    # --- looking on and clearing up

    def depth(self) -> int:
        """Service Bus tells it to those with the right to manage the namespace alone: UnsupportedError."""
        raise UnsupportedError(
            "Service Bus counts for managers alone: az servicebus queue show --query countDetails",
            resource=self._resource,
        )

    def purge(self) -> None:
        """Receive and delete until nothing comes; what is leased or scheduled stays."""
        bus = self.native()
        while True:
            options = _sdk.next_session(1.0) if self._ordered else {}
            receiver = bus.get_queue_receiver(self._queue, receive_mode="receiveanddelete", **options)
            try:
                with receiver:
                    dropped = False
                    while receiver.receive_messages(_TAKE, max_wait_time=1.0):
                        dropped = True
            except _sdk.error_class() as error:
                if type(error).__name__ == _NO_SESSION:
                    return
                raise translate(error, self._resource) from error
            if not (self._ordered and dropped):
                return

    # --- dead letters

    def dead_letter(self, body: str, attributes: Mapping[str, str]) -> None:
        if self._dead is None:
            raise UnsupportedError(
                "nothing can be sent to a dead-letter queue of Service Bus; forward dead letters to a queue of their "
                "own, and name that in PORTABLE_DEADLETTER_<NAME>",
                resource=self._resource,
            )
        self._send(self._dead, self._message(body, attributes))

    def dead_letters(self, limit: int) -> list[Received]:
        """A peek, the oldest first."""
        with self._letters() as receiver:
            return [self._received(message, None) for message in self._call(lambda: receiver.peek_messages(limit))]

    def _letters(self) -> Any:
        """A receiver of dead letters, to be closed."""
        return self.native().get_queue_receiver(self._dead or f"{self._queue}/{_DEAD}")

    def redrive(self, limit: int | None) -> int:
        moved = 0
        with self._letters() as receiver:
            while limit is None or moved < limit:
                most = _TAKE if limit is None else min(_TAKE, limit - moved)
                taken = self._call(partial(receiver.receive_messages, most, max_wait_time=1.0))
                if not taken:
                    break
                for message in taken:
                    letter = self._received(message, None)
                    self._send(self._queue, self._message(letter.body, letter.attributes, group=letter.group))
                    self._call(partial(receiver.complete_message, message))
                    moved += 1
        return moved


class _Known:
    """What the properties of a message say."""

    __slots__ = ("attempts", "attributes", "id", "sent_at")

    def __init__(self, properties: dict[str, str]) -> None:
        self.attempts = int(properties.pop(_ATTEMPTS, 0))
        self.id = properties.pop(_ID, None)
        self.sent_at = _read_time(properties.pop(_SENT_AT, None))
        self.attributes = properties


def read_properties(properties: Mapping[Any, Any] | None) -> _Known:
    """The attributes of a message, and what is known of the copies before this one."""
    return _Known({_text(name): _text(value) for name, value in (properties or {}).items()})


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_time(text: str | None) -> datetime | None:
    from datetime import datetime

    return datetime.fromisoformat(text) if text else None
