"""Secrets: values that are kept elsewhere, and shown to nobody by accident."""

from __future__ import annotations

from portable.errors import ServiceError
from portable.resources.refreshing import Refreshing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, NoReturn

    from portable.drivers import SecretDriver, SecretVersion

__all__ = ["Secret"]


class Secret(Refreshing):
    """A secret, read when it is first asked for and kept in the instance for ``ttl``.

    ``value()`` gives a plain str, which is the caller's to guard. This object, and what it keeps, show the value in no
    repr, str, format, pickle, log or error.

    A value older than ``ttl`` is read again by the next caller, so a rotation is seen within ``ttl``; of several
    threads one reads, and the others wait, or go on with a value that is less than twice ``ttl`` old. While it cannot
    be read again (UnavailableError), the old value is given for an hour more, and each failure is logged, at most one
    in five seconds. Any other failure (it is gone, or may not be read any more) raises at once.

    Every method has an async twin with the prefix ``a``.

    Args:
        name: see ``portable.resources.check_name``.
        ttl: how long a value is kept; five minutes when left out. Zero reads each time.
    """

    __slots__ = ()
    kind = "secret"

    def __init__(self, name: str, *, ttl: timedelta | None = None, _depth: int = 0) -> None:
        super().__init__(name, ttl, {}, _depth + 1)

    if TYPE_CHECKING:

        def driver(self) -> SecretDriver: ...

    def value(self) -> str:
        """The value. Raises NotFoundError, PermissionDeniedError, UnavailableError; ServiceError for bytes that are no
        UTF-8.
        """
        return self._text(self._latest())

    async def avalue(self) -> str:
        """See :meth:`value`."""
        return self._text(await self._alatest())

    def bytes_value(self) -> bytes:
        """The value as bytes: as stored where the cloud stores bytes, else its UTF-8."""
        data: bytes = self._latest().data()
        return data

    async def abytes_value(self) -> bytes:
        """See :meth:`bytes_value`."""
        data: bytes = (await self._alatest()).data()
        return data

    def version(self) -> str:
        """What the cloud calls the version that is kept; it says nothing of the value and may be logged."""
        version: str = self._latest().version
        return version

    async def aversion(self) -> str:
        """See :meth:`version`."""
        version: str = (await self._alatest()).version
        return version

    def _text(self, found: SecretVersion) -> str:
        text = found.text()
        if text is None:
            raise ServiceError("the value is no text in UTF-8: use bytes_value()", resource=str(self))
        return text

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{self} cannot be pickled or copied: declare it where it is used")
