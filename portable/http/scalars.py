"""Turning the text of a path, query, header or cookie into a scalar."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["converter_of", "is_scalar", "scalar_needs_msgspec"]

_TRUE = frozenset(("true", "1", "yes", "on"))
_FALSE = frozenset(("false", "0", "no", "off"))
_BY_MODULE = {
    ("datetime", "datetime"),
    ("datetime", "date"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("uuid", "UUID"),
    ("decimal", "Decimal"),
}


def _to_int(text: str) -> int:
    if text.isdigit() and text.isascii() and len(text) < 20:
        return int(text)
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 4000:
        raise ValueError(f"expected a whole number, got {text[:80]!r}")
    return int(text)


def _to_float(text: str) -> float:
    try:
        if "_" in text or not text.isascii() or text != text.strip():
            raise ValueError
        number = float(text)
        if number - number != 0:  # an infinity, or no number at all
            raise ValueError
    except ValueError:
        raise ValueError(f"expected a number, got {text[:80]!r}") from None
    return number


def _to_bool(text: str) -> bool:
    folded = text.lower()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ValueError(f"expected true or false, got {text[:80]!r}")


def _to_member(annotation: Any) -> Callable[[str], Any]:
    """For an Enum: its members by the text of their values."""
    members = {str(member.value): member for member in annotation}

    def convert(text: str) -> Any:
        if text in members:
            return members[text]
        raise ValueError(f"expected one of {', '.join(members)}, got {text[:80]!r}")

    return convert


def _to_literal(annotation: Any) -> Callable[[str], Any]:
    values = {str(value): value for value in annotation.__args__}

    def convert(text: str) -> Any:
        if text in values:
            return values[text]
        raise ValueError(f"expected one of {', '.join(values)}, got {text[:80]!r}")

    return convert


def _by_msgspec(annotation: Any) -> Callable[[str], Any]:
    import msgspec

    def convert(text: str) -> Any:
        try:
            return msgspec.convert(text, annotation, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"{error}, got {text[:80]!r}") from error

    return convert


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "__members__")


def _is_literal(annotation: Any) -> bool:
    return type(annotation).__name__ == "_LiteralGenericAlias"


def scalar_needs_msgspec(annotation: Any) -> bool:
    """Whether a scalar of this type is read with msgspec (dates, UUID, Decimal)."""
    return (getattr(annotation, "__module__", ""), getattr(annotation, "__name__", "")) in _BY_MODULE


def is_scalar(annotation: Any) -> bool:
    """Whether one text can become this type: str, int, float, bool, Enum, Literal, dates, UUID, Decimal."""
    return (
        annotation in (str, int, float, bool)
        or _is_enum(annotation)
        or _is_literal(annotation)
        or scalar_needs_msgspec(annotation)
    )


def converter_of(annotation: Any) -> Callable[[str], Any] | None:
    """A function from text to this scalar type, raising ValueError; None where the text itself serves."""
    if annotation is str:
        return None
    if annotation is int:
        return _to_int
    if annotation is float:
        return _to_float
    if annotation is bool:
        return _to_bool
    if _is_enum(annotation):
        return _to_member(annotation)
    if _is_literal(annotation):
        return _to_literal(annotation)
    return _by_msgspec(annotation)
