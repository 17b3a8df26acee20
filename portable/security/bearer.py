"""Bearer tokens (RFC 6750) that are signed JWTs (RFC 7519), verified by PyJWT."""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.events import Request
from portable.http.params import Depends
from portable.security.claims import Claims, words_in
from portable.security.guard import Guard, SecurityScheme, check_text, read_text, tuple_of
from portable.security.jwks import COOLDOWN, FAMILIES, TTL, KeySet, PublishedKeys, VerifyingKey, check_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import Any

    from portable.resources.config import Config
    from portable.resources.secret import Secret

__all__ = ["JWTBearer"]

PUBLIC = tuple(algorithm for family in FAMILIES.values() for algorithm in family)
SHARED = {"HS256": 32, "HS384": 48, "HS512": 64}  # bytes of a key at least: RFC 7518, section 3.2

HEADERS = 32  # of tokens, kept read

LONGEST = 16_384  # bytes of a token: more than any of the clouds takes in a header

_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=")

# By the name of PyJWT's error, the first of its classes that is here. What a token holds is never repeated.
_REASONS = {
    "ExpiredSignatureError": "The token has expired",
    "ImmatureSignatureError": "The token is not valid yet",
    "InvalidAudienceError": "The token is for another audience",
    "InvalidIssuerError": "The token is of another issuer",
    "MissingRequiredClaimError": "The token lacks a claim that is required",
    "InvalidSignatureError": "The token is signed by another key",
    "InvalidTokenError": "The token cannot be read",
}


class JWTBearer(Guard):
    """``Authorization: Bearer …`` with a JWT. As a dependency it gives :class:`Claims`.

    One of ``key``, ``jwks`` and ``issuer`` alone says where the keys are. A Secret or Config in place of a text is read
    when a token is checked, so that a stage has its own and a rotated key is seen within its time to live. What is
    published is fetched on first use, kept for ``ttl``, fetched anew for a key that is not in it (once in
    ``cooldown``), and used for an hour more while its issuer does not answer.

    The algorithms are this list and never the token's: ``none`` is on no list, and a key verifies what its own kind
    signs and nothing else.

    Args:
        audience: what ``aud`` has to be or to hold, one of several where several are given. None: any, said on purpose.
        issuer: what ``iss`` has to be. With neither ``key`` nor ``jwks``, its keys are found by OpenID Connect
            Discovery.
        key: of the tokens' one signer: a public key as PEM, or for HS256, HS384 and HS512 the shared secret, which in
            code is refused.
        jwks: the address of a key set, or the set itself.
        algorithms: that a token may be signed with; RS256 and ES256 when left out. HS… and the others never together.
        leeway: how far the issuer's clock may be off.
        scopes: that a token has to have, all of them; see :meth:`requires`.
        roles: the claim, or the path to it, whose words count as scopes too: ``"cognito:groups"``,
            ``("realm_access", "roles")``.
        require: claims that a token has to have. ``exp`` is checked wherever it is.
        audience_claim: where another claim than ``aud`` says whom a token is for: Cognito's access tokens have
            ``client_id``.
        ttl, cooldown: see above; ten minutes and half a minute when left out.
        name, realm, except_paths: see ``portable.security.guard.Guard``.
    """

    requirements = ("pyjwt[crypto]>=2.10",)
    scheme = "Bearer"

    def __init__(
        self,
        *,
        audience: str | Iterable[str] | Config[str] | None,
        issuer: str | Config[str] | None = None,
        key: str | Secret | Config[str] | None = None,
        jwks: str | Mapping[str, Any] | Config[str] | None = None,
        algorithms: Iterable[str] = (),
        leeway: timedelta | None = None,
        scopes: str | Iterable[str] = (),
        roles: str | tuple[str, ...] = (),
        require: Iterable[str] = ("exp",),
        audience_claim: str = "aud",
        ttl: timedelta | None = None,
        cooldown: timedelta | None = None,
        name: str = "bearer",
        realm: str = "api",
        except_paths: Iterable[str] = (),
    ) -> None:
        super().__init__(name, realm, except_paths)
        self.algorithms = _check_algorithms(algorithms, key)
        self.audience = audience if audience is None or hasattr(audience, "value") else tuple_of(audience)
        self.issuer = issuer
        self.jwks = jwks
        self.leeway = 0.0 if leeway is None else leeway.total_seconds()
        self.roles = tuple_of(roles)
        self._require = tuple(require)
        self.audience_claim = audience_claim
        self._key = key
        self._read_key: tuple[Any, list[VerifyingKey]] | None = None
        self._headers: dict[str, tuple[str, str | None]] = {}
        self._variants: dict[tuple[str, ...], RequiredScopes] = {}
        self._published = self._published_keys(
            TTL if ttl is None else ttl.total_seconds(), COOLDOWN if cooldown is None else cooldown.total_seconds()
        )
        self.resources = tuple(one for one in (key, jwks, issuer, audience) if hasattr(one, "value"))  # type: ignore[misc]
        self.scopes = _check_scopes(tuple_of(scopes))
        self.security_scheme = _scheme(name, self.scopes)

    def _published_keys(self, ttl: float, cooldown: float) -> PublishedKeys | None:
        if self._key is not None and self.jwks is not None:
            raise ConfigError("JWTBearer takes key= or jwks=, not both: it has to be clear who signs")
        if self._key is not None or hasattr(self.jwks, "keys"):
            return None
        if self.jwks is None and self.issuer is None:
            raise ConfigError("JWTBearer needs key=, jwks= or issuer=: somewhere the keys have to come from")
        if ttl < 0 or cooldown < 0:
            raise ConfigError("JWTBearer: ttl and cooldown are not below zero")
        source = self.issuer if self.jwks is None else self.jwks
        if isinstance(source, str):
            check_address("issuer" if self.jwks is None else "jwks", source)
        return PublishedKeys(lambda: str(read_text(source)), self.jwks is None, ttl, cooldown)

    @property
    def discovers(self) -> bool:
        """Whether the keys are found by the issuer's discovery document."""
        return self._key is None and self.jwks is None

    def requires(self, *scopes: str) -> RequiredScopes:
        """A dependency, or middleware, that asks for these scopes too. Equal ones give the same object."""
        every = tuple(dict.fromkeys((*self.scopes, *scopes)))
        known = self._variants.get(every)
        if known is None:
            known = self._variants.setdefault(every, _scoped(self, _check_scopes(every)))
        return known

    def load(self) -> None:
        """Import PyJWT, read and fetch the keys: for ``on_start``, so that no request waits. Raises HTTPError 503."""
        __import__("jwt")
        if self._published is not None:
            self._published.load()
        else:
            self._own_keys()

    # --- a request

    def check(self, request: Request) -> Claims:
        """The claims of a request's token. Raises HTTPError: 401, 403 for a missing scope, 400 for no bearer token."""
        claims: Claims | None = request.state.get(self)
        if claims is None:
            claims = request.state[self] = self.verify(self._token(request))
        return self.allow(claims, self.scopes)

    def allow(self, claims: Claims, scopes: Sequence[str]) -> Claims:
        """``claims``, where they have every one of ``scopes``. Raises HTTPError 403."""
        if not isinstance(claims, Claims):
            claims = Claims(claims)  # a test's dict
        if not claims.scopes.issuperset(scopes):
            raise self.refusal(403, "The token does not allow this", error="insufficient_scope", scope=" ".join(scopes))
        return claims

    def verify(self, token: str) -> Claims:
        """The claims of a token, its scopes apart. Raises HTTPError 401, and 503 when there are no keys to check it."""
        algorithm, kid = self._header(token)
        keys = self._keys(algorithm, kid)
        if not keys:
            raise self._invalid("The token is signed by an unknown key")
        refusal: HTTPError | None = None
        for found in keys:
            try:
                return self._decoded(token, found, algorithm)
            except HTTPError as error:
                refusal = error
        assert refusal is not None
        raise refusal

    def _token(self, request: Request) -> str:
        sent = request.headers.get("authorization")
        if sent is None:
            raise self.refusal(401, "A bearer token is needed")
        kind, _, token = sent.partition(" ")
        token = token.strip(" ")
        if kind.lower() != "bearer":
            raise self.refusal(401, "A bearer token is needed")
        if not token or not _TOKEN.issuperset(token):
            raise self.refusal(
                400, "The authorization header holds no bearer token", error="invalid_request",
                error_description="The authorization header holds no bearer token",
            )  # fmt: skip
        return token

    def _header(self, token: str) -> tuple[str, str | None]:
        """Algorithm and key id of a token, neither believed yet."""
        if len(token) > LONGEST:
            raise self._invalid("The token is too long")
        first = token.partition(".")[0]
        known = self._headers.get(first)
        if known is not None:  # the tokens of one key begin alike
            return known
        from jwt import get_unverified_header

        try:
            header = get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
        except Exception as error:  # what strangers send may raise anything: RecursionError, OverflowError
            raise self._invalid("The token cannot be read") from error
        if not isinstance(algorithm, str) or algorithm not in self.algorithms:
            raise self._invalid("The token is signed with an algorithm that is not allowed here")
        if "crit" in header:  # RFC 7515, section 4.1.11: what is critical and not understood is refused
            raise self._invalid("The token asks for something that is not known here")
        if len(self._headers) >= HEADERS:
            self._headers.clear()
        self._headers[first] = algorithm, kid
        return algorithm, kid

    def _decoded(self, token: str, key: VerifyingKey, algorithm: str) -> Claims:
        from jwt import decode

        issuer = read_text(self.issuer)
        audience = self.audience if isinstance(self.audience, tuple) else read_text(self.audience)
        by_aud = audience is not None and self.audience_claim == "aud"
        try:
            payload = decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=audience if by_aud else None,
                issuer=issuer,
                leeway=self.leeway,
                options={"require": list(self._require), "verify_aud": by_aud},
            )
        except Exception as error:
            names = (kind.__name__ for kind in type(error).__mro__)
            reason = next((_REASONS[name] for name in names if name in _REASONS), "The token cannot be read")
            raise self._invalid(reason) from error
        if audience is not None and not by_aud and not self._is_for(payload.get(self.audience_claim), audience):
            raise self._invalid(_REASONS["InvalidAudienceError"])
        claims = Claims(payload)
        if self.roles:
            claims.grant(_words_at(payload, self.roles))
        return claims

    @staticmethod
    def _is_for(said: object, audience: str | tuple[str, ...]) -> bool:
        wanted = tuple_of(audience)
        return (
            said in wanted if isinstance(said, str) else isinstance(said, list) and any(one in wanted for one in said)
        )

    def _invalid(self, reason: str) -> HTTPError:
        return self.refusal(401, reason, error="invalid_token", error_description=reason)

    # --- keys

    def _keys(self, algorithm: str, id: str | None) -> list[VerifyingKey]:
        if self._published is not None:
            return self._published.find(algorithm, id)
        keys = self._own_keys()
        if self._key is None:
            return KeySet.choose(keys, algorithm, id)
        return [one for one in keys if algorithm in one.algorithms]  # the only one there is, whatever it is called

    def _own_keys(self) -> list[VerifyingKey]:
        """Those of ``key`` and of a set in code; read again when the Secret has another value."""
        source: Any = self.jwks if self._key is None else read_text(self._key)
        read = self._read_key
        if read is None or read[0] != source:
            keys = KeySet(source).keys if self._key is None else [self._one_key(source)]
            read = self._read_key = (source, keys)
        return read[1]

    def _one_key(self, text: str) -> VerifyingKey:
        if self.algorithms[0] in SHARED:
            needed = max(SHARED[algorithm] for algorithm in self.algorithms)
            secret = text.encode()
            if len(secret) < needed:
                raise ConfigError(
                    f"{self._key}: {' and '.join(self.algorithms)} need a shared key of {needed} bytes at least, "
                    f"this one has {len(secret)}"
                )
            return VerifyingKey(None, self.algorithms, secret)
        return _public_key(self._key, text)


class RequiredScopes(Guard):
    """What ``JWTBearer.requires`` gives: the bearer's own check, which a test may replace, and then the scopes."""

    requirements = JWTBearer.requirements
    scheme = JWTBearer.scheme

    def __init__(self, bearer: JWTBearer, scopes: tuple[str, ...]) -> None:
        super().__init__(bearer.name, bearer.realm, ())
        self._open, self._open_below = bearer._open, bearer._open_below
        self.bearer = bearer
        self.scopes = scopes
        self.resources = bearer.resources
        self.security_scheme = _scheme(bearer.name, scopes)

    def is_replaced(self) -> bool:
        """Whether a test has replaced this one, or the bearer's own check."""
        return super().is_replaced() or self.bearer.is_replaced()

    def check(self, request: Request) -> Claims:
        """See :meth:`JWTBearer.check`."""
        return self.bearer.allow(self.bearer.check(request), self.scopes)


class _FromBearer:
    """``Annotated[Claims, Depends(bearer)]``, as binding reads it, without the import of ``typing``."""

    __slots__ = ("__metadata__", "__origin__")

    def __init__(self, bearer: JWTBearer) -> None:
        self.__origin__ = Claims
        self.__metadata__ = (Depends(bearer),)


def _scoped(bearer: JWTBearer, scopes: tuple[str, ...]) -> RequiredScopes:
    """The dependency is a class of its own: binding reads annotations, and its one parameter is this very bearer's."""

    def call(self: RequiredScopes, claims: Claims) -> Claims:
        return self.bearer.allow(claims, self.scopes)

    call.__annotations__ = {"claims": _FromBearer(bearer)}
    kind: type[RequiredScopes] = type("RequiredScopes", (RequiredScopes,), {"__call__": call})
    return kind(bearer, scopes)


def _scheme(name: str, scopes: tuple[str, ...]) -> SecurityScheme:
    return SecurityScheme(name, {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}, scopes)


def _check_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    for scope in scopes:
        if not scope or " " in check_text("a scope", scope):
            raise ConfigError(f"a scope is one word, got {scope!r}")
    return scopes


def _public_key(source: Any, text: str) -> VerifyingKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from portable.security.jwks import algorithms_of

    try:
        key = load_pem_public_key(text.encode())
        return VerifyingKey(None, algorithms_of(key), key)
    except Exception as error:  # never with its text: it may be a private key, or a shared one
        named = source if hasattr(source, "value") else "key="
        why = str(error) if "PRIVATE" not in text and isinstance(error, ValueError) else "it is a private key"
        raise ConfigError(f"JWTBearer, {named}: no public key as PEM can be read: {why}") from None


def _check_algorithms(given: Iterable[str], key: object) -> tuple[str, ...]:
    chosen = tuple_of(given) or ("RS256", "ES256")
    for algorithm in chosen:
        if algorithm not in PUBLIC and algorithm not in SHARED:
            raise ConfigError(f"JWTBearer: no algorithm {algorithm!r}; there are {', '.join((*PUBLIC, *SHARED))}")
    shared = [algorithm for algorithm in chosen if algorithm in SHARED]
    if shared and len(shared) < len(chosen):
        raise ConfigError(f"JWTBearer: {', '.join(chosen)}: one key cannot be public and shared; keep them apart")
    if shared and not hasattr(key, "value"):
        raise ConfigError(f"JWTBearer: {shared[0]} takes its key from a Secret: key=app.secret('…')")
    return chosen


def _words_at(payload: Mapping[str, Any], path: tuple[str, ...]) -> frozenset[str]:
    found: Any = payload
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return words_in(found)
