"""Items as DynamoDB's attribute values, one to one: ``{"age": 30}`` is ``{"age": {"N": "30"}}``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.drivers.table import Item, Row

__all__ = ["VERSION", "decode_item", "decode_row", "encode_item", "encode_value"]

VERSION = "portable:version"
"""The attribute that holds an item's version. No field of a user's item begins like this."""

_PLAIN_DIGITS = 40


def encode_item(item: Item) -> dict[str, Any]:
    """An item as attribute values."""
    return {name: encode_value(value) for name, value in item.items()}


def encode_value(value: Any) -> dict[str, Any]:
    """One value of those in ``portable.drivers.TableDriver``."""
    if value is None:
        return {"NULL": True}
    kind = type(value)
    if kind is bool:
        return {"BOOL": value}
    if kind is str:
        return {"S": value}
    if kind is bytes:
        return {"B": value}
    if kind is list:
        return {"L": [encode_value(one) for one in value]}
    if kind is dict:
        return {"M": encode_item(value)}
    if kind is set or kind is frozenset:
        return _encode_set(value)
    return {"N": _number(value)}


def _encode_set(members: Any) -> dict[str, Any]:
    one = next(iter(members))
    if isinstance(one, str):
        return {"SS": sorted(members)}
    if isinstance(one, bytes):
        return {"BS": sorted(members)}
    return {"NS": sorted(map(_number, members))}


def _number(value: Any) -> str:
    """Digits without an exponent where they are not too many: what reads the same to people and to emulators."""
    if isinstance(value, float):
        return repr(value)
    text = str(value) if type(value) is int else format(value, "f")
    if len(text) <= _PLAIN_DIGITS:
        return text
    if type(value) is not int:
        return str(value)
    kept = text.rstrip("0")
    return f"{kept}E{len(text) - len(kept)}"


def decode_row(attributes: dict[str, Any]) -> Row:
    """An item as it was read, its version apart. One that others wrote may have none: then it is ""."""
    from portable.drivers.table import Row

    version = attributes.pop(VERSION, None)
    return Row(decode_item(attributes), "" if version is None else str(version.get("S", "")))


def decode_item(attributes: dict[str, Any]) -> Item:
    """The item that was encoded, its numbers int or Decimal."""
    return {name: _decode(value) for name, value in attributes.items()}


def _decode(value: dict[str, Any]) -> Any:
    [(kind, content)] = value.items()
    if kind in ("S", "BOOL"):
        return content
    if kind == "B":
        return _read_bytes(content)
    if kind == "N":
        return _read_number(content)
    if kind == "M":
        return decode_item(content)
    if kind == "L":
        return [_decode(one) for one in content]
    if kind == "NS":
        return {_read_number(one) for one in content}
    if kind == "SS":
        return set(content)
    if kind == "BS":
        return {_read_bytes(one) for one in content}
    return None


def _read_bytes(content: bytes | str) -> bytes:
    """Bytes as botocore gives them, or in base64, as an event of the stream has them."""
    if isinstance(content, bytes):
        return content
    from binascii import a2b_base64

    return a2b_base64(content)


def _read_number(text: str) -> Any:
    if text.lstrip("-").isdigit():
        return int(text)
    from decimal import Decimal

    return Decimal(text)
