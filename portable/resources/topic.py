"""Topics: messages that every subscribed handler gets a copy of, at least once."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.generics import T
from portable.jsontext import encode_text
from portable.resources import declared_at
from portable.resources.queue import Typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, overload

    from portable.drivers import SendFailure, TopicDriver
    from portable.resources.backoff import Backoff

__all__ = ["Topic", "subscription_name"]


def subscription_name(topic: str, function: str) -> str:
    """What a function's subscription of a topic is called in addresses.

    ``portable.checks`` refuses an app in which two would be called the same.
    """
    return f"{topic}-{function}"


class Topic(Typed[T]):
    """Messages of type ``T``, copied to each function that handles the topic and whose filter they fit.

    Every method that does I/O has an async twin with the prefix ``a``. A function's copy is its own: it is delivered at
    least once, tried again when the handler fails, and goes to that function's dead letters after ``max_attempts``
    failed attempts, whatever becomes of the others' copies. A message that nobody wants is dropped.

    Args:
        name: see ``portable.resources.check_name``.
        type: the type of bodies; ``Any`` when left out.
        ordered: messages of one ``group`` reach a function in the order they were published, one at a time.
        max_attempts: deliveries to a function before its dead letters, 1 to 1,000; what a cloud cannot give is refused
            at build.
        retry: how long a failed message waits for its next attempt, see :class:`portable.Backoff`.
    """

    __slots__ = ()
    kind = "topic"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Topic[Any],
            name: str,
            *,
            ordered: bool = False,
            max_attempts: int = 5,
            retry: Backoff | None = None,
            _depth: int = 0,
        ) -> None: ...
        @overload
        def __init__(
            self,
            name: str,
            type: type[T],
            *,
            ordered: bool = False,
            max_attempts: int = 5,
            retry: Backoff | None = None,
            _depth: int = 0,
        ) -> None: ...
        @overload
        def __init__(
            self: Topic[Any],
            name: str,
            type: Any,
            *,
            ordered: bool = False,
            max_attempts: int = 5,
            retry: Backoff | None = None,
            _depth: int = 0,
        ) -> None: ...

    def __init__(
        self,
        name: str,
        type: Any = None,
        *,
        ordered: bool = False,
        max_attempts: int = 5,
        retry: Backoff | None = None,
        _depth: int = 0,
    ) -> None:
        if not isinstance(ordered, bool):
            raise ConfigError(f"topic {name!r}: ordered is True or False, got {ordered!r}")
        options = {"max_attempts": max_attempts, "ordered": ordered}
        super().__init__(name, type, options, declared_at(_depth + 1), retry)

    if TYPE_CHECKING:

        def driver(self) -> TopicDriver: ...

    def publish(self, body: T, *, attributes: Mapping[str, str] | None = None, group: str | None = None) -> str:
        """Accept one message and return its id. Once this returns, it reaches every subscription whatever crashes.

        Args:
            attributes: at most ten, str to str, which filters look at; a name is ASCII letters, digits, ``_`` and
                ``-``.
            group: what is kept in order, on a topic declared with ``ordered=True``; elsewhere ValueError.

        The id is the publication's. A handler's ``message.id`` is its own copy's, and the same only on some clouds.
        """
        checked = self._attributes(attributes)
        return self.driver().publish(encode_text(body), attributes=checked, group=self._group(group))

    async def apublish(self, body: T, *, attributes: Mapping[str, str] | None = None, group: str | None = None) -> str:
        """See :meth:`publish`."""
        checked = self._attributes(attributes)
        published: str = await self._await("publish", encode_text(body), attributes=checked, group=self._group(group))
        return published

    def publish_many(self, bodies: Iterable[T]) -> list[SendFailure]:
        """Accept each body on its own, in as few calls as the cloud allows. Returns those that were refused, by index.

        A failure of one message is in the list; a failure of the whole call raises, and may have accepted some.
        """
        return self.driver().publish_many([encode_text(body) for body in bodies])

    async def apublish_many(self, bodies: Iterable[T]) -> list[SendFailure]:
        """See :meth:`publish_many`."""
        refused: list[SendFailure] = await self._await("publish_many", [encode_text(body) for body in bodies])
        return refused

    def _group(self, group: str | None) -> str | None:
        if group is None:
            return None
        if not self.options["ordered"]:
            raise ValueError(f"{self}: group= needs a topic declared with ordered=True")
        if (
            not isinstance(group, str)
            or not 0 < len(group) <= GROUP
            or not group.isascii()
            or not group.isprintable()
            or " " in group
        ):
            raise ValueError(f"{self}: a group is 1 to {GROUP} ASCII characters without spaces, got {group!r}")
        return group


GROUP = 128  # characters of an SNS MessageGroupId: botocore, Publish
