"""The ``Set-Cookie`` header: RFC 6265, and what browsers have added to it since."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Any

__all__ = ["write_cookie"]

_NOT_IN_NAMES = frozenset('()<>@,;:\\"/[]?={}')
_NOT_IN_VALUES = frozenset('",;\\')


def write_cookie(
    name: str,
    value: str,
    *,
    max_age: int | timedelta | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = True,
    httponly: bool = True,
    samesite: str | None = "lax",
    partitioned: bool = False,
) -> str:
    """The header's value. Raises ValueError for what a cookie cannot hold, and what no browser would keep."""
    if not name or any(c in _NOT_IN_NAMES or not 0x20 < ord(c) < 0x7F for c in name):
        raise ValueError(f"{name!r} cannot be a cookie's name")
    if any(c in _NOT_IN_VALUES or not 0x20 < ord(c) < 0x7F for c in value):
        raise ValueError(f"the value of cookie {name!r} holds a character a cookie cannot; encode it first")
    if samesite is not None and samesite.lower() not in ("lax", "strict", "none"):
        raise ValueError(f"samesite is 'lax', 'strict', 'none' or None, got {samesite!r}")
    _check_kept(name, path, domain, secure, samesite, partitioned)
    parts = [f"{name}={value}"]
    if max_age is not None:
        seconds: Any = max_age
        parts.append(f"Max-Age={int(seconds.total_seconds() if hasattr(seconds, 'total_seconds') else seconds)}")
    if expires is not None:
        parts.append(f"Expires={_write_date(expires)}")
    for label, text in (("Path", path), ("Domain", domain)):
        if text is not None:
            if any(c == ";" or not 0x20 <= ord(c) < 0x7F for c in text):
                raise ValueError(f"{text!r} cannot be a cookie's {label}")
            parts.append(f"{label}={text}")
    for label, said in (("Secure", secure), ("HttpOnly", httponly)):
        if said:
            parts.append(label)
    if samesite is not None:
        parts.append(f"SameSite={samesite.capitalize()}")
    if partitioned:
        parts.append("Partitioned")
    return "; ".join(parts)


def _check_kept(
    name: str, path: str | None, domain: str | None, secure: bool, samesite: str | None, partitioned: bool
) -> None:
    """Browsers drop such a cookie without a word: draft-ietf-httpbis-rfc6265bis, 5.7, and CHIPS."""
    if not secure:
        for asked, what in (
            (samesite is not None and samesite.lower() == "none", "samesite='none'"),
            (partitioned, "partitioned=True"),
            (name.lower().startswith(("__secure-", "__host-")), "this name"),
        ):
            if asked:
                raise ValueError(f"cookie {name!r}: browsers drop one with {what} unless secure=True")
    if name.lower().startswith("__host-") and (domain is not None or path != "/"):
        raise ValueError(f"cookie {name!r}: browsers drop one of this name with a domain, or a path other than '/'")


def _write_date(instant: datetime) -> str:
    from datetime import UTC
    from email.utils import format_datetime

    if instant.tzinfo is None:
        raise ValueError(f"expires is an aware datetime, got one without a time zone: {instant!r}")
    return format_datetime(instant.astimezone(UTC), usegmt=True)
