"""Values a table can hold exactly on every cloud, checked once.

The bounds are the least of the clouds': DynamoDB's numbers (38 digits, 1E-130 to 9.99E+125) and depth (16 here, of its
32 and Firestore's 20, so that a driver has room for marks of its own), Firestore's names of fields.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["check_integer", "check_text", "to_number", "to_value"]

DIGITS = 38
LEAST_EXPONENT = -130
LARGEST_EXPONENT = 125
DEPTH = 16
NAME_BYTES = 255
RESERVED = "portable:"


def to_value(value: Any, where: str, *, exact: bool, depth: int = 0) -> Any:
    """``value`` as None, bool, int, float, Decimal, str, bytes, list, dict or (as a field itself) set.

    ``where`` names the field in errors; ``exact`` says whether a Decimal would be read back as one. Raises ValueError
    for what some cloud cannot hold exactly, TypeError for what is no value.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return check_text(value, where)
    if kind is int:
        return check_integer(value, where)
    if kind is float:
        return _check_float(value, where)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if depth > DEPTH:
        raise ValueError(f"{where}: nested more than {DEPTH} deep")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [to_value(one, f"{where}[{n}]", exact=exact, depth=depth + 1) for n, one in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return _to_set(value, where, depth, exact=exact)
    fields = to_fields(value)
    if fields is not None:
        return {
            check_name(name, where): to_value(one, f"{where}.{name}", exact=exact, depth=depth + 1)
            for name, one in fields.items()
        }
    return _to_scalar(value, where, exact=exact)


def to_fields(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a dict, Struct, dataclass, attrs class or pydantic model by the name they are stored under."""
    if isinstance(value, dict):
        return value
    kind = type(value)
    if hasattr(kind, "__struct_fields__"):
        return _struct_fields(value, kind)
    names = getattr(kind, "__dataclass_fields__", None)
    if names is not None:
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    if hasattr(kind, "__pydantic_validator__"):
        dumped: dict[str, Any] = value.model_dump()
        return dumped
    return None


def _struct_fields(value: Any, kind: Any) -> dict[str, Any]:
    config = kind.__struct_config__
    found = {} if config.tag is None else {config.tag_field: config.tag}
    for name, stored in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        one = getattr(value, name)
        if type(one).__name__ != "UnsetType":
            found[stored] = one
    return found


def _to_scalar(value: Any, where: str, *, exact: bool) -> Any:
    """An Enum, a subclass, a Decimal, or what JSON writes as text: an instant, a UUID and the like."""
    if hasattr(type(value), "__members__"):
        return to_value(value.value, where, exact=exact)
    for base in (str, int, float):
        if isinstance(value, base):
            return to_value(base(value), where, exact=exact)
    if _is_decimal(value):
        if not exact:
            raise ValueError(
                f"{where}: a Decimal would not come back as one; declare the table with a type that has a Decimal field"
            )
        return _check_decimal(value, where)
    from portable.jsontext import to_values

    try:
        text = to_values(value)
    except TypeError as error:
        raise TypeError(f"{where}: {type(value).__name__} cannot be stored") from error
    return to_value(text, where, exact=exact)


def _is_decimal(value: Any) -> bool:
    return any((base.__module__, base.__name__) == ("decimal", "Decimal") for base in type(value).__mro__)


def _to_set(value: Any, where: str, depth: int, *, exact: bool) -> set[Any]:
    if depth:
        raise ValueError(
            f"{where}: a set can be a field of an item, not part of a list or of another field; use a list"
        )
    found = {to_value(one, where, exact=exact) for one in value}
    kinds = {"number" if type(one) is int or _is_decimal(one) else type(one).__name__ for one in found}
    if len(kinds) > 1 or not kinds <= {"number", "str", "bytes"}:
        raise ValueError(
            f"{where}: a set holds only str, only bytes, or only int and Decimal; this has {sorted(kinds)}"
        )
    return found


def check_name(name: Any, where: str) -> str:
    """The name of a field, or a key of a dict."""
    if not isinstance(name, str):
        raise TypeError(f"{where}: names are str, got {name!r}")
    size = len(check_text(name, where).encode())
    if not 0 < size <= NAME_BYTES or name.startswith(RESERVED) or (name.startswith("__") and name.endswith("__")):
        raise ValueError(
            f"{where}: the name {name!r} cannot be used: names have 1 to {NAME_BYTES} bytes in UTF-8, do not start "
            f"with {RESERVED!r}, and are not __like_this__"
        )
    return str(name)


def check_text(value: str, where: str) -> str:
    """A str that UTF-8 can hold."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{where}: {value!r} holds a lone surrogate, which no cloud can store") from error
    return value


def check_integer(value: int, where: str) -> int:
    """A whole number of at most 38 significant digits, below 1E+126."""
    if -(10**DIGITS) < value < 10**DIGITS:
        return value
    if abs(value) >= 10 ** (LARGEST_EXPONENT + 1) or len(str(abs(value)).rstrip("0")) > DIGITS:
        raise ValueError(f"{where}: {_beyond()}, got an int of {value.bit_length()} bits")
    return value


def _beyond() -> str:
    return (
        f"a number has at most {DIGITS} significant digits, and a size of 0, or of 1E{LEAST_EXPONENT} to "
        f"9.99E+{LARGEST_EXPONENT}"
    )


def _check_float(value: float, where: str) -> float:
    if value == 0:
        return 0.0  # not every cloud has -0.0, which equals it
    if not 1e-130 <= abs(value) < 1e126:  # NaN compares with nothing
        raise ValueError(f"{where}: {_beyond()}, got {value!r}")
    return value


def _check_decimal(value: Any, where: str) -> Any:
    """Without trailing zeros, which not every cloud keeps."""
    from decimal import Decimal

    if not value.is_finite():
        raise ValueError(f"{where}: {_beyond()}, got {value!r}")
    if not value:
        return Decimal(0)
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    exponent += len(text) - len(kept)
    if len(kept) > DIGITS or not LEAST_EXPONENT <= exponent + len(kept) - 1 <= LARGEST_EXPONENT:
        raise ValueError(f"{where}: {_beyond()}, got {value!r}")
    return Decimal((sign, tuple(map(int, kept)), exponent))


def to_number(value: Any, *, exact: bool) -> Any:
    """A number as it was read: whole ones as int, others as float, or as Decimal where ``exact``.

    Raises ValueError for one that no table holds: the digits of an int would be written out.
    """
    if type(value) is int:
        return value
    from decimal import Decimal

    number = Decimal(repr(value)) if isinstance(value, float) else value
    if not number.is_finite() or number.adjusted() > LARGEST_EXPONENT:
        raise ValueError(f"{_beyond()}, got {value!r}")
    if number == number.to_integral_value():
        return int(number)
    if not exact:
        return float(value)
    digits = number.as_tuple()
    return number if digits.digits[-1] else _check_decimal(number, "")
