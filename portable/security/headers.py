"""Headers that browsers heed: what an answer may be taken for, where it may be shown, and whether HTTPS stays."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.http.copies import copied
from portable.security.guard import check_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from portable.events import Request, Response

__all__ = ["SecurityHeaders"]

YEAR = 31_536_000  # seconds


class SecurityHeaders:
    """Adds to every answer what https://owasp.org/www-project-secure-headers/ asks of an API:
    ``app.middleware(SecurityHeaders())``.

    ``x-content-type-options: nosniff``, ``x-frame-options: DENY``, ``content-security-policy: frame-ancestors 'none'``,
    ``referrer-policy: no-referrer``, ``cross-origin-opener-policy: same-origin``, and
    ``strict-transport-security`` over HTTPS. A header that the handler has set stays as it is.

    Args:
        content_security_policy: another policy, for an app that answers with pages. None: no such header.
        strict_transport_security: for how long browsers shall come by HTTPS alone; a year when left out, None: no such
            header. subdomains: whether that is for the names below this one too.
        more: headers to add, or to have in place of these; None in place of a text leaves one out.
    """

    __slots__ = ("_pairs", "_secure")

    def __init__(
        self,
        *,
        content_security_policy: str | None = "frame-ancestors 'none'",
        strict_transport_security: timedelta | int | None = YEAR,
        subdomains: bool = True,
        more: Mapping[str, str | None] = {},
    ) -> None:
        chosen: dict[str, str | None] = {
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "content-security-policy": content_security_policy,
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
        }
        chosen.update({name.lower(): text for name, text in more.items()})
        self._pairs = [(name, _header(name, text)) for name, text in chosen.items() if text is not None]
        age = strict_transport_security
        seconds = None if age is None else int(age if isinstance(age, int) else age.total_seconds())
        if seconds is not None and seconds < 0:
            raise ConfigError(f"strict_transport_security is a time from now on, got {age!r}")
        below = "; includeSubDomains" if subdomains else ""
        self._secure = None if seconds is None else f"max-age={seconds}{below}"

    def after(self, request: Request, response: Response) -> Response:
        """A copy of the answer with the headers it lacks."""
        answer = copied(response)
        headers = answer.headers
        for name, text in self._pairs:
            headers.setdefault(name, text)
        if self._secure is not None and request.scheme == "https":
            headers.setdefault("strict-transport-security", self._secure)
        return answer


def _header(name: str, text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ConfigError(f"header {check_text('a header', name)!r} cannot be {text!r}: printable ASCII alone")
    return text
