"""Checks in the OpenAPI document."""

from datetime import timedelta
from typing import Annotated

from portable import App, Depends
from portable.openapi import make_document
from portable.security import APIKey, BasicAuth, Claims, JWTBearer, RateLimit, SecurityHeaders


def test_each_operation_says_what_it_asks() -> None:
    app = App("shop")
    bearer = JWTBearer(issuer="https://id.example", audience="shop", except_paths=["/health"])
    partners, staff = APIKey(lambda key: key, header="Shop-Key"), BasicAuth(lambda name, password: True)
    app.middleware(SecurityHeaders())
    app.middleware(RateLimit(app.cache("limits"), limit=1, per=timedelta(minutes=1)))
    app.middleware(bearer)

    @app.get("/health")
    def health() -> str: ...

    @app.get("/me")
    def me(claims: Annotated[Claims, Depends(bearer.requires("a"))]) -> str: ...

    @app.get("/both", dependencies=[Depends(partners)])
    def both(who: Annotated[str, Depends(staff)]) -> str: ...

    document = make_document(app)
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "api-key": {"type": "apiKey", "in": "header", "name": "Shop-Key"},
        "basic": {"type": "http", "scheme": "basic"},
    }
    asked = {path: operations["get"].get("security") for path, operations in document["paths"].items()}
    assert asked == {
        "/health": None,
        "/me": [{"bearer": ["a"]}],
        "/both": [{"bearer": [], "api-key": [], "basic": []}],
    }
    # A dependency's own parameters are no parameters of the operation.
    assert all("parameters" not in operations["get"] for operations in document["paths"].values())
