"""Conditional requests and ranges: RFC 9110, sections 13 and 14."""

from __future__ import annotations

from portable.errors import HTTPError
from portable.events import Response
from portable.http.answers import problem
from portable.http.copies import bytes_of, copied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from portable.events import Request

__all__ = ["ETag", "Ranges", "check_conditions"]

# What describes the body that a 304 does not have; the rest is as in a 200. RFC 9110, 15.4.5. Flask drops these too, so
# that it would be another 304 on Google Cloud.
_OF_THE_BODY = (
    "accept-ranges",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "last-modified",
)


class ETag:
    """Give answers to GET and HEAD an ``ETag`` and answer 304 when the caller has them: ``app.middleware(ETag())``.

    The tag is a digest of the body, so the handler still does its work: what is saved is the sending. A handler that
    knows better says its own ``ETag`` or ``Last-Modified``, or asks :func:`check_conditions` before it works. Also
    answers 412 to a GET whose ``If-Match`` or ``If-Unmodified-Since`` fails. Writes are for :func:`check_conditions`.

    Args:
        weak: make weak tags, for bodies that differ in bytes and mean the same.
    """

    __slots__ = ("_weak",)

    def __init__(self, *, weak: bool = False) -> None:
        self._weak = weak

    def after(self, request: Request, response: Response) -> Response:
        """The answer with its tag, or a 304 or 412 in its place."""
        if response.status != 200 or request.method not in ("GET", "HEAD"):
            return response
        headers = response._headers
        tag = None if headers is None else headers.get("etag")
        if tag is None:
            body = bytes_of(response)
            if body is None or (headers is not None and "no-store" in headers.get("cache-control", "").lower()):
                return response
            tag = _digest(body, self._weak)
            response = copied(response)
            response.headers["etag"] = tag
        modified = response.headers.get("last-modified")
        status = _evaluate(request, tag, modified)
        if status == 304:
            return _bare(response, 304)
        if status == 412:
            return problem(412, "The answer is another than the request asks for", headers={"etag": tag})
        return response


class Ranges:
    """Answer ``Range: bytes=…`` with that part of the answer: ``app.middleware(Ranges())``.

    For GET, of whole answers (200) that are not sent while they are made, nor encoded (add ``GZip`` before it: the
    first added is the outermost). One range is answered, 206 or 416; to several the whole is the answer, which RFC 9110
    allows. ``If-Range`` takes a strong tag, or the date of ``Last-Modified`` as it was sent.
    """

    __slots__ = ()

    def after(self, request: Request, response: Response) -> Response:
        """The part, or the whole."""
        if response.status != 200 or request.method not in ("GET", "HEAD"):
            return response
        body = bytes_of(response)
        if body is None or "content-encoding" in response.headers:
            return response
        response = copied(response)
        headers = response.headers
        headers.setdefault("accept-ranges", "bytes")
        asked = request.headers.get("range")
        if asked is None or request.method == "HEAD" or not _same_as_before(request, response):
            return response
        span = _span(asked, len(body))
        if span is None:
            return response
        if not span:
            return problem(416, "The range is outside of the answer", headers={"content-range": f"bytes */{len(body)}"})
        start, end = span
        response.body = body[start:end]
        response.status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{len(body)}"
        if "content-length" in headers:
            headers["content-length"] = str(end - start)
        return response


def check_conditions(
    request: Request, *, etag: str | None = None, modified: datetime | None = None, required: bool = False
) -> Response | None:
    """Whether a handler should go on, from the conditions of a request and what is there now.

    To be called before the work: ``if answer := check_conditions(request, etag=user.version): return answer``.

    Args:
        etag: of what is there now, with or without its quotes; ``W/"…"`` is a weak one, which ``If-Match`` never
            matches. None: nothing is there, so that ``If-None-Match: *`` creates.
        modified: when it last changed, an aware datetime.
        required: refuse a write that has neither ``If-Match`` nor ``If-Unmodified-Since`` with 428: no lost updates.

    Returns None: go on; a 304 for GET and HEAD. Raises HTTPError 412 or 428; ValueError for a naive datetime.
    """
    tag = _quoted(etag)
    stamp = None
    if modified is not None:
        from datetime import UTC
        from email.utils import format_datetime

        if modified.tzinfo is None:
            raise ValueError(f"modified is an aware datetime, got one without a time zone: {modified!r}")
        stamp = format_datetime(modified.astimezone(UTC), usegmt=True)
    reading = request.method in ("GET", "HEAD")
    headers = request.headers
    if required and not reading and "if-match" not in headers and "if-unmodified-since" not in headers:
        raise HTTPError(428, "This needs If-Match with the ETag of what you change")
    status = _evaluate(request, tag, stamp)
    if status == 0:
        return None
    known = {} if tag is None else {"etag": tag}
    if status == 304:
        return Response(None, 304, known)
    raise HTTPError(412, "What is there is another than the request asks for", headers=known)


def _quoted(etag: str | None) -> str | None:
    if etag is None or etag.endswith('"'):
        return etag
    if '"' in etag:
        raise ValueError(f"{etag!r} is no entity tag")
    return f'"{etag}"'


def _digest(body: bytes, weak: bool) -> str:
    from _blake2 import blake2b  # hashlib's own import costs ten times this

    return f'{"W/" if weak else ""}"{blake2b(body, digest_size=16).hexdigest()}"'


def _evaluate(request: Request, tag: str | None, modified: str | None) -> int:
    """0: go on; else 304 or 412. In the order of RFC 9110, 13.2.2."""
    headers = request.headers
    reading = request.method in ("GET", "HEAD")
    wanted = headers.get("if-match")
    if wanted is not None:
        if not _matches(wanted, tag, strong=True):
            return 412
    elif (since := headers.get("if-unmodified-since")) is not None and _is_after(modified, since):
        return 412
    unwanted = headers.get("if-none-match")
    if unwanted is not None:
        if _matches(unwanted, tag, strong=False):
            return 304 if reading else 412
    elif reading and (since := headers.get("if-modified-since")) is not None and _is_after(modified, since) is False:
        return 304
    return 0


def _matches(field: str, tag: str | None, strong: bool) -> bool:
    """Whether a list of tags, or ``*``, holds this one."""
    if tag is None:
        return False
    if field.strip() == "*":
        return True
    weak = tag.startswith("W/")
    if strong and weak:
        return False
    opaque = tag.removeprefix("W/")
    return any((not listed_weak or not strong) and listed == opaque for listed_weak, listed in _listed(field))


def _listed(field: str) -> list[tuple[bool, str]]:
    """Each tag of a list: whether it is weak, and its quoted part. A comma may stand within the quotes."""
    found = []
    position = 0
    while (start := field.find('"', position)) >= 0:
        end = field.find('"', start + 1)
        if end < 0:
            break
        found.append((field[max(position, start - 2) : start] == "W/", field[start : end + 1]))
        position = end + 1
    return found


def _is_after(modified: str | None, since: str) -> bool | None:
    """Whether one HTTP date is later than another; None when either is none, and then the condition is ignored."""
    if modified is None:
        return None
    if modified == since:
        return False
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(modified) > parsedate_to_datetime(since)
    except (TypeError, ValueError, OverflowError):
        return None


def _bare(response: Response, status: int) -> Response:
    pairs = [] if response._headers is None else response._headers.items()
    return Response(None, status, [pair for pair in pairs if pair[0] not in _OF_THE_BODY])


def _same_as_before(request: Request, response: Response) -> bool:
    wanted = request.headers.get("if-range")
    if wanted is None:
        return True
    if wanted.startswith('"'):
        return wanted == response.headers.get("etag")
    return wanted == response.headers.get("last-modified")


def _span(asked: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """Start and end of the one range asked for; () when it lies outside; None for what is to be ignored."""
    unit, _, spec = asked.partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or "," in spec:
        return None
    first, last = first.strip(), last.strip()
    if any(text and not (text.isascii() and text.isdigit() and len(text) < 19) for text in (first, last)):
        return None
    if not first:
        if not last:
            return None
        return (max(0, size - int(last)), size) if int(last) and size else ()
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return (start, end) if start < size else ()
