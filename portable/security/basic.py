"""HTTP basic authentication (RFC 7617): a name and a password with every request."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Request
from portable.security.guard import Guard, SecurityScheme
from portable.security.keys import check_callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from portable.resources.config import Config
    from portable.resources.secret import Secret

__all__ = ["BasicAuth", "hash_password"]

LONGEST = 4096  # characters of the header
PREFIX = "scrypt$"
_COST = (1 << 14, 8, 1)  # n, r, p of RFC 7914: 16 MiB and some 50 ms


def hash_password(password: str) -> str:
    """What to keep in place of a password: scrypt with a salt of its own. Some 50 ms and 16 MiB, each time."""
    from os import urandom

    salt = urandom(16)
    return "$".join(("scrypt", *map(str, _COST), salt.hex(), _scrypt(password, salt, _COST).hex()))


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    from hashlib import scrypt

    n, r, p = cost
    return scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


class BasicAuth(Guard):
    """``Authorization: Basic …``. As a dependency it gives the user's name, or what a function of yours says.

    Whether a name is known cannot be told by the time a refusal takes.

    Args:
        users: who they are. A Secret or Config: ``name:password`` a line, the password as it is or as
            :func:`hash_password` writes it. A mapping of names to hashes; a password itself is refused in code. A
            function of name and password that gives who it is, or None; on a thread where others share the loop.
        realm: what a browser shows when it asks.
        name, except_paths: see ``portable.security.guard.Guard``.
    """

    scheme = "Basic"

    def __init__(
        self,
        users: Secret | Config[str] | Mapping[str, str] | Callable[[str, str], Any],
        *,
        name: str = "basic",
        realm: str = "api",
        except_paths: Iterable[str] = (),
    ) -> None:
        super().__init__(name, realm, except_paths)
        self.security_scheme = SecurityScheme(name, {"type": "http", "scheme": "basic"})
        self._known: tuple[str, dict[str, str]] | None = None
        self._verify = self._verifier(users)

    def _verifier(self, users: Any) -> Callable[[str, str], Any]:
        if hasattr(users, "value"):
            self.resources = (users,)
            return lambda name, password: _verify(self._lines(users.value()), name, password)
        if hasattr(users, "items"):
            for name, kept in users.items():
                if _read_hash(kept) is None:
                    raise ConfigError(f"BasicAuth: the password of {name!r} is no hash; keep hash_password(…) of it")
            known = dict(users)
            return lambda name, password: _verify(known, name, password)
        return check_callable("BasicAuth: users", users)  # type: ignore[no-any-return]

    def check(self, request: Request) -> Any:
        """Who it is. Raises HTTPError 401."""
        sent = _read_header(request.headers.get("authorization"))
        if sent is None:
            raise self.refusal(401, "A name and a password are needed", charset="UTF-8")
        name, password = sent
        found = self._verify(name, password)
        if found is None or found is False:
            raise self.refusal(401, "The name or the password is wrong", charset="UTF-8")
        return name if found is True else found

    def _lines(self, text: str) -> dict[str, str]:
        known = self._known
        if known is None or known[0] != text:
            pairs = (line.partition(":") for line in text.splitlines() if line.strip())
            known = self._known = (text, {name.strip(): kept for name, _, kept in pairs})
        return known[1]


def _read_header(sent: str | None) -> tuple[str, str] | None:
    """Name and password; None for a header that holds none."""
    from base64 import b64decode

    kind, _, text = (sent or "").partition(" ")
    if kind.lower() != "basic" or len(text) > LONGEST:
        return None
    try:
        name, colon, password = b64decode(text.strip(" "), validate=True).decode().partition(":")
    except ValueError:  # of base64 and of UTF-8
        return None
    return (name, password) if colon and (name + password).isprintable() else None


def _read_hash(kept: object) -> tuple[tuple[int, int, int], bytes, bytes] | None:
    """Cost, salt and digest of a hash; None for what is none."""
    parts = kept.split("$") if isinstance(kept, str) and kept.startswith(PREFIX) else []
    if len(parts) != 6:
        return None
    try:
        return (int(parts[1]), int(parts[2]), int(parts[3])), bytes.fromhex(parts[4]), bytes.fromhex(parts[5])
    except ValueError:
        return None


def _verify(known: Mapping[str, str], name: str, password: str) -> bool:
    """Whether it is this user's password. For a name that is not known another's is tried, and the answer is no."""
    from hashlib import sha256
    from hmac import compare_digest

    kept = known.get(name)
    against = next(iter(known.values()), "") if kept is None else kept
    hashed = _read_hash(against)
    if hashed is None:
        same = compare_digest(sha256(password.encode()).digest(), sha256(against.encode()).digest())
    else:
        cost, salt, digest = hashed
        same = compare_digest(_scrypt(password, salt, cost), digest)
    return same and kept is not None
