"""Bodies and queries as Lambda's HTTP events carry them: text as text, binary in base64."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from portable.events import Request, Response

__all__ = ["check_pairs", "check_text", "decode_body", "encode_body", "parse_query"]

_TEXTUAL = ("application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded")


def check_text(body: Any) -> str:
    """The body of an event that says it is text. Raises TypeError."""
    if body.__class__ is not str:
        raise TypeError(f"its body is {type(body).__name__}, not text")
    text: str = body
    return text


def check_pairs(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Raise TypeError naming a header or parameter that is no text."""
    for name, value in pairs:
        if value.__class__ is not str:
            raise TypeError(f"{name!r} is {value!r}, not text")


def decode_body(request: Request) -> bytes:
    """The request's bytes; ``b""`` for an empty or absent body."""
    event: dict[str, Any] = request.native
    body = event.get("body")
    if not body:
        return b""
    if event.get("isBase64Encoded"):
        from binascii import a2b_base64

        return a2b_base64(body)
    encoded: bytes = body.encode()
    return encoded


def encode_body(response: Response) -> tuple[str, bool]:
    """The answer's body, and whether it is in base64.

    Bytes go as text where their media type says text in UTF-8 and they are: a REST API hands base64 on undecoded
    unless its binary media types cover the type.
    """
    body = response.body
    if body is None:
        return "", False
    if isinstance(body, str):
        return body, False
    if _is_text(response.media_type or response.headers.get("content-type") or ""):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    from binascii import b2a_base64

    return b2a_base64(body, newline=False).decode(), True


def _is_text(media_type: str) -> bool:
    kind, _, rest = media_type.lower().partition(";")
    kind = kind.strip()
    if "charset" in rest and "utf-8" not in rest and "utf8" not in rest:
        return False
    return kind.startswith("text/") or kind in _TEXTUAL or kind.endswith(("+json", "+xml"))


def unquote_value(text: str) -> str:
    """One name or value of a query string, decoded."""
    if "%" not in text and "+" not in text:
        return text
    from urllib.parse import unquote_plus

    return unquote_plus(text)


def parse_query(text: str) -> list[tuple[str, str]]:
    """The pairs of a query string, in order, decoded, those with an empty value too."""
    pairs = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_value(name), unquote_value(value)))
    return pairs
