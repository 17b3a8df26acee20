"""Queues: messages handed to one of several workers, at least once."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.generics import Generic, T
from portable.jsontext import encode_text, quick_decoder_of
from portable.resources import Resource, declared_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, overload

    from portable.drivers import QueueDriver, SendFailure

__all__ = ["Queue"]

ATTRIBUTES = 10  # SQS takes ten attributes a message: botocore, SendMessage


class Typed(Resource, Generic[T]):
    """What queues and topics share: the type of their messages, their attributes, and how often one is tried."""

    __slots__ = ("_decode", "type")

    def __init__(self, name: str, type: Any, options: dict[str, Any], where: tuple[str, int]) -> None:
        attempts = options["max_attempts"]
        if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= 1000:
            raise ConfigError(f"{self.kind} {name!r}: max_attempts is 1 to 1000, got {attempts!r}")
        super().__init__(name, options, where)
        self.type = type
        self._decode: Callable[[str | bytes], T] | None = None

    @property
    def max_attempts(self) -> int:
        """Deliveries before the dead letters."""
        attempts: int = self.options["max_attempts"]
        return attempts

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
        return super().same_as(other) and isinstance(other, Typed) and self.type == other.type

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
    a repeated message. After ``max_attempts`` failed attempts a message goes to the dead-letter queue.

    Args:
        name: see ``portable.resources.check_name``.
        type: the type of bodies; ``Any`` when left out.
        max_attempts: deliveries before the dead-letter queue, 1 to 1,000; what a cloud cannot give is refused at build.
    """

    __slots__ = ()
    kind = "queue"

    if TYPE_CHECKING:

        @overload
        def __init__(self: Queue[Any], name: str, *, max_attempts: int = 5, _depth: int = 0) -> None: ...
        @overload
        def __init__(self, name: str, type: type[T], *, max_attempts: int = 5, _depth: int = 0) -> None: ...
        @overload
        def __init__(self: Queue[Any], name: str, type: Any, *, max_attempts: int = 5, _depth: int = 0) -> None: ...

    def __init__(self, name: str, type: Any = None, *, max_attempts: int = 5, _depth: int = 0) -> None:
        super().__init__(name, type, {"max_attempts": max_attempts}, declared_at(_depth + 1))

    if TYPE_CHECKING:

        def driver(self) -> QueueDriver: ...

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
            delay: hide it at least this long. group: ordering group. dedup: deduplication id. Where the cloud's queue
                cannot give one of them: UnsupportedError.
            attributes: at most ten, str to str; a name is ASCII letters, digits, ``_`` and ``-``.
        """
        checked = self._attributes(attributes)
        return self.driver().send(encode_text(body), attributes=checked, delay=delay, group=group, dedup=dedup)

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
        checked = self._attributes(attributes)
        sent: str = await self._await(
            "send", encode_text(body), attributes=checked, delay=delay, group=group, dedup=dedup
        )
        return sent

    def send_many(self, bodies: Iterable[T]) -> list[SendFailure]:
        """Accept each body on its own, in as few calls as the cloud allows. Returns those that were refused, by index.

        A failure of one message is in the list; a failure of the whole call raises, and may have accepted some.
        """
        return self.driver().send_many([encode_text(body) for body in bodies])

    async def asend_many(self, bodies: Iterable[T]) -> list[SendFailure]:
        """See :meth:`send_many`."""
        refused: list[SendFailure] = await self._await("send_many", [encode_text(body) for body in bodies])
        return refused
