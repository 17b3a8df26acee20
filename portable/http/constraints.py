"""Limits on a parameter: ``Annotated[int, msgspec.Meta(gt=0)]``, ``Query(le=100)``, pydantic's ``Field`` and the like.

Read by the names of their attributes, so that none of those is imported; and checked here, so that a limit on a path,
query, header or cookie parameter costs a comparison. Imported only by apps that have limits.
"""

from __future__ import annotations

from portable.errors import ConfigError
from portable.jsontext import is_pydantic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Limits = dict[str, Any]

__all__ = ["check_body_limits", "checked", "limits_of"]

_NUMBER = ("gt", "ge", "lt", "le", "multiple_of")
_LENGTH = ("min_length", "max_length")
_NAMES = (*_NUMBER, *_LENGTH, "pattern", "tz")
_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most", "multiple_of": "a multiple of"}
_FITS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, limit: value > limit,
    "ge": lambda value, limit: value >= limit,
    "lt": lambda value, limit: value < limit,
    "le": lambda value, limit: value <= limit,
    "multiple_of": lambda value, limit: not value % limit,
}


def limits_of(metadata: Iterable[Any], annotation: Any, *, many: bool = False) -> Limits:
    """The limits in the metadata of an ``Annotated``, by name; of one said twice the last counts.

    ``many``: of a list, not of its elements. Raises ConfigError for one that says nothing about this type.
    """
    found = _read(metadata)
    for name in found:
        if not _applies(name, annotation, many):
            kind = "a list" if many else getattr(annotation, "__name__", repr(annotation))
            raise ConfigError(f"{name}={found[name]!r} says nothing about {kind}")
    return found


def _read(metadata: Iterable[Any]) -> Limits:
    found: Limits = {}
    for entry in metadata:
        if isinstance(entry, type):  # ``Header``, without its parentheses
            continue
        for one in (entry, *(getattr(entry, "metadata", None) or ())):
            for name in _NAMES:
                limit = getattr(one, name, None)
                if limit is not None and not callable(limit):
                    found[name] = limit
    return found


def check_body_limits(metadata: Iterable[Any], annotation: Any) -> None:
    """Raise ConfigError for limits of a body that nobody would read: its decoder has words of its own for them."""
    theirs = "pydantic" if is_pydantic(annotation) else "msgspec"
    for entry in metadata:
        module = type(entry).__module__.partition(".")[0]
        if module != theirs and (theirs == "msgspec" or module == "msgspec") and _read([entry]):
            word = "pydantic.Field" if theirs == "pydantic" else "msgspec.Meta"
            raise ConfigError(f"limits of this body are said with {word}, not with {type(entry).__name__}")


def _applies(name: str, annotation: Any, many: bool) -> bool:
    if many:
        return name in _LENGTH
    if name in _NUMBER:
        return annotation in (int, float) or getattr(annotation, "__name__", "") == "Decimal"
    if name == "tz":
        return getattr(annotation, "__name__", "") in ("datetime", "time")
    return annotation is str


def checked(convert: Callable[[Any], Any] | None, limits: Limits) -> Callable[[Any], Any]:
    """``convert``, then every limit. The function raises ValueError with what was expected."""
    checks = [_check(name, limit) for name, limit in limits.items()]

    def read(given: Any) -> Any:
        value = given if convert is None else convert(given)
        for check in checks:
            check(value)
        return value

    return read


def _check(name: str, limit: Any) -> Callable[[Any], None]:
    if name == "pattern":
        return _check_pattern(limit)
    if name in _LENGTH:
        return _check_length(name, limit)
    if name == "tz":
        return _check_zone(limit)
    fits, expected = _FITS[name], f"expected {_WORDS[name]} {limit}"

    def check(value: Any) -> None:
        if not fits(value, limit):
            raise ValueError(f"{expected}, got {str(value)[:80]}")

    return check


def _check_pattern(limit: Any) -> Callable[[Any], None]:
    import re

    try:
        search = re.compile(limit).search
    except re.error as error:
        raise ConfigError(f"pattern={limit!r} is no regular expression: {error}") from error

    def check(value: Any) -> None:
        if search(value) is None:
            raise ValueError(f"expected text that matches {limit!r}, got {value[:80]!r}")

    return check


def _check_length(name: str, limit: int) -> Callable[[Any], None]:
    least = name == "min_length"

    def check(value: Any) -> None:
        if len(value) < limit if least else len(value) > limit:
            what = "characters" if isinstance(value, str) else "values"
            raise ValueError(f"expected {'at least' if least else 'at most'} {limit} {what}, got {len(value)}")

    return check


def _check_zone(limit: bool) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if (value.tzinfo is not None) is not limit:
            raise ValueError(f"expected a time {'with' if limit else 'without'} a time zone")

    return check
