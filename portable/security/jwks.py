"""The keys an issuer publishes (RFC 7517): fetched on first use, kept for a while, fetched anew when one is unknown.

The wall clock counts: the other one stands still while an instance is frozen.
"""

from __future__ import annotations

from _thread import allocate_lock
from time import time

from portable.errors import HTTPError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["COOLDOWN", "GRACE", "PAUSE", "TIMEOUT", "TTL", "KeySet", "PublishedKeys", "VerifyingKey", "check_address"]

TTL = 600.0
"""Seconds a key set is kept where nothing else is said."""

COOLDOWN = 30.0
"""Seconds after a fetch in which an unknown key fetches nothing: a stranger's tokens cannot make an instance ask."""

GRACE = 3600.0
"""Seconds after its time that a key set is still used while it cannot be fetched."""

PAUSE = 5.0
"""Seconds between two attempts to fetch what could not be fetched."""

TIMEOUT = 5.0
"""Seconds to connect and to be answered, and for all of the answer."""

LARGEST = 1 << 20  # bytes of an answer; a set of twenty keys has some 20,000

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "OKP": ("EdDSA",),
}
"""Algorithms by the family of the one key that may verify them. A key of one family never verifies another's."""

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_RSA_BITS = 2048  # RFC 7518, section 3.3


class VerifyingKey:
    """A public key: its id or None, the algorithms it may verify, and itself."""

    __slots__ = ("algorithms", "id", "key")

    def __init__(self, id: str | None, algorithms: tuple[str, ...], key: Any) -> None:
        self.id = id
        self.algorithms = algorithms
        self.key = key


def algorithms_of(key: Any) -> tuple[str, ...]:
    """The algorithms a public key of ``cryptography`` may verify. Raises ValueError."""
    kind = type(key).__name__
    if "Private" in kind:
        raise ValueError("it is a private key; what verifies needs the public one alone")
    if "RSA" in kind:
        if key.key_size < _RSA_BITS:
            raise ValueError(f"an RSA key has {_RSA_BITS} bits at least, this one has {key.key_size}")
        return FAMILIES["RSA"]
    if "Ed25519" in kind or "Ed448" in kind:
        return FAMILIES["OKP"]
    curve = _CURVES.get(getattr(getattr(key, "curve", None), "name", ""))
    if curve is None:
        raise ValueError(f"{kind} is a key of no known kind")
    return FAMILIES[curve]


class KeySet:
    """The keys of one document. Those that verify nothing here are left out: encryption, symmetric, private, too short.

    Raises ValueError for a document that is no key set.
    """

    def __init__(self, document: Any) -> None:
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("it is no JSON object with a list of keys")  # noqa: TRY004 - a stranger's answer
        read = (_read_key(one) for one in listed if isinstance(one, dict))
        self.keys = [one for one in read if one is not None]

    def select(self, algorithm: str, id: str | None) -> list[VerifyingKey]:
        """The keys that may have signed. A token that names none is for the only key that fits, else for none."""
        return self.choose(self.keys, algorithm, id)

    @staticmethod
    def choose(keys: list[VerifyingKey], algorithm: str, id: str | None) -> list[VerifyingKey]:
        """See :meth:`select`."""
        fit = [one for one in keys if algorithm in one.algorithms]
        if id is None:
            return fit if len(fit) == 1 else []
        return [one for one in fit if one.id == id]


def _read_key(found: dict[str, Any]) -> VerifyingKey | None:
    from jwt import algorithms as kinds

    readers: dict[str, Any] = {"RSA": kinds.RSAAlgorithm, "EC": kinds.ECAlgorithm, "OKP": kinds.OKPAlgorithm}
    reader = readers.get(str(found.get("kty")))
    operations = found.get("key_ops")
    if reader is None or "d" in found or found.get("use", "sig") != "sig":
        return None
    if isinstance(operations, list) and "verify" not in operations:
        return None
    try:
        key = reader.from_jwk(found)
        allowed = algorithms_of(key)
    except Exception:  # whatever PyJWT and cryptography have against it; the other keys are no worse for it
        return None
    if "alg" in found:
        allowed = tuple(one for one in allowed if one == found["alg"])
    return VerifyingKey(found.get("kid"), allowed, key)


class PublishedKeys:
    """A key set behind an address. Safe under threads: of several that need it one fetches, and the others wait, or go
    on with a set that is only too old.

    Args:
        address: gives the address of the set, or of the issuer where ``discover``; asked before each fetch.
        ttl: seconds a set is kept. cooldown: see :data:`COOLDOWN`.
    """

    def __init__(self, address: Callable[[], str], discover: bool, ttl: float, cooldown: float) -> None:
        self._address = address
        self._discover = discover
        self._ttl = ttl
        self._cooldown = cooldown
        self._fetching = allocate_lock()
        self._held: tuple[KeySet, float] | None = None
        self._tried = self._failed = float("-inf")

    def at_hand(self, algorithm: str, id: str | None) -> list[VerifyingKey]:
        """What can be said without a fetch; an empty list says nothing."""
        held = self._held
        return held[0].select(algorithm, id) if held is not None and self._is_fresh(held) else []

    def find(self, algorithm: str, id: str | None) -> list[VerifyingKey]:
        """The keys that may have signed; it may fetch. Raises HTTPError 503 when there is no set to look into."""
        found = self.at_hand(algorithm, id)
        if found:
            return found
        held = self._held
        if held is not None and not self._is_fresh(held):
            held = self._renewed(held, patient=False)
            found = held[0].select(algorithm, id)
            if found:
                return found
        cooling = 0 <= time() - self._tried < self._cooldown
        if held is None or not self._is_fresh(held) or not cooling:
            found = self._renewed(held, patient=True)[0].select(algorithm, id)
        if not found and self._failed >= self._tried:
            raise _unavailable()  # it may be a new one of the issuer's: nobody can tell
        return found

    def _is_fresh(self, held: tuple[KeySet, float]) -> bool:
        return 0 <= time() - held[1] < self._ttl

    def load(self) -> None:
        """Fetch the set where there is none yet. Raises HTTPError 503."""
        if self._held is None:
            self._renewed(None, patient=True)

    def _renewed(self, held: tuple[KeySet, float] | None, patient: bool) -> tuple[KeySet, float]:
        usable = held is not None and 0 <= time() - held[1] < self._ttl + GRACE
        if not self._fetching.acquire(patient or not usable):
            assert held is not None
            return held
        try:
            again = self._held
            if again is not None and again is not held:
                return again
            if held is not None and usable and 0 <= time() - self._failed < PAUSE:
                return held
            if 0 <= time() - self._failed < PAUSE:
                raise _unavailable()
            return self._fetch(held if usable else None)
        finally:
            self._fetching.release()

    def _fetch(self, held: tuple[KeySet, float] | None) -> tuple[KeySet, float]:
        try:
            address = check_address("jwks", self._address())
            if self._discover:
                address = _discovered(address)
            self._held = (KeySet(_get(address)), time())
        except Exception as error:
            self._tried = self._failed = time()
            from logging import getLogger

            age = "none is kept" if held is None else f"those of {time() - held[1]:.0f} s ago are used"
            getLogger("portable").warning("the keys of tokens cannot be fetched, %s: %s", age, error)
            if held is None:
                raise _unavailable() from error
            return held
        self._tried, self._failed = time(), float("-inf")
        return self._held


def _unavailable() -> HTTPError:
    seconds = f"{PAUSE:.0f}"
    return HTTPError(503, "Tokens cannot be checked at the moment", headers={"retry-after": seconds})


def check_address(what: str, address: str) -> str:
    """``address``; ConfigError for one that is not https: whoever stands between could hand out keys of their own."""
    from urllib.parse import urlsplit

    from portable.errors import ConfigError

    parts = urlsplit(address)
    if parts.hostname and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
    ):
        return address
    raise ConfigError(f"{what} is an https:// address (http:// on this machine only), got {address!r}")


def _discovered(issuer: str) -> str:
    """OpenID Connect Discovery 1.0, section 4: the document has to be of the very issuer that was asked."""
    document = _get(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ValueError(f"the discovery document of {issuer} is another issuer's")
    return check_address("jwks_uri", str(document.get("jwks_uri")))


def _get(address: str) -> Any:
    """The JSON behind an address. Redirections are refused; raises whatever stands in the way."""
    from urllib.error import HTTPError as Refusal
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    from portable.jsontext import load_text

    class Refuse(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    asked = Request(address, headers={"accept": "application/json", "user-agent": "portable-functions"})
    try:
        with build_opener(Refuse).open(asked, timeout=TIMEOUT) as answer:
            text = _read(address, answer)
    except Refusal as refusal:
        refusal.close()
        raise UnavailableError(f"{address} answers with status {refusal.code}") from None
    return load_text(text)


def _read(address: str, answer: Any) -> bytes:
    from time import monotonic

    end = monotonic() + TIMEOUT
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise UnavailableError(f"{address} answers with more than {LARGEST} bytes")
        if monotonic() > end:
            raise UnavailableError(f"{address} takes longer than {TIMEOUT:.0f} s")
    return b"".join(parts)
