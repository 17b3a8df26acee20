"""Values that a store has no exact form for, written as tagged JSON, one to one.

    encode({"price": Decimal("1.50"), "tags": {"b", "a"}})
    {"price": {"$decimal": "1.50"}, "tags": {"$set": ["a", "b"]}}

A tag is an object whose only key is one of those in ``TAGS``. A user's own object that could be taken for one, because
its only key starts with ``$``, is written as ``{"$dict": [key, value, …]}``, so what is decoded is what was encoded,
type for type, whatever it holds.

What a store holds as it is stays as it is: ``keeps`` names those types, ``integers`` the range of its integers,
``takes_key`` the keys its objects may have.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["DOUBLE_INTEGERS", "TAGS", "decode", "encode"]

DOUBLE_INTEGERS = (-(2**53) + 1, 2**53 - 1)
"""The integers that a store of doubles holds exactly, and tells from their neighbours."""

TAGS = ("$bytes", "$decimal", "$dict", "$float", "$int", "$list", "$set")

_JSON = frozenset({list})


def encode(
    value: Any,
    keeps: frozenset[type] = _JSON,
    integers: tuple[int, int] | None = None,
    takes_key: Callable[[str], bool] | None = None,
) -> Any:
    """``value`` in the types a store holds. ``decode`` is its inverse, and needs none of these options.

    Args:
        keeps: types that the store holds exactly, of ``bytes``, ``float``, ``set``, ``decimal.Decimal`` and ``list``.
            Without ``float`` those are tagged that JSON cannot tell from an integer, or cannot say (``inf``, ``nan``).
            Without ``list`` a list is tagged where it is an element of a list.
        integers: the least and the greatest the store holds; None where it holds all.
        takes_key: whether an object of the store may have a key; None where it takes all.

    Raises TypeError for a type that no table holds (a tuple, a datetime), and for a dict's key that is no str.
    """
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is int:
        inside = integers is None or integers[0] <= value <= integers[1]
        return value if inside else {"$int": str(value)}
    if kind is float:
        return value if float in keeps or _is_fraction(value) else {"$float": repr(value)}
    if kind is dict:
        return _encode_dict(value, keeps, integers, takes_key)
    if kind is list:
        return [
            {"$list": encode(one, keeps, integers, takes_key)}
            if type(one) is list and list not in keeps
            else encode(one, keeps, integers, takes_key)
            for one in value
        ]
    return _encode_rest(value, kind, keeps, integers, takes_key)


def _encode_dict(
    value: dict[Any, Any],
    keeps: frozenset[type],
    integers: tuple[int, int] | None,
    takes_key: Callable[[str], bool] | None,
) -> dict[str, Any]:
    plain = not (len(value) == 1 and str(next(iter(value))).startswith("$"))
    for key in value:
        if type(key) is not str:
            raise TypeError(f"a table's object has str keys, {key!r} is {type(key).__name__}")
        plain = plain and (takes_key is None or takes_key(key))
    if plain:
        return {key: encode(one, keeps, integers, takes_key) for key, one in value.items()}
    pairs = [part for pair in value.items() for part in pair]
    return {"$dict": encode(pairs, keeps, integers, takes_key)}


def _encode_rest(
    value: Any,
    kind: type,
    keeps: frozenset[type],
    integers: tuple[int, int] | None,
    takes_key: Callable[[str], bool] | None,
) -> Any:
    if kind in keeps:
        return value
    if kind is bytes:
        from binascii import b2a_base64

        return {"$bytes": b2a_base64(value, newline=False).decode()}
    if kind is set or kind is frozenset:
        if set in keeps:
            return set(value)
        elements = sorted(value, key=_order)
        return {"$set": [encode(one, keeps, integers, takes_key) for one in elements]}
    from decimal import Decimal

    if kind is Decimal:
        return {"$decimal": str(value)}
    raise TypeError(f"a table holds no {kind.__name__}: {value!r}")


def decode(value: Any) -> Any:
    """The value that was encoded. Raises ValueError for a tag whose content ``encode`` never writes."""
    kind = type(value)
    if kind is list:
        return [decode(one) for one in value]
    if kind is not dict:
        return value
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag in TAGS:
            try:
                return _decode_tag(tag, content)
            except (ArithmeticError, TypeError, ValueError) as error:
                raise ValueError(f"{value!r} is no value of a table: {error}") from error
    return {key: decode(one) for key, one in value.items()}


def _decode_tag(tag: str, content: Any) -> Any:
    if tag == "$int":
        return int(content)
    if tag == "$float":
        return float(content)
    if tag == "$bytes":
        from binascii import a2b_base64

        return a2b_base64(content)
    if tag == "$decimal":
        from decimal import Decimal

        return Decimal(content)
    elements = decode(content)
    if type(elements) is not list:
        raise ValueError("its content is no list")
    if tag == "$set":
        return set(elements)
    return elements if tag == "$list" else dict(zip(elements[::2], elements[1::2], strict=True))


def _is_fraction(value: float) -> bool:
    return value - value == 0 and not value.is_integer()


def _order(element: Any) -> Any:
    return type(element).__name__, element
