"""Checks and limits as an app declares them, for mypy and pyright under their strictest settings. Never run."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from portable import App, Cache, Depends, Request
from portable.security import APIKey, BasicAuth, Claims, JWTBearer, RateLimit, RateLimitHeaders, SecurityHeaders
from portable.security.rates import Allowance

app = App("saas")
limits: Cache[int] = app.cache("limits", int)

bearer = JWTBearer(issuer="https://id.example/", audience=["shop", "till"], leeway=timedelta(seconds=5))
signed = JWTBearer(key=app.secret("signer"), algorithms=["HS256"], audience=app.config("audience", str))
partners = APIKey({"till": "sha256:00"}, query="key")
staff = BasicAuth(lambda name, password: name == password, realm="staff")
per_caller = RateLimit(limits, limit=5, per=timedelta(minutes=1), key=lambda request: request.client)

JWTBearer(audience="shop", algorithms="RS256", key=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
JWTBearer(key="…")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
RateLimit(limits, limit=5, per=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

app.middleware(SecurityHeaders(more={"permissions-policy": None}))
app.middleware(RateLimitHeaders())
app.middleware(bearer)


@app.get("/me", dependencies=[Depends(per_caller)])
def me(
    claims: Annotated[Claims, Depends(bearer)],
    partner: Annotated[str, Depends(partners)],
    allowance: Annotated[Allowance | None, Depends(per_caller)],
) -> dict[str, Any]:
    """What the checks give."""
    return {"who": claims.subject, "may": sorted(claims.scopes), "left": allowance and allowance.remaining}


@app.delete("/users/{user}")
async def remove(user: int, claims: Annotated[Claims, Depends(bearer.requires("users:write"))]) -> None:
    """A scope more."""
    taken = await limits.atake(claims.subject, limit=3, per=timedelta(hours=1), cost=2)
    assert taken.allowed or taken.retry_after > 0.0


def by_hand(request: Request, token: str) -> bool:
    """Called without the framework."""
    return bearer.verify(token) == bearer.check(request)
