"""A Firestore event's data, which Eventarc sends as protobuf alone: read and written here, without a library.

``google.events.cloud.firestore.v1.DocumentEventData`` and the messages in it,
https://github.com/googleapis/google-cloudevents/blob/main/proto/google/events/cloud/firestore/v1/data.proto, whose
documents are numbered as those of ``google.firestore.v1``. A document is ``(name, fields)``; fields hold None, bool,
int, float, str, bytes, list and dict; a timestamp is its seconds, and what portable never writes is left out.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Document = tuple[str, dict[str, Any]]

__all__ = ["read_event", "write_event"]

_VALUE, _OLD = 1, 2
_NAME, _FIELDS = 1, 2
_BOOL, _INTEGER, _DOUBLE, _REFERENCE, _MAP, _ARRAY, _TIME, _NULL, _TEXT, _BYTES = 1, 2, 3, 5, 6, 9, 10, 11, 17, 18
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def read_event(data: bytes) -> tuple[Document | None, Document | None]:
    """The document as it is, and as it was. Raises ValueError for what is no such message."""
    try:
        found = {number: _document(value) for number, value in _fields(data) if number in (_VALUE, _OLD)}
    except (IndexError, struct.error, TypeError, AttributeError) as error:
        raise ValueError(f"not a DocumentEventData: {error}") from error
    return found.get(_VALUE), found.get(_OLD)


def write_event(value: Document | None, old: Document | None) -> bytes:
    """The inverse of :func:`read_event`."""
    made = b""
    for number, document in ((_VALUE, value), (_OLD, old)):
        if document is not None:
            name, fields = document
            made += _delimited(number, _delimited(_NAME, name.encode()) + _map(_FIELDS, fields))
    return made


# --- reading


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and raw value of each field."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        value: Any
        if kind == _VARINT:
            value, position = _varint(data, position)
        elif kind == _LENGTH:
            length, position = _varint(data, position)
            value, position = data[position : position + length], position + length
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
            value, position = data[position : position + size], position + size
        else:
            raise ValueError(f"not a DocumentEventData: a field of kind {kind}")
        if position > len(data):
            raise ValueError("not a DocumentEventData: it is cut off")
        yield number, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _document(data: bytes) -> Document:
    name = ""
    fields: dict[str, Any] = {}
    for number, value in _fields(data):
        if number == _NAME:
            name = value.decode()
        elif number == _FIELDS:
            fields.update(_entry(value))
    return name, fields


def _entry(data: bytes) -> dict[str, Any]:
    parts = dict(_fields(data))
    return {parts.get(1, b"").decode(): _value(parts.get(2, b""))}


def _value(data: bytes) -> Any:
    for number, value in _fields(data):
        if number in (_TEXT, _REFERENCE):
            return value.decode()
        if number == _INTEGER:
            return value - 2**64 if value >= 2**63 else value
        if number == _DOUBLE:
            return struct.unpack("<d", value)[0]
        if number == _BOOL:
            return bool(value)
        if number == _BYTES:
            return value
        if number == _MAP:
            return {name: one for _, entry in _fields(value) for name, one in _entry(entry).items()}
        if number == _ARRAY:
            return [_value(one) for _, one in _fields(value)]
        if number == _TIME:
            return dict(_fields(value)).get(1, 0)
    return None


# --- writing


def _map(number: int, fields: dict[str, Any]) -> bytes:
    entries = (_delimited(1, name.encode()) + _delimited(2, _written(value)) for name, value in fields.items())
    return b"".join(_delimited(number, entry) for entry in entries)


def _written(value: Any) -> bytes:
    if value is None:
        return _number(_NULL, 0)
    if isinstance(value, bool):
        return _number(_BOOL, int(value))
    if isinstance(value, int):
        return _number(_INTEGER, value % 2**64)
    if isinstance(value, float):
        return _tag(_DOUBLE, _EIGHT) + struct.pack("<d", value)
    if isinstance(value, str):
        return _delimited(_TEXT, value.encode())
    if isinstance(value, bytes):
        return _delimited(_BYTES, value)
    if isinstance(value, list):
        return _delimited(_ARRAY, b"".join(_delimited(1, _written(one)) for one in value))
    return _delimited(_MAP, _map(1, value))


def _delimited(number: int, data: bytes) -> bytes:
    return _tag(number, _LENGTH) + _plain(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _plain(value)


def _tag(number: int, kind: int) -> bytes:
    return _plain(number << 3 | kind)


def _plain(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
