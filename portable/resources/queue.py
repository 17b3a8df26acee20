"""Queues: messages handed to one of several workers, at least once."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.generics import Generic, T
from portable.jsontext import encode_text, quick_decoder_of
from portable.resources import Resource, declared_at, on_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, overload

    from portable.drivers import QueueDriver, Received, SendFailure
    from portable.events import Message
    from portable.resources.backoff import Backoff
    from portable.resources.bucket import Bucket
    from portable.resources.delivery import Delivery
    from portable.resources.large import LargeBodies

__all__ = ["Queue"]

ATTRIBUTES = 10  # SQS takes ten attributes a message: botocore, SendMessage
LEASE_SECONDS = 30
ID_CHARACTERS = 128  # of a group or deduplication id: SQS and Service Bus


class Modelled(Resource, Generic[T]):
    """What queues, topics and streams share: the type of what they carry."""

    __slots__ = ("_decode", "type")

    def __init__(self, name: str, type: Any, options: dict[str, Any], where: tuple[str, int]) -> None:
        super().__init__(name, options, where)
        self.type = type
        self._decode: Callable[[str | bytes], T] | None = None

    @property
    def decode(self) -> Callable[[str | bytes], T]:
        """A function from a body as sent to ``T``. It raises ValueError naming the field that does not fit.

        ConfigError for a type that cannot be read from JSON.
        """
        if self._decode is None:
            try:
                self._decode = quick_decoder_of(self.type)
            except Exception as error:  # whatever msgspec or pydantic has against the type
                raise ConfigError(
                    f"{self.kind} {self.name!r} at {self.where[0]}:{self.where[1]}: messages cannot be read from JSON "
                    f"as {self.type!r}: {error}"
                ) from error
        return self._decode

    def same_as(self, other: Resource) -> bool:
        """Whether both declare the same one with the same options and type."""
        return super().same_as(other) and isinstance(other, Modelled) and self.type == other.type


class Typed(Modelled[T]):
    """What queues and topics share: their attributes, how often a message is tried, and after how long a wait."""

    __slots__ = ("backoff",)

    def __init__(
        self, name: str, type: Any, options: dict[str, Any], where: tuple[str, int], retry: Backoff | None = None
    ) -> None:
        attempts = options["max_attempts"]
        if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= 1000:
            raise ConfigError(f"{self.kind} {name!r}: max_attempts is 1 to 1000, got {attempts!r}")
        if retry is not None:
            if not hasattr(retry, "after"):
                raise ConfigError(f"{self.kind} {name!r}: retry is a Backoff, got {retry!r}")
            options["retry"] = retry.options
        super().__init__(name, type, options, where)
        self.backoff = retry

    @property
    def max_attempts(self) -> int:
        """Deliveries before the dead letters."""
        attempts: int = self.options["max_attempts"]
        return attempts

    def _attributes(self, attributes: Mapping[str, str] | None) -> Mapping[str, str]:
        if not attributes:
            return {}
        if len(attributes) > ATTRIBUTES:
            raise ValueError(f"{self}: a message has at most {ATTRIBUTES} attributes, got {len(attributes)}")
        for name, value in attributes.items():
            if not isinstance(name, str) or not name.isascii() or not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"{self}: attribute name {name!r}: use ASCII letters, digits, _ and -")
            if not isinstance(value, str) or not value:
                raise ValueError(f"{self}: attribute {name!r} must be a non-empty str")
        return attributes


class Queue(Typed[T]):
    """Messages of type ``T`` (a msgspec Struct, dataclass, TypedDict, pydantic model, or anything JSON holds).

    Every method that does I/O has an async twin with the prefix ``a``. Delivery is at least once: a handler must bear
    a repeated message. After ``max_attempts`` failed attempts a message goes to the dead-letter queue. Errors are those
    of ``portable.errors`` and name the queue; UnsupportedError is raised for what the cloud's queue cannot do.

    Args:
        name: see ``portable.resources.check_name``.
        type: the type of bodies; ``Any`` when left out.
        max_attempts: deliveries before the dead-letter queue, 1 to 1,000; what a cloud cannot give is refused at build.
        ordered: messages sent with one ``group`` are received in their order. dedup: ``dedup`` ids are kept.
        retry: how long a failed message waits for its next attempt, see :class:`portable.Backoff`; where it is left
            out, as the cloud's queue has it.
        large: a bucket for the bodies that are too large for the cloud's queue; see ``portable.resources.large``.
    """

    __slots__ = ("large_bodies",)
    kind = "queue"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Queue[Any],
            name: str,
            *,
            max_attempts: int = 5,
            ordered: bool = False,
            dedup: bool = False,
            large: Bucket | None = None,
            retry: Backoff | None = None,
            _depth: int = 0,
        ) -> None: ...
        @overload
        def __init__(
            self,
            name: str,
            type: type[T],
            *,
            max_attempts: int = 5,
            ordered: bool = False,
            dedup: bool = False,
            large: Bucket | None = None,
            retry: Backoff | None = None,
            _depth: int = 0,
        ) -> None: ...
        @overload
        def __init__(
            self: Queue[Any],
            name: str,
            type: Any,
            *,
            max_attempts: int = 5,
            ordered: bool = False,
            dedup: bool = False,
            large: Bucket | None = None,
            retry: Backoff | None = None,
            _depth: int = 0,
        ) -> None: ...

    def __init__(
        self,
        name: str,
        type: Any = None,
        *,
        max_attempts: int = 5,
        ordered: bool = False,
        dedup: bool = False,
        large: Bucket | None = None,
        retry: Backoff | None = None,
        _depth: int = 0,
    ) -> None:
        if large is not None and getattr(large, "kind", None) != "bucket":
            raise ConfigError(f"queue {name!r}: large is a bucket of the app, got {large!r}")
        options: dict[str, Any] = {"max_attempts": max_attempts}
        asked = {"ordered": bool(ordered), "dedup": bool(dedup), "large": None if large is None else large.name}
        options |= {option: value for option, value in asked.items() if value}
        super().__init__(name, type, options, declared_at(_depth + 1), retry)
        self.large_bodies: LargeBodies | None = None
        if large is not None:
            from portable.resources.large import LargeBodies

            self.large_bodies = LargeBodies(name, large)

    if TYPE_CHECKING:

        def driver(self) -> QueueDriver: ...

    @property
    def large(self) -> Bucket | None:
        """The bucket of bodies too large for the queue."""
        return None if self.large_bodies is None else self.large_bodies.bucket

    # --- sending

    def send(
        self,
        body: T,
        *,
        delay: timedelta | None = None,
        group: str | None = None,
        dedup: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> str:
        """Accept one message and return its id. Once this returns, the message survives a crash.

        Args:
            delay: hide it at least this long.
            group: its ordering group; the queue is declared ``ordered``. Messages without one have no order.
            dedup: its deduplication id; the queue is declared ``dedup``. A second message with this id, within the
                minutes the cloud remembers it, is accepted and dropped.
            attributes: at most ten, str to str; a name is ASCII letters, digits, ``_`` and ``-``.
        """
        options = self._options(delay, group, dedup, attributes)
        text = encode_text(body)
        if self.large_bodies is None:
            return self.driver().send(text, **options)
        return self._send_large(text, options)

    async def asend(
        self,
        body: T,
        *,
        delay: timedelta | None = None,
        group: str | None = None,
        dedup: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> str:
        """See :meth:`send`."""
        options = self._options(delay, group, dedup, attributes)
        text = encode_text(body)
        if self.large_bodies is None or self.driver().fits(text, options["attributes"]):
            sent: str = await self._await("send", text, **options)
            return sent
        return str(await on_thread(self._send_large, text, options))

    def _send_large(self, body: str, options: dict[str, Any]) -> str:
        assert self.large_bodies is not None
        text = self.large_bodies.put(self.driver(), body, options["attributes"])
        try:
            return self.driver().send(text, **options)
        except Exception as error:
            self.large_bodies.unsent(text, error)
            raise

    def send_many(self, bodies: Iterable[T]) -> list[SendFailure]:
        """Accept each body on its own, in as few calls as the cloud allows. Returns those that were refused, by index.

        A failure of one message is in the list; a failure of the whole call raises, and may have accepted some.
        """
        texts = [encode_text(body) for body in bodies]
        return self.driver().send_many(texts) if self.large_bodies is None else self._send_many_large(texts)

    async def asend_many(self, bodies: Iterable[T]) -> list[SendFailure]:
        """See :meth:`send_many`."""
        texts = [encode_text(body) for body in bodies]
        if self.large_bodies is None:
            refused: list[SendFailure] = await self._await("send_many", texts)
            return refused
        return list(await on_thread(self._send_many_large, texts))

    def _send_many_large(self, bodies: list[str]) -> list[SendFailure]:
        assert self.large_bodies is not None
        driver = self.driver()
        texts = [self.large_bodies.put(driver, body, {}) for body in bodies]
        refused = driver.send_many(texts)
        for failure in refused:
            self.large_bodies.unsent(texts[failure.index], failure.error)
        return refused

    # --- pull workers

    def receive(
        self, limit: int = 10, *, wait: timedelta | None = None, lease: timedelta | None = None
    ) -> list[Delivery[T]]:
        """Up to ``limit`` messages, each hidden from others until its lease ends: ``ack`` it, ``nack`` it, or
        ``extend`` the lease.

        Args:
            limit: 1 to 1,000. wait: for the first message; at once when left out. lease: 30 seconds when left out.
        """
        arguments = self._leasing(limit, wait, lease)
        return [self._delivery(one) for one in self.driver().receive(*arguments)]

    async def areceive(
        self, limit: int = 10, *, wait: timedelta | None = None, lease: timedelta | None = None
    ) -> list[Delivery[T]]:
        """See :meth:`receive`."""
        found = await self._await("receive", *self._leasing(limit, wait, lease))
        if self.large_bodies is None:
            return [self._delivery(one) for one in found]
        return list(await on_thread(lambda: [self._delivery(one) for one in found]))

    def ack_many(self, deliveries: Iterable[Delivery[T]]) -> None:
        """``Delivery.ack`` for each, in one call where the driver has one. Should it fail, some may come back."""
        done: list[Received] = [delivery.native for delivery in deliveries]
        driver = self.driver()
        together = getattr(driver, "acknowledge_many", None)
        if together is not None:
            together(done)
        else:
            for received in done:
                driver.acknowledge(received)
        for received in done:
            self.drop_large(received.body)

    async def aack_many(self, deliveries: Iterable[Delivery[T]]) -> None:
        """See :meth:`ack_many`."""
        await on_thread(self.ack_many, list(deliveries))

    def _leasing(self, limit: int, wait: timedelta | None, lease: timedelta | None) -> tuple[int, timedelta, timedelta]:
        from datetime import timedelta

        zero = timedelta(0)
        wait = zero if wait is None else wait
        lease = timedelta(seconds=LEASE_SECONDS) if lease is None else lease
        if not 1 <= limit <= 1000 or wait < zero or lease <= zero:
            raise ValueError(
                f"{self}: limit is 1 to 1000, wait not negative, lease positive; got {limit}, {wait}, {lease}"
            )
        return limit, wait, lease

    def _delivery(self, received: Received) -> Delivery[T]:
        from portable.resources.delivery import Delivery

        return Delivery(self, received, self._opened(received.body))

    def _opened(self, text: str) -> str | Exception:
        """The body as sent; an error for one that could not be read, which must keep no other message away."""
        if self.large_bodies is None:
            return text
        try:
            return self.large_bodies.get(text)
        except Exception as error:
            return error

    # --- looking on and clearing up

    def depth(self) -> int:
        """About how many messages are not done: waiting, delayed or leased; dead letters are not among them."""
        return self.driver().depth()

    async def adepth(self) -> int:
        """See :meth:`depth`."""
        count: int = await self._await("depth")
        return count

    def purge(self) -> None:
        """Drop every message but the dead letters. A message sent while this runs may go or stay."""
        self.driver().purge()

    async def apurge(self) -> None:
        """See :meth:`purge`."""
        await self._await("purge")

    def dead_letters(self, limit: int = 10) -> list[Message[T]]:
        """Up to ``limit`` dead letters, which stay where they are. A ``body`` is decoded when it is asked for."""
        return self._letters(self.driver().dead_letters(limit))

    async def adead_letters(self, limit: int = 10) -> list[Message[T]]:
        """See :meth:`dead_letters`."""
        found = await self._await("dead_letters", limit)
        return list(await on_thread(self._letters, found)) if self.large_bodies is not None else self._letters(found)

    def _letters(self, found: list[Received]) -> list[Message[T]]:
        from portable.resources.delivery import Letter

        return [Letter(self, one, self._opened(one.body)) for one in found]

    def redrive(self, limit: int | None = None) -> int:
        """Send up to ``limit`` dead letters (all, when left out) to the queue again, and return how many.

        Each is sent, then removed from the dead letters: a crash between the two duplicates it, and loses nothing.
        """
        return self.driver().redrive(limit)

    async def aredrive(self, limit: int | None = None) -> int:
        """See :meth:`redrive`."""
        count: int = await self._await("redrive", limit)
        return count

    # --- large bodies, for those who acknowledge

    def open_body(self, text: str) -> str:
        """The body of a message as sent, read from the bucket where the message refers to it. NotFoundError."""
        return text if self.large_bodies is None else self.large_bodies.get(text)

    def is_large(self, text: str) -> bool:
        """Whether a message's text refers to a blob."""
        return self.large_bodies is not None and self.large_bodies.key_of(text) is not None

    def drop_large(self, text: str) -> None:
        """Delete the blob of a message that has been acknowledged, where it has one."""
        if self.large_bodies is not None:
            self.large_bodies.drop(text)

    # --- checks

    def _options(
        self, delay: timedelta | None, group: str | None, dedup: str | None, attributes: Mapping[str, str] | None
    ) -> dict[str, Any]:
        for option, value, declaration in (("group", group, "ordered"), ("dedup", dedup, "dedup")):
            if value is None:
                continue
            if declaration not in self.options:
                raise ValueError(f"{self}: {option}= needs a queue declared with {declaration}=True")
            if not isinstance(value, str) or not 0 < len(value) <= ID_CHARACTERS or not value.isascii():
                raise ValueError(f"{self}: {option} is 1 to {ID_CHARACTERS} ASCII characters, got {value!r}")
            if not value.isprintable() or " " in value:
                raise ValueError(f"{self}: {option} holds a space or a control character: {value!r}")
        if delay is not None and delay.total_seconds() < 0:
            raise ValueError(f"{self}: a delay is not negative, got {delay}")
        return {"attributes": self._attributes(attributes), "delay": delay, "group": group, "dedup": dedup}
