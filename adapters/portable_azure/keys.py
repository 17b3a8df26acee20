"""Keys as names of blobs, and back.

Azure cannot hold every key: it takes a backslash for a slash, drops a dot or slash at the end, resolves ``.`` and
``..``, refuses control characters, and counts at most 254 segments. Those characters, and no others, are written as
``%`` and two upper-case hexadecimal digits a byte of UTF-8:

* a backslash, a control character, U+FFFE and U+FFFF: everywhere
* a dot: at the end of a segment (``a./b`` is stored as ``a%2E/b``)
* a slash: at the end of the key, and from the 254th on
* a percent sign: where it would otherwise read as one of these

Every other key is stored as it is. The mapping is one to one and stable. A blob whose name no key is stored under
(``x%2Fy``, written by another program) is listed by that name, and ``bucket.native()`` reads it.
"""

from __future__ import annotations

import re

from portable_azure.limits import BLOB_NAME_SEGMENTS

__all__ = ["decode_key", "encode_key", "prefixes_of"]

_ESCAPE = re.compile(r"(?:%(?:2E|2F|5C|7F|[01][0-9A-F]|C2%[89][0-9A-F]|EF%BF%B[EF]))|%25")
_LONGEST_ESCAPE = 9
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ufffe\uffff]")
_MAYBE_ODD = re.compile(rf"{_UNFIT.pattern}|%|\.(?:/|\Z)|/\Z")
_SLASHES = BLOB_NAME_SEGMENTS - 1


def _escape(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _write(key: str, whole: bool) -> str:
    """The name of a key, or, of the beginning of a longer one, the beginning of its name."""
    if _MAYBE_ODD.search(key) is None and key.count("/") <= _SLASHES:
        return key
    written = []
    slashes = 0
    last = len(key) - 1
    for position, character in enumerate(key):
        if character == "/":
            slashes += 1
            odd = slashes > _SLASHES or (whole and position == last)
        elif character == ".":
            odd = whole if position == last else key[position + 1] == "/"
        elif character == "%":
            odd = _ESCAPE.match(key, position) is not None
        else:
            odd = _UNFIT.match(character) is not None
        written.append(_escape(character) if odd else character)
    return "".join(written)


def encode_key(key: str) -> str:
    """The name of the blob that holds a key."""
    return _write(key, True)


def decode_key(name: str) -> str:
    """The key a blob holds, by its name."""
    if "%" not in name:
        return name
    key = _ESCAPE.sub(lambda match: bytes.fromhex(match.group().replace("%", "")).decode(), name)
    return key if _write(key, True) == name else name


def prefixes_of(prefix: str) -> list[str]:
    """Beginnings of names: each key with this prefix is stored under a name with exactly one of them."""
    found = [_write(prefix, False), _write(prefix, True)]
    # What follows the prefix may make its last percent sign one that has to be escaped.
    found += [
        f"{_write(prefix[:position], False)}%25{_write(prefix[position + 1 :], False)}"
        for position in range(max(0, len(prefix) - _LONGEST_ESCAPE), len(prefix))
        if prefix[position] == "%" and _ESCAPE.match(prefix, position) is None
    ]
    distinct = sorted(set(found))
    return [one for one in distinct if not any(one != other and one.startswith(other) for other in distinct)]
