"""Who may post events: the OIDC token Pub/Sub, Cloud Scheduler and Eventarc send is verified before anything is read.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions,
https://cloud.google.com/scheduler/docs/http-target-auth. The function's environment says what is expected:

``PORTABLE_EVENT_AUDIENCE``  the token's audience, as the subscription or job has it; may be left out with ``iam``
``PORTABLE_EVENT_ACCOUNT``   e-mail of the service account that posts; several with commas
``PORTABLE_EVENT_AUTH``      who checks the token:

* ``oidc``, the default: this module, against Google's certificates. For a service that anybody may reach.
* ``iam``: Cloud Run's own IAM check has done so, and removed the signature on the way, as it does on a service that is
  not public (https://cloud.google.com/run/docs/authenticating/service-to-service). Account and times are checked here
  all the same, and the audience where one is said: Cloud Run has compared it with the service's own URLs, of which
  Eventarc takes another one than a deployment can know. Refused outside Cloud Run; never set it on a public service.
* ``off-on-loopback``: nobody. What ``portable run`` sets. It is refused on Cloud Run (``K_SERVICE``), and takes
  requests that come from this machine and through no proxy.

Without what it needs of them the function does not start.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic

from portable.errors import ConfigError, HTTPError
from portable_gcp import _sdk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Certificates", "Guard"]

CERTIFICATES_URL = "https://www.googleapis.com/oauth2/v1/certs"  # PEM by key id
ISSUERS = ("https://accounts.google.com", "accounts.google.com")
UNVERIFIED = "off-on-loopback"
_LOOPBACK = ("127.0.0.1", "::1")


class Certificates:
    """Google's public certificates, kept as long as their answer says; fetched anew for a key nobody has seen yet.

    Args:
        fetch: gives the certificates and the seconds they may be kept.
    """

    RECHECK = 60.0  # seconds between two fetches for unknown keys, which anybody can make up

    def __init__(self, fetch: Callable[[], tuple[Mapping[str, str], float]] | None = None) -> None:
        self._fetch = fetch or fetch_certificates
        self._lock = Lock()
        self._known: Mapping[str, str] = {}
        self._fetched_at = 0.0
        self._keep = -1.0

    def get(self, key: str | None) -> Mapping[str, str]:
        """The certificates. Raises HTTPError 503 when they cannot be fetched."""
        with self._lock:
            age = monotonic() - self._fetched_at
            if age > self._keep or (key is not None and key not in self._known and age > self.RECHECK):
                try:
                    self._known, self._keep = self._fetch()
                except (OSError, ValueError) as error:
                    raise HTTPError(503, f"Google's certificates cannot be fetched: {error}") from error
                self._fetched_at = monotonic()
            return self._known


def fetch_certificates() -> tuple[Mapping[str, str], float]:
    """Google's certificates and the seconds of their ``Cache-Control``."""
    from json import loads
    from urllib.request import urlopen

    with urlopen(CERTIFICATES_URL, timeout=10) as answer:
        found: dict[str, str] = loads(answer.read())
        cache = answer.headers.get("Cache-Control", "")
    for part in cache.split(","):
        name, _, value = part.strip().partition("=")
        if name == "max-age" and value.isdigit():
            return found, float(value)
    return found, 3600.0


class Guard:
    """Lets through what a known account posts. Raises ConfigError for an environment that does not say who that is."""

    def __init__(self, environment: Mapping[str, str], certificates: Certificates | None = None) -> None:
        self.mode = environment.get("PORTABLE_EVENT_AUTH") or "oidc"
        if self.mode not in ("oidc", "iam", UNVERIFIED):
            raise ConfigError(f"PORTABLE_EVENT_AUTH is 'oidc', 'iam' or {UNVERIFIED!r}, got {self.mode!r}")
        self._certificates = certificates or Certificates()
        self._audience = environment.get("PORTABLE_EVENT_AUDIENCE", "")
        accounts = environment.get("PORTABLE_EVENT_ACCOUNT", "").split(",")
        self._accounts = frozenset(account.strip() for account in accounts if account.strip())
        if self.mode == "iam" and not environment.get("K_SERVICE"):
            raise ConfigError("PORTABLE_EVENT_AUTH=iam outside Cloud Run: no IAM check stands before this process")
        if self.mode == UNVERIFIED:
            self._refuse_in_a_cloud(environment)
        elif not self._accounts or not (self._audience or self.mode == "iam"):
            raise ConfigError(
                "PORTABLE_EVENT_AUDIENCE and PORTABLE_EVENT_ACCOUNT must be set: the audience and the service account "
                "of the OIDC token with which events are posted; without them no event can be believed"
            )

    @staticmethod
    def _refuse_in_a_cloud(environment: Mapping[str, str]) -> None:
        if environment.get("K_SERVICE"):
            raise ConfigError(f"PORTABLE_EVENT_AUTH={UNVERIFIED} on Cloud Run: anybody could post events. Remove it")
        from logging import getLogger

        getLogger("portable").warning(
            "EVENTS ARE NOT VERIFIED: PORTABLE_EVENT_AUTH=%s. Requests from this machine alone are taken", UNVERIFIED
        )

    def check(self, environ: Mapping[str, Any]) -> None:
        """Raise HTTPError 401 for a request without a valid token, 403 for a stranger's. ``environ`` is WSGI's."""
        if self.mode == UNVERIFIED:
            if environ.get("REMOTE_ADDR") not in _LOOPBACK or "HTTP_X_FORWARDED_FOR" in environ:
                raise HTTPError(403, "events are taken from this machine alone while they are not verified")
            return
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("an OIDC token is needed: Authorization: Bearer …")
        claims = self._claims(token.strip())
        if claims.get("iss") not in ISSUERS:
            raise _unauthorized(f"the token's issuer is {claims.get('iss')!r}, not Google")
        if claims.get("email_verified") is not True or claims.get("email") not in self._accounts:
            raise HTTPError(403, f"the account {claims.get('email')!r} may not post events here")

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            certificates = None if self.mode == "iam" else self._certificates.get(_key_of(token))
            return _sdk.read_token(token, certificates, self._audience)
        except ValueError as error:
            raise _unauthorized(f"the OIDC token is not valid: {error}") from error


def _unauthorized(detail: str) -> HTTPError:
    return HTTPError(401, detail, headers={"www-authenticate": "Bearer"})


def _key_of(token: str) -> str | None:
    """The key id of a token, to know whether certificates are fresh enough. Raises ValueError."""
    from base64 import urlsafe_b64decode
    from json import loads

    header = loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    key = header.get("kid") if isinstance(header, dict) else None
    return key if isinstance(key, str) else None
