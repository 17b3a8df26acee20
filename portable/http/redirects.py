"""An answer that sends the caller elsewhere."""

from __future__ import annotations

from portable.events import Response

__all__ = ["redirect"]

_STATUSES = (301, 302, 303, 307, 308)
_SENT_AS_IT_IS = "!#$%&'()*+,-./:;=?@[]_~"


def redirect(url: str, status: int = 307) -> Response:
    """Send the caller to ``url``.

    Args:
        url: absolute, or a path: ``/items/7`` is of this host, where ``request.root_path`` comes first (the stage of an
            API Gateway). What a URL cannot hold is percent-encoded; percent signs stay. One that callers gave is a way
            to send people to any page: check it first.
        status: 307 and 308 (for good) repeat the method and the body; 303 asks again with GET, as after a form; 302 and
            301 leave that to the caller.

    Raises ValueError for another status, and a URL with a line break or another control character.
    """
    if status not in _STATUSES:
        raise ValueError(f"a redirect's status is one of {', '.join(map(str, _STATUSES))}, got {status!r}")
    if any(character < " " or character == "\x7f" for character in url):
        raise ValueError(f"a URL holds no control characters: {url!r}")
    from urllib.parse import quote

    return Response(None, status, {"location": quote(url, safe=_SENT_AS_IT_IS)})
