"""Websockets that instances of a Cloud Run service hold. The address is a topic of Pub/Sub, ``projects/P/topics/T``.

A connection's id names its instance. What this process holds is sent to at once; for others a message is published,
which the instance takes from a subscription of its own that filters by an attribute. See ``portable.live.relay``, and
``portable_gcp.serving`` for what holds connections.
"""

from __future__ import annotations

from datetime import timedelta

from portable.drivers import read_address
from portable.errors import NotFoundError, ServiceError, UnsupportedError
from portable.live import connections
from portable.live.relay import Inbox, Presence, close_letter, instance_of, send_letter
from portable_gcp.errors import translate
from portable_gcp.limits import SOCKET_BYTES
from portable_gcp.queue import PubSubQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.live.relay import Letters
    from portable.resources import Resource
    from portable.resources.sockets import Sockets

__all__ = ["CloudRunSockets", "open_driver"]

_ATTRIBUTE = "instance"
_LEASE = timedelta(seconds=10)
_WAIT = timedelta(seconds=5)


def open_driver(resource: Resource, environment: Mapping[str, str]) -> CloudRunSockets:
    """The driver of declared sockets. Raises ConfigError without an address."""
    return CloudRunSockets(resource, environment)  # type: ignore[arg-type]  # its kind is sockets


class CloudRunSockets:
    """See ``portable.drivers.SocketsDriver``. Safe under threads."""

    def __init__(self, sockets: Sockets, environment: Mapping[str, str]) -> None:
        self._sockets = sockets
        self._label = f"sockets {sockets.name}"
        self._environment = environment
        self._topic = read_address("sockets", sockets.name, environment)
        self._publishing = PubSubQueue(sockets.name, self._topic, None, environment, label=self._label)
        self._presence = Presence(sockets)

    def send(self, connection: str, data: str | bytes) -> None:
        """See ``portable.drivers``. Up to 1 MiB. Whether another instance still has it is not waited for."""
        size = len(data.encode()) if isinstance(data, str) else len(data)
        if size > SOCKET_BYTES:
            raise UnsupportedError(f"{SOCKET_BYTES} bytes at most are sent, not {size}", resource=self._label)
        peer = connections.find(connection)
        if peer is not None:
            peer.send(data)
        else:
            self._publish(connection, send_letter(connection, data))

    def disconnect(self, connection: str) -> None:
        """See ``portable.drivers``."""
        peer = connections.find(connection)
        if peer is not None:
            peer.close()
            return
        try:
            self._publish(connection, close_letter(connection))
        except NotFoundError:
            return

    def _publish(self, connection: str, letter: str) -> None:
        instance = instance_of(connection)
        if connections.holds(connection) or not instance or not self._presence.is_there(instance):
            raise NotFoundError("the connection is gone", resource=self._label, key=connection)
        attributes = {_ATTRIBUTE: instance}
        try:
            self._publishing.send(letter, attributes=attributes, delay=None, group=connection, dedup=None)
        except ServiceError as error:
            raise type(error)(str(error.__cause__ or error), resource=self._label, key=connection) from error

    def inbox(self) -> tuple[Inbox, Any]:
        """What takes the messages for this instance, and a function that ends its subscription. Makes that."""
        name = f"{self._topic.replace('/topics/', '/subscriptions/')}-{connections.instance}"
        receiving = PubSubQueue(
            self._sockets.name, f"{self._topic}?subscription={name}", None, self._environment, label=self._label
        )
        subscriber = receiving._subscriber()
        request = {
            "name": name,
            "topic": self._topic,
            "filter": f'attributes.{_ATTRIBUTE} = "{connections.instance}"',
            "enable_message_ordering": True,
            "ack_deadline_seconds": 10,
            "message_retention_duration": {"seconds": 600},
            "expiration_policy": {"ttl": {"seconds": 86_400}},  # the least there is, for one that crashed
        }
        try:
            subscriber.create_subscription(request=request, timeout=30)
        except Exception as error:
            raise translate(error, self._label) from error
        taken: dict[str, Any] = {}

        def receive() -> Letters:
            received = receiving.receive(100, _WAIT, _LEASE)
            taken.update((one.id, one) for one in received)
            return [(one.id, one.body) for one in received]

        def acknowledge(letters: Letters) -> None:
            receiving.acknowledge_many([taken.pop(identity) for identity, _ in letters if identity in taken])

        def end() -> None:
            try:
                subscriber.delete_subscription(request={"subscription": name}, timeout=10)
            finally:
                receiving.close()

        return Inbox(self._sockets, receive, acknowledge), end

    def native(self) -> Any:
        """``google.pubsub_v1.PublisherClient``."""
        return self._publishing.native()

    def close(self) -> None:
        """Close the connections to Pub/Sub."""
        self._publishing.close()
