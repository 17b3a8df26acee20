"""Config values: what a deployment decides, read as a type."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.generics import Generic, T
from portable.resources.refreshing import Refreshing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, overload

    from portable.drivers import ConfigDriver, ConfigText
    from portable.resources import Resource

__all__ = ["Config"]

_MISSING: Any = object()
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _read_bool(text: str) -> bool:
    found = _WORDS.get(text.strip().lower())
    if found is None:
        raise ValueError("a bool is true or false (or 1, 0, yes, no, on, off)")
    return found


def _read_int(text: str) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.removeprefix("-").removeprefix("+").isdigit() or len(digits) > 40:
        raise ValueError("an int is decimal digits, maybe after a sign")
    return int(digits)


def _read_float(text: str) -> float:
    try:
        value = float(text.strip().replace("_", "?"))
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise ValueError("a float is a finite number, as in 1.5 or 2e3")
    return value


_SCALARS: dict[Any, Callable[[str], Any]] = {str: str, bool: _read_bool, int: _read_int, float: _read_float}


class Config(Refreshing, Generic[T]):
    """A value that a deployment sets, read as ``type`` and kept in the instance for ``ttl``.

    ``str`` as it is, ``bool``, ``int`` and ``float`` from their usual text, any other type from JSON. A value that does
    not fit is a ConfigError that names the config and the place the text came from, never the text. See
    ``portable.resources.secret`` for how a value is kept and read again.

    Every method has an async twin with the prefix ``a``.

    Args:
        name: see ``portable.resources.check_name``.
        type: ``str`` when left out.
        default: the value where the deployment sets no address. An address at which nothing is is an error all the
            same.
        ttl: how long a value is kept; five minutes when left out.
    """

    __slots__ = ("_decoded", "_default", "_reader", "type")
    kind = "config"

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Config[str], name: str, *, default: str = ..., ttl: timedelta | None = None, _depth: int = 0
        ) -> None: ...
        @overload
        def __init__(
            self, name: str, type: type[T], *, default: T = ..., ttl: timedelta | None = None, _depth: int = 0
        ) -> None: ...
        @overload
        def __init__(
            self: Config[Any],
            name: str,
            type: Any,
            *,
            default: Any = ...,
            ttl: timedelta | None = None,
            _depth: int = 0,
        ) -> None: ...

    def __init__(
        self, name: str, type: Any = str, *, default: Any = _MISSING, ttl: timedelta | None = None, _depth: int = 0
    ) -> None:
        form = type.__name__ if type in _SCALARS else "json"
        super().__init__(name, ttl, {"optional": default is not _MISSING, "form": form}, _depth + 1)
        self.type = type
        self._default = default
        self._reader: Callable[[str], T] | None = None
        self._decoded: tuple[ConfigText, T] | None = None
        if default is not _MISSING and type in _SCALARS and not self._is_scalar(default):
            raise ConfigError(f"config {name!r}: the default of a {type.__name__} is not {default!r}")

    def _is_scalar(self, value: Any) -> bool:
        if self.type is float and isinstance(value, int):
            return not isinstance(value, bool)
        return isinstance(value, self.type) and (self.type is bool or not isinstance(value, bool))

    if TYPE_CHECKING:

        def driver(self) -> ConfigDriver: ...

    @property
    def model(self) -> Any:
        """The type that is read from JSON, None where there is none."""
        return None if self.type in _SCALARS else self.type

    def same_as(self, other: Resource) -> bool:
        """Whether both declare the same config with the same options, type and default."""
        return (
            super().same_as(other)
            and isinstance(other, Config)
            and (self.type, _text_of(self._default)) == (other.type, _text_of(other._default))
        )

    def value(self) -> T:
        """The value; do not change one that can be changed, it is everybody's. Raises ConfigError for text that does
        not fit, NotFoundError, PermissionDeniedError, UnavailableError.
        """
        return self._typed(self._latest())

    async def avalue(self) -> T:
        """See :meth:`value`."""
        return self._typed(await self._alatest())

    def _typed(self, found: ConfigText) -> T:
        decoded = self._decoded
        if decoded is not None and decoded[0] is found:
            return decoded[1]
        if found.text is None:
            if self._default is _MISSING:
                raise ConfigError(f"{self} has no value: {found.place} is not set, and there is no default")
            value: T = self._default
        else:
            value = self._read_text(found.text, found.place)
        self._decoded = (found, value)
        return value

    def _read_text(self, text: str, place: str) -> T:
        if self._reader is None:
            try:
                self._reader = _SCALARS.get(self.type) or _json_reader(self.type)
            except Exception as error:  # whatever msgspec or pydantic has against the type
                where = f"{self.where[0]}:{self.where[1]}"
                raise ConfigError(f"{self} at {where}: {self.type!r} cannot be read from JSON: {error}") from error
        try:
            return self._reader(text)
        except ValueError as error:
            problem = str(error)
        # Outside of the handler: what pydantic raises holds the text.
        raise ConfigError(f"{self}: the text in {place} does not fit {self.type!r}: {problem}")


def _json_reader(type: Any) -> Callable[[str], Any]:
    from portable.jsontext import quick_decoder_of

    return quick_decoder_of(type)


def _text_of(value: Any) -> str:
    from portable.jsontext import encode_text

    return "" if value is _MISSING else encode_text(value)
