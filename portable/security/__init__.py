"""Who may call, and how often: bearer tokens, API keys, HTTP basic, rate limits, headers that browsers heed.

Each object is a dependency (``claims: Annotated[Claims, Depends(jwt)]``) and, as it is, a middleware for the whole app
(``app.middleware(jwt)``). What an app does not use is not imported.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portable.security.basic import BasicAuth, hash_password
    from portable.security.bearer import JWTBearer
    from portable.security.claims import Claims
    from portable.security.headers import SecurityHeaders
    from portable.security.keys import APIKey, hash_key
    from portable.security.rates import RateLimit, RateLimitHeaders

__all__ = [
    "APIKey",
    "BasicAuth",
    "Claims",
    "JWTBearer",
    "RateLimit",
    "RateLimitHeaders",
    "SecurityHeaders",
    "hash_key",
    "hash_password",
]

_MODULES = {
    "APIKey": "keys",
    "BasicAuth": "basic",
    "Claims": "claims",
    "JWTBearer": "bearer",
    "RateLimit": "rates",
    "RateLimitHeaders": "rates",
    "SecurityHeaders": "headers",
    "hash_key": "keys",
    "hash_password": "basic",
}

if not TYPE_CHECKING:

    def __getattr__(name):  # noqa: ANN001, ANN202 - type checkers read the imports above
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        full = f"{__name__}.{module}"
        __import__(full)
        from sys import modules

        found = globals()[name] = getattr(modules[full], name)
        return found
