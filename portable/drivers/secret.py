"""What stands behind a Secret."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Protocol
else:
    Protocol = object

__all__ = ["SecretDriver", "SecretVersion", "unlogged"]


class SecretVersion:
    """One version of a secret's value, which shows itself to nobody who does not ask for it by name.

    Args:
        data: the value. version: what the cloud calls this version; it says nothing of the value.
    """

    __slots__ = ("_data", "version")

    def __init__(self, data: bytes, version: str) -> None:
        self._data = data
        self.version = version

    def data(self) -> bytes:
        """The value."""
        return self._data

    def text(self) -> str | None:
        """The value as UTF-8, None where it is not that. No error: a decoder's own would hold the value."""
        try:
            return self._data.decode()
        except UnicodeDecodeError:
            return None

    def __repr__(self) -> str:
        return f"<SecretVersion {self.version}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("the value of a secret is not written anywhere: it cannot be pickled or copied")


class SecretDriver(Protocol):
    """One secret."""

    def read(self) -> SecretVersion:
        """The current version, from where it is kept; safe to call again.

        Raises NotFoundError (no such secret, or no version of it), PermissionDeniedError, UnavailableError. No error
        holds the value.
        """

    def native(self) -> Any:
        """The vendor's own client."""


class unlogged:  # noqa: N801 - read as a statement: with unlogged(…)
    """``with unlogged("botocore.parsers"):`` drops what this thread logs there: SDKs log whole answers at DEBUG, a
    secret's too. Other threads log as before.
    """

    def __init__(self, *loggers: str) -> None:
        self._loggers = loggers

    def __enter__(self) -> None:
        from logging import getLogger
        from threading import get_ident

        here = get_ident()
        self._filter = lambda _record: get_ident() != here
        for name in self._loggers:
            getLogger(name).addFilter(self._filter)

    def __exit__(self, *exc: object) -> None:
        from logging import getLogger

        for name in self._loggers:
            getLogger(name).removeFilter(self._filter)
