"""A stand-in for Azure Service Bus on this machine: as much of its AMQP as queues need, kept in memory.

    python servicebus_broker.py PORT RULES

RULES is JSON, by the beginning of a queue's name: ``lock`` (seconds), ``max_delivery``, ``sessions``, ``dedup``,
``subscriptions`` (names, of a topic; each gets a copy of every message, for filters are not heeded), and
``forward``, the beginning of the name of the queue that dead letters go to (the rest is the same). A queue is made when
it is first used; one that fits no rule is not found.

It does what a client sees of peek-lock, complete, abandon, release, dead letters, scheduled messages, duplicate
detection, sessions, peeking and renewal. What it cannot prove: names, sizes and rights are not checked, sessions keep
no state, nothing is durable, and it is not Microsoft's.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import socket
import sys
import time
import uuid
from typing import Any

from proton import Condition, Delivery, Endpoint, Message, int32, symbol, timestamp
from proton.handlers import Handshaker
from proton.reactor import Container

VENDOR = "com.microsoft"
FILTER = symbol(f"{VENDOR}:session-filter")
DEAD = "/$DeadLetterQueue"
TICK = 0.02
REMEMBERED = 600.0
CREDIT = 100
WAITING = 128  # connections that were not accepted yet


class Stored:
    """One message of a queue."""

    def __init__(self, message: Message, sequence: int) -> None:
        self.message = message
        self.sequence = sequence
        self.enqueued = time.time()
        self.count = 0  # deliveries that failed
        self.tag: bytes | None = None
        self.locked_until = 0.0
        annotations: dict[Any, Any] = dict(message.annotations or {})
        due = annotations.get(symbol("x-opt-scheduled-enqueue-time"))
        self.due = int(due) / 1000 if due is not None else 0.0

    @property
    def session(self) -> str | None:
        found: str | None = self.message.group_id
        return found

    def encoded(self) -> bytes:
        """As it is delivered now."""
        annotations = dict(self.message.annotations or {})
        annotations[symbol("x-opt-sequence-number")] = self.sequence
        annotations[symbol("x-opt-enqueued-time")] = timestamp(int(self.enqueued * 1000))
        if self.tag is not None:
            annotations[symbol("x-opt-locked-until")] = timestamp(int(self.locked_until * 1000))
        self.message.annotations = annotations
        self.message.delivery_count = self.count
        encoded: bytes = self.message.encode()
        return encoded


class Queue:
    """Messages in order, and the links that wait for some."""

    def __init__(self, name: str, rule: dict[str, Any]) -> None:
        self.name = name
        self.lock: float = rule.get("lock", 30)
        self.max_delivery: int = rule.get("max_delivery", 10)
        self.sessions: bool = rule.get("sessions", False)
        self.dedup: bool = rule.get("dedup", False)
        self.forward: str | None = rule.get("forward")
        self.subscriptions: list[str] | None = None if "/Subscriptions/" in name else rule.get("subscriptions")
        self.messages: list[Stored] = []
        self.known: dict[str, float] = {}
        self.links: list[Any] = []
        self.held: dict[str, Any] = {}  # session, and the link that has it
        self.until: dict[str, float] = {}
        self.waiting: list[tuple[Any, float]] = []  # links that wait for a session, and until when

    def put(self, message: Message, sequence: int) -> None:
        now = time.time()
        self.known = {known: until for known, until in self.known.items() if until > now}
        if self.dedup and message.id is not None:
            if str(message.id) in self.known:
                return
            self.known[str(message.id)] = now + REMEMBERED
        self.messages.append(Stored(message, sequence))

    def free(self, now: float, session: str | None) -> Stored | None:
        for one in self.messages:
            if one.tag is None and one.due <= now and (session is None or one.session == session):
                return one
        return None


def sections(data: bytes) -> list[bytes]:
    """The messages of a batch, each a data section; the message itself where it is no batch."""
    found, at = [], 0
    while at + 3 < len(data) and data[at : at + 2] == b"\x00\x53":
        kind, code = data[at + 2], data[at + 3]
        width = {0x4: 0, 0xA: 1, 0xC: 1, 0xE: 1, 0xB: 4, 0xD: 4, 0xF: 4}.get(code >> 4)
        if width is None:
            break
        size = int.from_bytes(data[at + 4 : at + 4 + width], "big")
        end = at + 4 + width + size
        if kind == 0x75:
            found.append(data[at + 4 + width : end])
        at = end
    return found if len(found) > 1 or (found and found[0][:2] == b"\x00\x53") else [data]


def entity(address: str) -> str:
    """What follows the host in ``sb://host:port/name``."""
    name = address.partition("://")[2].partition("/")[2] if "://" in address else address
    return name if name == "$cbs" else name.strip("/")


def tell(what: str, name: str) -> None:
    """Print what somebody does with a queue, before it is answered."""
    sys.stdout.write(f"somebody {what} {name}\n")
    sys.stdout.flush()


class Broker(Handshaker):
    """Every queue, and what comes over the links."""

    def __init__(self, port: int, rules: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self.port = port
        self.rules = dict(sorted(rules.items(), key=lambda rule: -len(rule[0])))
        self.queues: dict[str, Queue] = {}
        self.sequence = itertools.count(1)
        self.tags = itertools.count(1)
        self.replies: dict[Any, Any] = {}

    def queue(self, name: str) -> Queue | None:
        name = name.strip("/")
        if name not in self.queues:
            base = name.removesuffix(DEAD)
            rule = next((rule for start, rule in self.rules.items() if base.startswith(start)), None)
            if rule is None:
                return None
            kept = {"lock": rule.get("lock", 30), "max_delivery": 10**6} if base != name else rule
            self.queues[name] = Queue(name, kept)
        return self.queues[name]

    def on_reactor_init(self, event: Any) -> None:
        acceptor = event.reactor.acceptor("127.0.0.1", self.port, self)
        with socket.socket(fileno=os.dup(acceptor._selectable.fileno())) as listening:
            listening.listen(WAITING)  # Proton's own ten are soon too few on a busy machine
        sys.stdout.write(f"listening on {self.port}\n")
        sys.stdout.flush()
        event.reactor.schedule(TICK, self)

    def on_timer_task(self, event: Any) -> None:
        self.pump()
        event.reactor.schedule(TICK, self)

    def on_connection_bound(self, event: Any) -> None:
        event.transport.sasl().allow_insecure_mechs = True

    # --- links

    def on_link_remote_open(self, event: Any) -> None:
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        address = (link.remote_source if link.is_sender else link.remote_target).address or ""
        address = entity(address)
        special = address == "$cbs" or address.endswith("/$management")
        queue = None if special else self.queue(address)
        if not special and queue is None:
            link.condition = Condition("amqp:not-found", f"The messaging entity '{address}' could not be found.")
            link.open()
            link.close()
            return
        link.address = address
        if not special:
            tell("sends to" if link.is_receiver else "receives from", address)
        if link.is_receiver:
            link.open()
            link.flow(CREDIT)
        elif special:
            self.replies[link.connection, link.remote_target.address] = link
            link.open()
        else:
            self._open_receiver(link, queue)

    def _open_receiver(self, link: Any, queue: Any) -> None:
        link.session_id = None
        link.snd_settle_mode = link.remote_snd_settle_mode
        link.rcv_settle_mode = link.remote_rcv_settle_mode
        if not queue.sessions:
            link.open()
            queue.links.append(link)
            return
        properties = link.remote_properties or {}
        wait = properties.get(symbol(f"{VENDOR}:timeout"), 60_000) / 1000
        queue.waiting.append((link, time.time() + wait))

    def _grant(self, queue: Queue, now: float) -> None:
        """Give a free session with a message to each link that waits for one."""
        for link, until in list(queue.waiting):
            one = next(
                (one for one in queue.messages if one.tag is None and one.due <= now and one.session not in queue.held),
                None,
            )
            if one is None and now < until:
                continue
            queue.waiting.remove((link, until))
            if one is None or one.session is None:
                link.condition = Condition(f"{VENDOR}:timeout", "No session came.")
                link.source.address = "none"  # a link that is refused has no source
                link.open()
                link.close()
                continue
            link.session_id = one.session
            queue.held[one.session] = link
            queue.until[one.session] = now + queue.lock
            link.source.filter.clear()
            link.source.filter.put_object({FILTER: one.session})
            ticks = int((now + queue.lock) * 10_000_000) + 621_355_968_000_000_000
            link.properties = {symbol(f"{VENDOR}:locked-until-utc"): ticks}
            link.open()
            queue.links.append(link)

    def on_link_remote_close(self, event: Any) -> None:
        self._forget(event.link)
        if event.link.state & Endpoint.LOCAL_ACTIVE:
            event.link.close()

    def on_connection_remote_close(self, event: Any) -> None:
        self._drop(event.connection)
        event.connection.close()

    def on_disconnected(self, event: Any) -> None:
        self._drop(event.connection)

    on_transport_closed = on_disconnected

    def _drop(self, connection: Any) -> None:
        for queue in self.queues.values():
            for link in list(queue.links) + [link for link, _ in queue.waiting]:
                if link.connection == connection:
                    self._forget(link)

    def _forget(self, link: Any) -> None:
        for queue in self.queues.values():
            queue.waiting = [row for row in queue.waiting if row[0] != link]
            if link in queue.links:
                queue.links.remove(link)
                for session, holder in list(queue.held.items()):
                    if holder == link:
                        self._release_session(queue, session)

    def _release_session(self, queue: Queue, session: str) -> None:
        queue.held.pop(session, None)
        for one in list(queue.messages):
            if one.session == session and one.tag is not None:
                one.tag = None
                self._failed(queue, one)

    # --- messages

    def on_delivery(self, event: Any) -> None:
        delivery, link = event.delivery, event.link
        if link.is_receiver:
            if delivery.readable and not delivery.partial:
                data = link.recv(delivery.pending)
                link.advance()
                link.flow(1)
                if hasattr(link, "address"):  # else it was refused, and is being closed
                    self._take(link, data)
                delivery.update(Delivery.ACCEPTED)
                delivery.settle()
        elif delivery.updated and delivery.remote_state:
            self._settle(link, delivery)

    def _take(self, link: Any, data: bytes) -> None:
        if link.address == "$cbs" or link.address.endswith("/$management"):
            request = Message()
            request.decode(data)
            self._answer(link, request)
            return
        queue = self.queue(link.address)
        assert queue is not None
        for part in sections(data):
            message = Message()
            message.decode(part)
            queue.put(message, next(self.sequence))
        if queue.subscriptions is not None:
            self._copy(queue)

    def _copy(self, topic: Queue) -> None:
        """What a topic got, to each subscription."""
        for name in topic.subscriptions or ():
            to = self.queue(f"{topic.name}/Subscriptions/{name}")
            for one in topic.messages:
                copy = Message()
                copy.decode(one.message.encode())
                if to is not None:
                    to.put(copy, next(self.sequence))
        topic.messages.clear()

    def _settle(self, link: Any, delivery: Any) -> None:
        queue = self.queue(getattr(link, "address", "")) if hasattr(link, "session_id") else None
        if queue is None:
            delivery.settle()
            return
        tag = delivery.tag if isinstance(delivery.tag, bytes) else delivery.tag.encode()
        one = next((one for one in queue.messages if one.tag == tag), None)
        state = delivery.remote_state
        if one is None:
            delivery.local.condition = Condition(f"{VENDOR}:message-lock-lost", "The lock supplied is invalid.")
            delivery.update(Delivery.REJECTED)
        else:
            self._outcome(queue, one, state)
            delivery.update(state)
        delivery.settle()

    def _outcome(self, queue: Queue, one: Stored, state: Any) -> None:
        one.tag = None
        if state == Delivery.ACCEPTED:
            queue.messages.remove(one)
        elif state == Delivery.REJECTED:
            self._bury(queue, one)
        elif state == Delivery.MODIFIED:
            self._failed(queue, one)

    def _failed(self, queue: Queue, one: Stored) -> None:
        one.count += 1
        if one.count >= queue.max_delivery:
            self._bury(queue, one)

    def _bury(self, queue: Queue, one: Stored) -> None:
        queue.messages.remove(one)
        if queue.forward is None:
            place = self.queue(queue.name + DEAD)
        else:
            start = next(start for start in self.rules if queue.name.startswith(start))
            place = self.queue(queue.forward + queue.name.removeprefix(start))
        assert place is not None
        one.message.delivery_count = 0
        place.put(one.message, next(self.sequence))

    def pump(self) -> None:
        """Let locks end, and deliver what is due to links with credit."""
        now = time.time()
        for queue in list(self.queues.values()):
            for session, until in list(queue.until.items()):
                if session in queue.held and until <= now:
                    link = queue.held[session]
                    self._release_session(queue, session)
                    queue.links.remove(link)
                    link.condition = Condition(f"{VENDOR}:session-lock-lost", "The session lock has expired.")
                    link.close()
            for one in list(queue.messages):
                if one.tag is not None and not queue.sessions and one.locked_until <= now:
                    one.tag = None
                    self._failed(queue, one)
            self._grant(queue, now)
            for link in list(queue.links):
                self._deliver(queue, link, now)

    def _deliver(self, queue: Queue, link: Any, now: float) -> None:
        while link.credit > 0 and (one := queue.free(now, link.session_id)) is not None:
            one.tag = f"{next(self.tags):016d}".encode()
            one.locked_until = now + queue.lock
            delivery = link.delivery(one.tag.decode())
            link.send(one.encoded())
            link.advance()
            if link.remote_snd_settle_mode == link.SND_SETTLED:
                queue.messages.remove(one)
                delivery.settle()
        if link.drain_mode:
            link.drained()

    # --- requests

    def _answer(self, link: Any, request: Message) -> None:
        name = link.address.removesuffix("/$management")
        asked: dict[str, Any] = dict(request.properties or {})
        status, body = 200, None
        queue = None if name == "$cbs" else self.queue(name)
        if name == "$cbs":
            if self.queue(entity(str(asked.get("name", "")))) is None:
                status = 404
        elif queue is not None:
            tell(str(asked.get("operation")), name)
            status, body = self._manage(queue, str(asked.get("operation")), request.body)
        properties: dict[str, Any] = {
            "status-code": int32(status),
            "statusCode": int32(status),
            "status-description": "OK",
        }
        if status == 404:
            properties["status-description"] = "The messaging entity could not be found."
        properties["statusDescription"] = "OK" if status == 200 else "The lock supplied is invalid."
        if status == 410:
            properties["errorCondition"] = symbol(f"{VENDOR}:message-lock-lost")
        answer = Message(body=body, correlation_id=request.id, properties=properties)
        reply = self.replies.get((link.connection, request.reply_to))
        if reply is None:
            known = [one for key, one in self.replies.items() if key[0] == link.connection]
            reply = next(one for one in known if one.address == link.address)
        reply.delivery(f"r{next(self.tags)}")
        reply.send(answer.encode())
        reply.current.settle()

    def _manage(self, queue: Queue, operation: str, body: Any) -> tuple[int, Any]:
        now = time.time()
        until = timestamp(int((now + queue.lock) * 1000))
        if operation == f"{VENDOR}:renew-lock":
            tokens = {uuid.UUID(str(token)) for token in body["lock-tokens"]}
            found = [one for one in queue.messages if one.tag and uuid.UUID(bytes_le=one.tag) in tokens]
            if len(found) != len(tokens):
                return 410, None
            for one in found:
                one.locked_until = now + queue.lock
            return 200, {"expirations": [until for _ in found]}
        if operation == f"{VENDOR}:renew-session-lock":
            if body["session-id"] not in queue.held:
                return 410, None
            queue.until[body["session-id"]] = now + queue.lock
            return 200, {"expiration": until}
        if operation == f"{VENDOR}:peek-message":
            start, count = int(body["from-sequence-number"]), int(body["message-count"])
            found = [one for one in queue.messages if one.sequence >= start][:count]
            return (200, {"messages": [{"message": one.encoded()} for one in found]}) if found else (204, None)
        return 501, None


if __name__ == "__main__":
    faulthandler.enable()  # what ends Proton's library is in the log as well
    container = Container(Broker(int(sys.argv[1]), json.loads(sys.argv[2])))
    container.run()
