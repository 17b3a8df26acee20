"""Headers that browsers heed, on answers of every kind."""

from datetime import timedelta

import pytest

from portable import App, ConfigError, Response
from portable.http.answers import answer_error
from portable.security import SecurityHeaders
from portable.testing import TestClient


@pytest.fixture
def app() -> App:
    app = App("shop")
    shared = Response("same", headers={"x-frame-options": "SAMEORIGIN"})

    @app.get("/shared")
    def again() -> Response:
        return shared

    @app.get("/fails")
    def fails() -> None:
        raise ZeroDivisionError("a secret")

    return app


def test_on_every_answer(app: App) -> None:
    app.middleware(SecurityHeaders())
    with TestClient(app, raise_errors=False) as client:
        for path, status in (("/nowhere", 404), ("/fails", 500), ("/shared", 200)):
            answer = client.get(path)
            assert answer.status == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "a secret" not in answer.text()


def test_what_the_handler_says_stays_and_its_answer_is_not_changed(app: App) -> None:
    app.middleware(SecurityHeaders())
    with TestClient(app) as client:
        for _ in range(2):
            answer = client.get("/shared")
            assert answer.headers.get_all("x-frame-options") == ["SAMEORIGIN"]
            assert answer.headers.get_all("x-content-type-options") == ["nosniff"]


def test_https_alone() -> None:
    from portable import Request

    headers = SecurityHeaders(strict_transport_security=timedelta(days=1), subdomains=False)
    secure = headers.after(Request("GET", "/"), Response("x"))
    assert secure.headers["strict-transport-security"] == "max-age=86400"
    plain = headers.after(Request("GET", "/", scheme="http"), Response("x"))
    assert "strict-transport-security" not in plain.headers
    default = SecurityHeaders().after(Request("GET", "/"), answer_error(Request("GET", "/"), ConfigError("x")))
    assert default.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert "strict-transport-security" not in SecurityHeaders(strict_transport_security=None).after(
        Request("GET", "/"), Response("x")
    ).headers  # fmt: skip


def test_more_and_less() -> None:
    from portable import Request

    headers = SecurityHeaders(more={"X-Frame-Options": None, "permissions-policy": "camera=()"})
    answer = headers.after(Request("GET", "/"), Response("x"))
    assert "x-frame-options" not in answer.headers
    assert answer.headers["permissions-policy"] == "camera=()"
    for wrong in ("a\nb", "é"):
        with pytest.raises(ConfigError, match="header"):
            SecurityHeaders(content_security_policy=wrong)
    with pytest.raises(ConfigError, match="strict_transport_security"):
        SecurityHeaders(strict_transport_security=-1)
