"""Items as the fields of a Firestore document, and back: exactly, in Firestore's own types wherever there is one."""

from __future__ import annotations

from portable.drivers.tags import decode, encode
from portable_gcp.limits import DOCUMENT_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.drivers.table import Item

__all__ = ["decode_item", "encode_item", "size_of"]

_INTEGERS = (-(2**63), 2**63 - 1)
_KEEPS = frozenset({bytes, float})
_TEXT = "$json"
"""The tag of a value that is nested deeper than Firestore takes, and so is kept as JSON text."""
_DEPTH = DOCUMENT_DEPTH - 2  # the item's own map counts, and the one of the tag


def encode_item(item: Item) -> dict[str, Any]:
    """The map for an item. An array within an array, a set, a Decimal and a large integer are tagged."""
    return {name: _encode(value) for name, value in item.items()}


def _encode(value: Any) -> Any:
    encoded = encode(value, _KEEPS, _INTEGERS)
    if not isinstance(encoded, (list, dict)) or _depth_of(encoded) <= _DEPTH:
        return encoded
    from portable.jsontext import encode_text

    return {_TEXT: encode_text(encode(value))}


def decode_item(fields: dict[str, Any]) -> Item:
    """The item that was encoded."""
    return {name: _decode(value) for name, value in fields.items()}


def _decode(value: Any) -> Any:
    if type(value) is dict and len(value) == 1 and _TEXT in value:
        from portable.jsontext import load_text

        value = load_text(value[_TEXT])
    return decode(value)


def _depth_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(_depth_of, inside), default=0)


def size_of(value: Any) -> int:
    """Bytes that are surely in the stored form: those of texts and bytes. A sign of what is hopeless to send."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + size_of(one) for name, one in value.items())
    return sum(map(size_of, value)) if isinstance(value, (list, set, frozenset)) else 8
