"""Sends to connections that another instance of a service holds: through a topic, to the instance that the id names.

An instance says in the sockets' table that it is there, every ``HEARTBEAT`` seconds, so that a send to one that is gone
is known to be in vain. What is published reaches the instance's own subscription, whose messages it hands to the
connections it holds. Delivered more than once by the topic, a message is sent once.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Event, Lock, Thread
from time import monotonic, time

from portable.errors import NotFoundError, UnavailableError
from portable.jsontext import encode_text, load_text
from portable.live import connections
from portable.resources.sockets import SETTLING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from portable.resources.sockets import Sockets

    # The id of a message and its body.
    Letters = Sequence[tuple[str, str]]

__all__ = ["ABSENT", "HEARTBEAT", "Inbox", "Presence", "close_letter", "instance_of", "send_letter"]

HEARTBEAT = 20
ABSENT = 75
"""Seconds after which an instance that has said nothing is taken for gone."""

_ASKED_AGAIN = 10.0
_REMEMBERED = 10_000
_HERE = "here"


def instance_of(connection: str) -> str:
    """The instance that made an id."""
    return connection.partition(".")[0]


def send_letter(connection: str, data: str | bytes) -> str:
    """What is published for a send."""
    if isinstance(data, str):
        return encode_text({"connection": connection, "text": data})
    from base64 import b64encode

    return encode_text({"connection": connection, "bytes": b64encode(data).decode()})


def close_letter(connection: str) -> str:
    """What is published to close a connection."""
    return encode_text({"connection": connection, "close": True})


class Presence:
    """Which instances are there, in the table of the sockets' groups. Safe under threads."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._known: dict[str, tuple[bool, float]] = {}
        self._lock = Lock()

    def say(self, instance: str) -> None:
        """An instance is there, for the next ``ABSENT`` seconds."""
        key, sort, ttl = self._sockets._fields
        now = int(time())
        self._sockets.store.put({key: f"i:{instance}", sort: _HERE, "joined": now, ttl: now + ABSENT})

    def leave(self, instance: str) -> None:
        """An instance is gone."""
        self._sockets.store.delete(f"i:{instance}", _HERE)

    def is_there(self, instance: str) -> bool:
        """Whether an instance is there; what was read is believed for ten seconds."""
        with self._lock:
            found = self._known.get(instance)
        if found is not None and monotonic() - found[1] < _ASKED_AGAIN:
            return found[0]
        there = self._sockets.store.get(f"i:{instance}", _HERE) is not None
        with self._lock:
            self._known[instance] = there, monotonic()
            if len(self._known) > _REMEMBERED:
                self._known.clear()
        return there


class Inbox:
    """Hands what is sent to this instance to the connections it holds, on a thread of its own.

    Args:
        receive: waits a few seconds at most for letters. acknowledge: they are done. Both may raise; it goes on.
    """

    def __init__(
        self, sockets: Sockets, receive: Callable[[], Letters], acknowledge: Callable[[Letters], None]
    ) -> None:
        self._sockets = sockets
        self._presence = Presence(sockets)
        self._receive = receive
        self._acknowledge = acknowledge
        self._stopping = Event()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._said = 0.0
        self._thread = Thread(target=self._run, name="portable-inbox", daemon=True)

    def start(self) -> None:
        """Say that this instance is there, and begin. Raises what the table raises: nobody could send here."""
        self._presence.say(connections.instance)
        self._said = monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End, once what is in hand is done."""
        self._stopping.set()
        self._thread.join()
        self._presence.leave(connections.instance)

    def _run(self) -> None:
        from logging import getLogger

        while not self._stopping.is_set():
            try:
                if monotonic() - self._said > HEARTBEAT:
                    self._said = monotonic()
                    self._presence.say(connections.instance)
                letters = self._receive()
                for identity, body in letters:
                    self._hand(identity, body)
                if letters:
                    self._acknowledge(letters)
            except Exception:
                getLogger("portable").exception("%s: looking for what others send failed", self._sockets)
                self._stopping.wait(1)

    def _hand(self, identity: str, body: str) -> None:
        if identity in self._seen:
            return
        self._seen[identity] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        from logging import getLogger

        try:
            letter = load_text(body)
            connection = letter["connection"]
        except (ValueError, TypeError, KeyError):
            getLogger("portable").exception(
                "%s: message %s on their topic is not portable's; dropped", self._sockets, identity
            )
            return
        if not connections.holds(connection):  # another's, where the topic does not filter
            return
        peer = connections.find(connection)
        try:
            if peer is None:
                raise NotFoundError("the connection is gone", resource=str(self._sockets), key=connection)
            if "close" in letter:
                peer.close()
            else:
                peer.send(_data_of(letter))
        except NotFoundError:
            self._sockets._drive(self._sockets._forget(connection, SETTLING))
        except UnavailableError as error:
            getLogger("portable").warning("%s: a message is lost: %s", self._sockets, error)


def _data_of(letter: dict[str, Any]) -> str | bytes:
    if "text" in letter:
        text: str = letter["text"]
        return text
    from base64 import b64decode

    return b64decode(letter["bytes"])
