"""Streams: records in partitions, each partition handed over in order, at least once."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.generics import T
from portable.jsontext import encode_text
from portable.resources import declared_at
from portable.resources.queue import Modelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, overload

    from portable.drivers import SendFailure, StreamDriver

__all__ = ["Stream"]

KEY = 256
"""Characters of a key: botocore, PutRecord, PartitionKey."""


class Stream(Modelled[T]):
    """Records of type ``T``, kept in order for each key, and read by every function that handles the stream.

    Every method that does I/O has an async twin with the prefix ``a``. Unlike a topic, a stream keeps its records for a
    while whoever has read them, and a function that fails on one gets it again, and nothing behind it meanwhile.

    Args:
        name: see ``portable.resources.check_name``.
        type: the type of bodies, read from JSON; ``bytes`` takes them as they are. ``Any`` JSON when left out.
        partitions: how many a deployment makes, 1 to 1,000: records of one key are in one of them.
    """

    __slots__ = ()
    kind = "stream"

    if TYPE_CHECKING:

        @overload
        def __init__(self: Stream[Any], name: str, *, partitions: int = 1, _depth: int = 0) -> None: ...
        @overload
        def __init__(self, name: str, type: type[T], *, partitions: int = 1, _depth: int = 0) -> None: ...
        @overload
        def __init__(self: Stream[Any], name: str, type: Any, *, partitions: int = 1, _depth: int = 0) -> None: ...

    def __init__(self, name: str, type: Any = None, *, partitions: int = 1, _depth: int = 0) -> None:
        if isinstance(partitions, bool) or not isinstance(partitions, int) or not 1 <= partitions <= 1000:
            raise ConfigError(f"stream {name!r}: partitions is 1 to 1000, got {partitions!r}")
        super().__init__(name, type, {"partitions": partitions}, declared_at(_depth + 1))
        if type is bytes:
            self._decode = _as_it_is

    if TYPE_CHECKING:

        def driver(self) -> StreamDriver: ...

    def send(self, body: T, *, key: str) -> None:
        """Accept one record. Once this returns, every function that handles the stream will get it.

        Args:
            key: 1 to 256 characters: records of one key are handed over in the order they were sent.

        UnsupportedError where the cloud's streams can only be handled: ``portable check`` says so.
        """
        for failure in self.driver().send_many([self._record(key, body)]):
            raise failure.error

    async def asend(self, body: T, *, key: str) -> None:
        """See :meth:`send`."""
        for failure in await self._await("send_many", [self._record(key, body)]):
            raise failure.error

    def send_many(self, records: Iterable[tuple[str, T]]) -> list[SendFailure]:
        """Accept each ``(key, body)`` on its own, in as few calls as the cloud allows. Returns those that were refused,
        by index: sent again, they come behind the others of their key.
        """
        return self.driver().send_many([self._record(key, body) for key, body in records])

    async def asend_many(self, records: Iterable[tuple[str, T]]) -> list[SendFailure]:
        """See :meth:`send_many`."""
        refused: list[SendFailure] = await self._await("send_many", [self._record(key, body) for key, body in records])
        return refused

    def _record(self, key: str, body: T) -> tuple[str, bytes]:
        if not isinstance(key, str) or not 0 < len(key) <= KEY:
            raise ValueError(f"{self}: a key is 1 to {KEY} characters, got {key!r}")
        if self.type is bytes:
            if not isinstance(body, (bytes, bytearray, memoryview)):
                raise TypeError(f"{self}: a body is bytes, as the stream was declared; got {body.__class__.__name__}")
            return key, bytes(body)
        return key, encode_text(body).encode()


def _as_it_is(data: Any) -> Any:
    return data
