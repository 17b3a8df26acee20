"""How often a caller may come: limits that all instances share, on a cache."""

from __future__ import annotations

from time import time

from portable.errors import ConfigError, HTTPError, UnavailableError
from portable.events import Request
from portable.http.copies import copied
from portable.security.guard import Guard, check_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from typing import Any, Literal

    from portable.events import Response
    from portable.resources.cache import Cache

__all__ = ["Allowance", "RateLimit", "RateLimitHeaders", "client_address"]

LONGEST_KEY = 200  # characters of a caller's name that go into the cache's key as they are
PAUSE = 60.0  # seconds between two lines of the log that say that the cache is away

_spent = object()  # in a request's state: the allowances it was given


class Allowance:
    """What a request may still do.

    Attributes:
        limit: requests in each ``window`` seconds. remaining: those that are left.
        reset: seconds until there are more, of a token bucket until all are there.
        retry_after: of a refused request, seconds until it would pass; else 0.
    """

    __slots__ = ("limit", "policy", "remaining", "reset", "retry_after", "window")

    def __init__(
        self, policy: str, limit: int, window: float, remaining: int, reset: float, retry_after: float
    ) -> None:
        self.policy = policy
        self.limit = limit
        self.window = window
        self.remaining = remaining
        self.reset = reset
        self.retry_after = retry_after

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.retry_after <= 0


def client_address(request: Request) -> str:
    """Whose request it is, where nobody says more: the address the cloud saw; of IPv6 the network, its first 64 bits.

    A household has one such network, and could come from any address of it.
    """
    address = request.client or ""
    if address.startswith("["):  # some proxies add the port, which says nothing of whose it is
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    if ":" not in address:
        return address
    from ipaddress import ip_address

    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped) if mapped is not None else found.packed[:8].hex()


class RateLimit(Guard):
    """At most ``limit`` requests of one caller in ``per``, whichever instances they reach.

    As a dependency it gives the :class:`Allowance`; more is a 429 with ``Retry-After``, ``RateLimit`` and
    ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-10). As a middleware it adds these to every other answer
    too, those of limits that are dependencies among them; :class:`RateLimitHeaders` does that alone.

    * ``"sliding-window"`` counts two windows of ``per`` and weighs the one before by what still reaches into the span
      that ends now. It goes by the instances' clocks. Two calls of the cache for a request that passes, one for most
      of those that do not. What is refused does not count.
    * ``"token-bucket"`` lets ``limit`` come at once and then one at a time, evenly. It goes by the cache's clock, in
      one call.

    Args:
        cache: where it is counted. One in an instance's own memory counts for that instance.
        key: a function of the request that gives the caller's name, or None for one that is not limited;
            :func:`client_address` when left out. Two limits on one cache need two names.
        name: of the policy, in the headers and in the cache.
        when_unavailable: while the cache does not answer, ``"allow"`` lets requests pass, ``"refuse"`` answers 503.
        except_paths: see ``portable.security.guard.Guard``.
    """

    openapi_operation = {"responses": {429: "This caller has come too often"}}

    def __init__(
        self,
        cache: Cache[Any],
        *,
        limit: int,
        per: timedelta,
        algorithm: Literal["sliding-window", "token-bucket"] = "sliding-window",
        key: Callable[[Request], str | None] = client_address,
        name: str = "default",
        when_unavailable: Literal["allow", "refuse"] = "allow",
        except_paths: Iterable[str] = (),
    ) -> None:
        super().__init__(check_text("a policy's name", name), "api", except_paths)
        if not name or ":" in name:
            raise ConfigError(f"RateLimit: a policy's name is not empty and has no colon, got {name!r}")
        if getattr(cache, "kind", None) != "cache":
            raise ConfigError(f"RateLimit counts on a cache, got {cache!r}")
        if cache.type not in (None, int):
            raise ConfigError(
                f"RateLimit {name!r} keeps whole numbers, and {cache} holds {cache.type!r}: give it its own"
            )
        if type(limit) is not int or limit < 1:
            raise ConfigError(f"RateLimit {name!r}: limit is a whole number above 0, got {limit!r}")
        if algorithm not in ("sliding-window", "token-bucket"):
            raise ConfigError(f"RateLimit {name!r}: there are 'sliding-window' and 'token-bucket', got {algorithm!r}")
        if when_unavailable not in ("allow", "refuse"):
            raise ConfigError(f"RateLimit {name!r}: when_unavailable is 'allow' or 'refuse', got {when_unavailable!r}")
        if not 1 <= per.total_seconds() <= 366 * 86_400:
            raise ConfigError(f"RateLimit {name!r}: per is a second to a year, got {per}")
        self.cache = cache
        self.limit = limit
        self.per = per
        self.window = per.total_seconds()
        self.resources = (cache,)
        self._key = key
        self._spend = self._of_bucket if algorithm == "token-bucket" else self._of_windows
        self._refuses = when_unavailable == "refuse"
        self._said = 0.0

    def check(self, request: Request) -> Allowance | None:
        """What the caller may still do; None where nothing limits it. Raises HTTPError 429, and 503: see the class.

        A request counts once for each limit.
        """
        spent: dict[RateLimit, Allowance] = request.state.setdefault(_spent, {})
        if self in spent:
            return spent[self]
        caller = self._key(request)
        if caller is None:
            return None
        try:
            allowance = self._spend(_name_of(caller))
        except UnavailableError as error:
            self._without_cache(error)
            return None
        spent[self] = allowance
        if not allowance.allowed:
            seconds = str(_seconds(allowance.retry_after))
            headers = {"retry-after": seconds, **_fields([allowance])}
            raise HTTPError(429, f"More than {self.limit} requests in {_seconds(self.window)} s", headers=headers)
        return allowance

    def __call__(self, request: Request) -> Allowance | None:
        return self.check(request)

    def after(self, request: Request, response: Response) -> Response:
        """The answer with the headers of every limit the request has gone through."""
        return _with_fields(request, response)

    def _without_cache(self, error: UnavailableError) -> None:
        now = time()
        if not 0 <= now - self._said < PAUSE:
            self._said = now
            from logging import getLogger

            effect = "requests are refused" if self._refuses else "requests pass uncounted"
            getLogger("portable").warning("rate limit %s: %s, %s", self.name, effect, error)
        if self._refuses:
            raise HTTPError(503, "Requests cannot be counted at the moment", headers={"retry-after": "5"}) from error

    def _of_bucket(self, caller: str) -> Allowance:
        taken = self.cache.take(f"{self.name}::{caller}", limit=self.limit, per=self.per)
        # A refused request waits a moment at least: the bucket has less than one token.
        wait = 0.0 if taken.allowed else max(taken.retry_after, 0.001)
        return Allowance(self.name, self.limit, self.window, taken.remaining, taken.full_after, wait)

    def _of_windows(self, caller: str) -> Allowance:
        now = time()
        number, elapsed = int(now // self.window), now % self.window
        this, last = (f"{self.name}:{one}:{caller}" for one in (number, number - 1))
        found = self.cache.get_many([this, last])
        before, count = _whole(found.get(last)), _whole(found.get(this))
        weight = 1 - elapsed / self.window
        if before * weight + count + 1 <= self.limit:
            # Counted first and looked at then: of several at once none passes above the limit.
            count = self.cache.increment(this, ttl=self.per * 2)
            if before * weight + count <= self.limit:
                left = int(self.limit - before * weight - count)
                return Allowance(self.name, self.limit, self.window, left, self.window - elapsed, 0.0)
            count = self.cache.increment(this, -1, ttl=self.per * 2)
        wait = self._wait(before, count, elapsed)
        return Allowance(self.name, self.limit, self.window, 0, self.window - elapsed, max(wait, 0.001))

    def _wait(self, before: int, count: int, elapsed: float) -> float:
        """Seconds until one more fits, where nobody else comes: in this window, or in the next."""
        room = self.limit - 1
        if count <= room:
            return self.window * (1 - (room - count) / before) - elapsed if before else 0.0
        return self.window - elapsed + max(self.window * (1 - room / count), 0.0)


class RateLimitHeaders:
    """A middleware that tells of limits that are dependencies of routes: ``app.middleware(RateLimitHeaders())``."""

    def before(self, request: Request) -> None:
        """Make room for what the limits say."""
        request.state[_spent] = {}

    def after(self, request: Request, response: Response) -> Response:
        """The answer with the headers of every limit the request has gone through."""
        return _with_fields(request, response)


def _with_fields(request: Request, response: Response) -> Response:
    spent: dict[Any, Allowance] = request.state.get(_spent) or {}
    if not spent or (response._headers is not None and "ratelimit" in response._headers):
        return response
    answer = copied(response)
    for name, text in _fields(spent.values()).items():
        answer.headers[name] = text
    return answer


def _fields(allowances: Iterable[Allowance]) -> dict[str, str]:
    """The header fields, structured as RFC 9651 has it."""
    listed = list(allowances)
    return {
        "ratelimit-policy": ", ".join(f'"{one.policy}";q={one.limit};w={_seconds(one.window)}' for one in listed),
        "ratelimit": ", ".join(f'"{one.policy}";r={one.remaining};t={_seconds(one.reset)}' for one in listed),
    }


def _seconds(span: float) -> int:
    """Whole seconds, never fewer."""
    return -int(-span // 1)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _name_of(caller: str) -> str:
    if len(caller) <= LONGEST_KEY and caller.isascii() and caller.isprintable():
        return caller
    from hashlib import sha256

    return "#" + sha256(caller.encode("utf-8", "surrogatepass")).hexdigest()
