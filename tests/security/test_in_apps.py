"""Checks as an app uses them. Annotations are evaluated at once here: their names are a fixture's own."""

from base64 import b64encode
from collections.abc import Callable
from typing import Annotated, Any

import pytest

from portable import App, Depends, HTTPError, Request, Response, SocketEvent
from portable.security import APIKey, BasicAuth, Claims, JWTBearer, hash_key
from portable.testing import TestClient
from portable.testing.sockets import SocketRefusedError

AUDIENCE = "shop"


@pytest.fixture
def shop(make_key: Any) -> tuple[App, JWTBearer, Callable[..., dict[str, str]]]:
    bearer = JWTBearer(audience=AUDIENCE, key=make_key().pem, except_paths=["/health", "/docs/*"])
    app = App("shop")

    @app.get("/me")
    def me(claims: Annotated[Claims, Depends(bearer)]) -> str:
        return claims.subject

    @app.get("/async")
    async def later(claims: Annotated[Claims, Depends(bearer)]) -> str:
        return claims.subject

    @app.get("/admin")
    def admin(claims: Annotated[Claims, Depends(bearer.requires("admin"))]) -> list[str]:
        return sorted(claims.scopes)

    return app, bearer, lambda **claims: {"authorization": f"Bearer {make_key().sign(**claims)}"}


class TestDependency:
    def test_claims_and_refusals(self, shop: Any) -> None:
        app, _, bearing = shop
        with TestClient(app) as client:
            assert client.get("/me", headers=bearing()).text() == "ada"
            assert client.get("/async", headers=bearing()).text() == "ada"
            answer = client.get("/me")
            assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
            assert answer.headers["www-authenticate"] == 'Bearer realm="api"'
            assert answer.json()["detail"] == "A bearer token is needed"
            assert client.get("/async", headers=bearing(exp=1)).status == 401
            assert client.get("/admin", headers=bearing()).status == 403
            assert client.get("/admin", headers=bearing(scope="admin")).json() == ["admin"]

    def test_a_test_replaces_the_token_and_scopes_still_count(self, shop: Any) -> None:
        app, bearer, _ = shop
        with TestClient(app, overrides={bearer: lambda: Claims(sub="eve", scope="read")}) as client:
            assert client.get("/me").text() == "eve"
            assert client.get("/admin").status == 403
        with TestClient(app, overrides={bearer: lambda: {"scope": "admin"}}) as client:
            assert client.get("/admin").json() == ["admin"]

    def test_optional(self, shop: Any) -> None:
        app, bearer, bearing = shop
        partners = APIKey({"till": hash_key("key")})
        staff = BasicAuth(lambda name, password: password == "right")

        @app.get("/who")
        def who(
            claims: Annotated[Claims | None, Depends(bearer.optional)],
            partner: Annotated[str | None, Depends(partners.optional)],
            name: Annotated[str | None, Depends(staff.optional)],
        ) -> list[str | None]:
            return [claims and claims.subject, partner, name]

        basic = {"authorization": "Basic " + b64encode(b"bob:right").decode()}
        with TestClient(app) as client:
            assert client.get("/who").json() == [None, None, None]
            assert client.get("/who", headers=bearing()).json() == ["ada", None, None]
            assert client.get("/who", headers={"x-api-key": "key"}).json() == [None, "till", None]
            assert client.get("/who", headers=basic).json() == [None, None, "bob"]
            wrong = [bearing(exp=1), {"authorization": "Bearer"}, {"x-api-key": "x"}, {"authorization": "Basic x"}]
            assert [client.get("/who", headers=headers).status for headers in wrong] == [401, 400, 401, 401]
        with TestClient(app, overrides={bearer.optional: lambda: Claims(sub="eve")}) as client:
            assert client.get("/who").json() == ["eve", None, None]


class TestMiddleware:
    def test_before_every_handler(self, shop: Any) -> None:
        app, bearer, bearing = shop
        app.middleware(bearer)

        @app.get("/open")
        def not_so_open() -> str:
            return "in"

        @app.get("/health")
        def health() -> str:
            return "well"

        @app.get("/docs/{page:path}")
        def docs(page: str) -> str:
            return page

        with TestClient(app) as client:
            answer = client.get("/open")
            assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
            assert answer.headers["www-authenticate"] == 'Bearer realm="api"'
            assert client.get("/nowhere").status == 401  # what is not there is not told either
            assert client.get("/open", headers=bearing()).text() == "in"
            assert client.get("/health").text() == "well"
            assert client.get("/docs/a/b").text() == "a/b"
            assert client.post("/health").status == 405

    def test_what_is_not_left_alone(self, shop: Any) -> None:
        app, bearer, _ = shop
        app.middleware(bearer)
        paths = [
            "/health/", "/healthy", "/HEALTH", "/docs", "/docs/../open", "/docs/%2e%2E/open", "/docs//open",
            "/docs/a%2f..%2fopen", "/docs/.%2e/open", "/docs/..%5copen", "/docs/a\\..\\open", "/%64ocs/a", "//docs/a",
        ]  # fmt: skip
        with TestClient(app) as client:
            assert {path: client.get(path).status for path in paths} == dict.fromkeys(paths, 401)

    def test_what_is_left_alone_below_a_path(self, shop: Any) -> None:
        app, bearer, _ = shop
        app.middleware(bearer)
        with TestClient(app) as client:
            assert {client.get(path).status for path in ("/docs/.well-known", "/docs/a.b..c", "/docs/%C3%A9")} == {404}

    def test_a_token_is_verified_once(self, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        app, bearer, bearing = shop
        app.middleware(bearer)
        verified: list[str] = []
        verify = bearer.verify
        monkeypatch.setattr(bearer, "verify", lambda token: verified.append(token) or verify(token))
        with TestClient(app) as client:
            for path in ("/me", "/async"):
                assert client.get(path, headers=bearing()).text() == "ada"
            assert client.get("/admin", headers=bearing(scope="admin")).status == 200
        assert len(verified) == 3

    def test_a_test_replaces_a_middleware_too(self, shop: Any) -> None:
        app, bearer, _ = shop
        app.middleware(bearer.requires("staff"))

        @app.get("/open")
        async def plain() -> str:
            return "in"

        with TestClient(app, overrides={bearer: lambda: Claims(sub="eve", scope="admin")}) as client:
            assert client.get("/me").text() == "eve"
            assert client.get("/admin").status == 200
            assert client.get("/open").text() == "in"
        with TestClient(app) as client:
            assert client.get("/me").status == 401

    def test_scopes_for_a_whole_app(self, shop: Any) -> None:
        app, bearer, bearing = shop
        app.middleware(bearer.requires("staff"))
        with TestClient(app) as client:
            assert client.get("/health").status == 404
            assert client.get("/me", headers=bearing()).status == 403
            assert client.get("/me", headers=bearing(scope="staff")).text() == "ada"

    def test_the_app_words_refusals_itself(self, shop: Any) -> None:
        app, bearer, _ = shop
        app.middleware(bearer)

        @app.exception_handler(HTTPError)
        def refuse(request: Request, error: HTTPError) -> Response:
            return Response({"no": error.status}, error.status, error.headers)

        with TestClient(app) as client:
            answer = client.get("/me")
            assert (answer.status, answer.json()) == (401, {"no": 401})
            assert answer.headers["www-authenticate"] == 'Bearer realm="api"'

    def test_nothing_of_an_error_inside_is_told(self, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        app, bearer, bearing = shop
        monkeypatch.setattr(bearer, "verify", lambda token: 1 / 0)
        with TestClient(app, raise_errors=False) as client:
            answer = client.get("/me", headers=bearing())
            assert answer.status == 500
            assert "ZeroDivision" not in answer.text()
            assert "Traceback" not in answer.text()


class TestAround:
    def test_a_mounted_application_is_behind_the_check(self, shop: Any) -> None:
        app, bearer, bearing = shop
        app.middleware(bearer)
        seen: list[str] = []

        def legacy(environ: dict[str, Any], start: Any) -> list[bytes]:
            seen.append(environ["PATH_INFO"])
            start("200 OK", [("content-type", "text/plain")])
            return [b"legacy"]

        app.mount("/docs/legacy", legacy, kind="wsgi")
        app.mount("/legacy", legacy, kind="wsgi")
        with TestClient(app) as client:
            assert client.get("/legacy/a").status == 401
            assert client.get("/docs/legacy/../a").status == 401
            assert client.get("/docs/legacy/%2e%2e/a").status == 401
            assert seen == []
            assert client.get("/docs/legacy/a").text() == "legacy"
            assert client.get("/legacy/a", headers=bearing()).text() == "legacy"

    def test_a_mount_with_a_check_of_its_own(self, shop: Any) -> None:
        app, bearer, bearing = shop

        def legacy(environ: dict[str, Any], start: Any) -> list[bytes]:
            start("200 OK", [("content-type", "text/plain")])
            return [b"legacy"]

        app.mount("/legacy", legacy, kind="wsgi", dependencies=[Depends(bearer)])
        with TestClient(app) as client:
            assert client.get("/legacy/a").status == 401
            assert client.get("/legacy/a", headers=bearing()).text() == "legacy"

    def test_a_websocket_says_its_token(self, shop: Any) -> None:
        app, bearer, bearing = shop

        @app.websocket("/chat")
        def chat(event: SocketEvent) -> None:
            if event.kind == "connect":
                bearer.allow(bearer.verify(event.query.get("token", "")), ["chat"])
            elif event.kind == "message":
                event.send("heard")

        def token(**claims: Any) -> str:
            return str(bearing(**claims)["authorization"].removeprefix("Bearer "))

        with TestClient(app) as client:
            for refused, status in (("x", 401), (token(exp=1), 401), (token(), 403)):
                with pytest.raises(SocketRefusedError) as caught:
                    client.websocket("/chat", query={"token": refused}).__enter__()
                assert caught.value.status == status
            with client.websocket("/chat", query={"token": token(scope="chat")}) as session:
                session.send("hello")
                assert session.receive() == "heard"
