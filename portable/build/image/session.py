"""What requests to a registry have in common: how long they wait, how often they are repeated, what they never tell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portable.build.image.reference import Reference
from portable.errors import ConfigError

__all__ = ["BUSY", "CHUNK", "MISSING", "TRIES", "Body", "new_session", "reason_of", "wait"]

CHUNK = 1 << 20
TRIES = 4
BUSY = (429, 500, 502, 503, 504)
MISSING = "a registry takes oras: pip install 'portable-functions[image]'"

_SECONDS = (20, 300)  # to connect, and until the next bytes come
_FIRST_WAIT = 0.4
_LONGEST_WAIT = 30  # seconds between two tries, whatever a registry asks for


class Body:
    """A file that is sent from its start as often as it has to be."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __len__(self) -> int:
        return self._file.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as content:
            while chunk := content.read(CHUNK):
                yield chunk


def new_session(reference: Reference) -> Any:
    """A session that asks again where a registry is busy, and waits for no answer for ever.

    A :class:`Body` is sent once: an upload has to be begun anew. Raises ConfigError where its library is missing.
    """
    from http.cookiejar import DefaultCookiePolicy

    try:
        import requests
        from urllib3.util.retry import Retry
    except ImportError as error:
        raise ConfigError(MISSING) from error

    class Bounded(Retry):
        def get_retry_after(self, response: Any) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, _LONGEST_WAIT)

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *arguments: Any, **more: Any) -> Any:
            told = {**more, "timeout": more.get("timeout") or _SECONDS}
            if isinstance(request.body, Body):
                return once.send(request, *arguments, **told)
            return super().send(request, *arguments, **told)

    session = requests.Session()
    # Some registries take whoever keeps a cookie for a browser.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.auth = _as_it_is  # the login is Docker's, and never that of a .netrc
    session.trust_env = not reference.plain  # nobody's proxy leads to this machine
    retry = Bounded(
        TRIES - 1, backoff_factor=_FIRST_WAIT, status_forcelist=BUSY, allowed_methods=None, raise_on_status=False
    )
    once = requests.adapters.HTTPAdapter()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter(max_retries=retry))
    return session


def _as_it_is(request: Any) -> Any:
    return request


def wait(attempt: int) -> None:
    """Before the next attempt, of those that begin with 0."""
    time.sleep(_FIRST_WAIT * 2**attempt)


def reason_of(error: Exception) -> str:
    """What is at the bottom of one of requests' errors."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    return str(reason).rpartition(": ")[2]
