"""What a write says of a blob: content type, metadata, cache control, conditions; checked, for every cloud alike."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from mimetypes import MimeTypes
    from typing import Any

__all__ = ["check_header", "guess_type", "write_options"]

OCTETS = "application/octet-stream"
_types: MimeTypes | None = None
_METADATA_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def guess_type(key: str) -> str:
    """The content type a key's ending says, the same on every machine: its own tables of types are not asked."""
    global _types
    if _types is None:
        from mimetypes import MimeTypes

        _types = MimeTypes()
    found, packed = _types.guess_type("/" + key.rpartition("/")[2], strict=False)
    if packed:
        return "application/gzip" if packed == "gzip" else OCTETS
    return found or OCTETS


def check_header(bucket: str, key: str, name: str, value: str) -> None:
    """Raise ValueError unless ``value`` can be a header's, here and in every cloud."""
    if not value or not value.isascii() or not value.isprintable() or value != value.strip():
        raise ValueError(f"{bucket}, key {key!r}: {name} {value!r} is no header's value")


def write_options(
    bucket: str,
    key: str,
    content_type: str | None,
    metadata: Mapping[str, str] | None,
    cache_control: str | None,
    if_absent: bool,
    if_match: str | None,
) -> dict[str, Any]:
    """What a driver's ``write`` takes. Raises ValueError and TypeError for what no cloud can hold."""
    if if_absent and if_match is not None:
        raise ValueError(f"{bucket}, key {key!r}: if_absent and if_match exclude each other")
    for name, value in (metadata or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"metadata is str to str, got {name!r}: {value!r}")
        if not _METADATA_NAME.issuperset(name) or not name or name[0].isdigit():
            raise ValueError(f"metadata name {name!r}: use lower-case ASCII letters, digits and underscores")
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError(f"metadata {name!r}: the value holds what a header cannot; encode it first")
    if content_type is None:
        content_type = guess_type(key)
    else:
        check_header(bucket, key, "content_type", content_type)
    options = {
        "content_type": content_type,
        "metadata": metadata,
        "if_absent": if_absent,
        "if_match": if_match,
    }
    if cache_control is not None:
        check_header(bucket, key, "cache_control", cache_control)
        options["cache_control"] = cache_control
    return options
