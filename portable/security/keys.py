"""API keys: long random texts that callers hold, of which this side need only know the hash."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Request
from portable.security.guard import Guard, SecurityScheme, check_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from portable.resources.config import Config
    from portable.resources.secret import Secret
    from portable.resources.table import Table

__all__ = ["APIKey", "check_callable", "hash_key"]

LONGEST = 1024  # characters of a key
PREFIX = "sha256:"
_COROUTINE = 0x80  # of a code's co_flags


def hash_key(key: str) -> str:
    """What to keep in place of an API key: ``sha256:`` and 64 hexadecimal digits.

    It is as good as the key is random: make keys by ``secrets.token_urlsafe(32)``. For words that people choose use
    :func:`portable.security.hash_password`.
    """
    from hashlib import sha256

    return PREFIX + sha256(key.encode()).hexdigest()


class APIKey(Guard):
    """A key in a header, the query or a cookie. As a dependency it gives whose it is.

    Keys are compared by their hashes, each with all, so that the time it takes says nothing of them.

    Args:
        keys: where they are. A Secret or Config: one a line, as it is or as :func:`hash_key` writes it, a name and a
            blank before it if it has one. A mapping of names to hashes; a key itself is refused in code. A Table: its
            items by the hash of their key. A function of the key that gives whose it is, or None; on a thread where
            others share the loop.
        header, query, cookie: the name of one of them; ``x-api-key`` when left out.
        name, realm, except_paths: see ``portable.security.guard.Guard``.

    A key in a query is found in logs and histories afterwards: take it where callers can send nothing else.
    """

    scheme = "ApiKey"

    def __init__(
        self,
        keys: Secret | Config[str] | Mapping[str, str] | Table[Any] | Callable[[str], Any],
        *,
        header: str | None = None,
        query: str | None = None,
        cookie: str | None = None,
        name: str = "api-key",
        realm: str = "api",
        except_paths: Iterable[str] = (),
    ) -> None:
        super().__init__(name, realm, except_paths)
        chosen = [("header", header), ("query", query), ("cookie", cookie)]
        named = [(place, one) for place, one in chosen if one is not None] or [("header", "x-api-key")]
        if len(named) > 1:
            raise ConfigError(f"APIKey takes one of {' and '.join(place for place, _ in named)}")
        self._place, self._called = named[0][0], check_text(named[0][0], named[0][1])
        self._known: tuple[str, list[tuple[str, bytes]]] | None = None
        self._find = self._finder(keys)
        self.security_scheme = SecurityScheme(name, {"type": "apiKey", "in": self._place, "name": self._called})

    def _finder(self, keys: Any) -> Callable[[str], Any]:
        if hasattr(keys, "value"):
            self.resources = (keys,)
            return lambda key: self._among(self._lines(keys.value()), key)
        if getattr(keys, "kind", None) == "table":
            self.resources = (keys,)
            return lambda key: keys.get(hash_key(key))
        if hasattr(keys, "items"):
            for name, kept in keys.items():
                if not _is_hash(kept):
                    raise ConfigError(f"APIKey: the key of {name!r} is no hash; keep hash_key(…) of it in the code")
            found = [(name, _digest_of(kept)) for name, kept in keys.items()]
            return lambda key: self._among(found, key)
        return check_callable("APIKey: keys", keys)  # type: ignore[no-any-return]

    def check(self, request: Request) -> Any:
        """Whose key it is. Raises HTTPError 401."""
        key = self._sent(request)
        if not key:
            raise self.refusal(401, f"An API key is needed: {self._place} {self._called}")
        found = self._find(key) if len(key) <= LONGEST and key.isprintable() else None  # no half surrogate pairs
        if found is None or found is False:
            raise self.refusal(401, "The API key is not known")
        return found

    def tries(self, request: Request) -> bool:
        """Whether the request has a key, right or wrong."""
        return bool(self._sent(request))

    def _sent(self, request: Request) -> str | None:
        if self._place == "header":
            return request.headers.get(self._called)
        return request.query.get(self._called) if self._place == "query" else request.cookies.get(self._called)

    def _lines(self, text: str) -> list[tuple[str, bytes]]:
        known = self._known
        if known is None or known[0] != text:
            known = self._known = (text, [_read_line(line) for line in text.splitlines() if line.strip()])
        return known[1]

    @staticmethod
    def _among(known: list[tuple[str, bytes]], key: str) -> str | None:
        from hmac import compare_digest

        sent = _digest_of(hash_key(key))
        owner = None
        for name, digest in known:  # to the end, whatever was found
            if compare_digest(sent, digest):
                owner = name
        return owner


def _read_line(line: str) -> tuple[str, bytes]:
    """Name and digest. A key without a name goes by the beginning of its hash."""
    name, _, key = line.strip().rpartition(" ")
    kept = key if _is_hash(key) else hash_key(key)
    return name.strip() or kept[: len(PREFIX) + 12], _digest_of(kept)


def _is_hash(text: object) -> bool:
    if not isinstance(text, str) or not text.startswith(PREFIX) or len(text) != len(PREFIX) + 64:
        return False
    return set("0123456789abcdef").issuperset(text[len(PREFIX) :])


def _digest_of(kept: str) -> bytes:
    return bytes.fromhex(kept[len(PREFIX) :])


def check_callable(what: str, function: Any) -> Any:
    """``function``, or ConfigError for what cannot be called as a guard calls it."""
    code = getattr(function, "__code__", None)
    if not callable(function):
        raise ConfigError(f"{what} cannot be {function!r}")
    if code is not None and code.co_flags & _COROUTINE:
        raise ConfigError(
            f"{what}: {function.__name__} at {code.co_filename}:{code.co_firstlineno} is async; write def, and it is "
            "called on a thread where others share the loop"
        )
    return function
