"""HTTP basic: names and passwords, as they are sent and as they are kept."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from portable import App, ConfigError, HTTPError, Request
from portable.security import BasicAuth, hash_password
from portable.testing import TestClient


def sent(text: str | bytes | None, kind: str = "Basic") -> Request:
    if text is None:
        return Request("GET", "/")
    data = text.encode() if isinstance(text, str) else text
    return Request("GET", "/", headers={"authorization": f"{kind} {b64encode(data).decode()}"})


def refused(guard: BasicAuth, request: Request) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        guard.check(request)
    return caught.value


@pytest.fixture(scope="module")
def hashed() -> dict[str, str]:
    return {"ada": hash_password("é: 1815"), "eve": hash_password("other")}


class TestUsers:
    def test_hashes(self, hashed: dict[str, str]) -> None:
        guard = BasicAuth(hashed)
        assert guard.check(sent("ada:é: 1815")) == "ada"
        assert guard.check(sent("ada:é: 1815", "bAsIc")) == "ada"
        for wrong in ("ada:other", "eve:é: 1815", "nobody:é: 1815", "ada:", ":é: 1815", f"ada:{hashed['ada']}"):
            assert refused(guard, sent(wrong)).status == 401

    def test_each_hash_has_its_salt(self) -> None:
        assert hash_password("same") != hash_password("same")

    def test_a_secret(self, hashed: dict[str, str]) -> None:
        app = App("shop")
        guard = BasicAuth(app.secret("staff"), realm="staff")
        text = f"ada:{hashed['ada']}\nbob:pass:word\n\n"
        with TestClient(app, overrides={"secret:staff": text}):
            assert guard.check(sent("ada:é: 1815")) == "ada"
            assert guard.check(sent("bob:pass:word")) == "bob"
            for wrong in ("bob:pass", "bob:é: 1815", "ada:pass:word", "zoe:pass:word", ":"):
                assert refused(guard, sent(wrong)).status == 401
        with TestClient(app, overrides={"secret:staff": ""}):
            for wrong in ("bob:pass:word", ":", "a:"):
                assert refused(BasicAuth(app.secret("staff")), sent(wrong)).status == 401

    def test_a_function(self) -> None:
        seen: list[Any] = []

        def verify(name: str, password: str) -> Any:
            seen.append((name, password))
            return {"ada": True, "bob": {"name": "Bob"}, "eve": False}.get(name)

        guard = BasicAuth(verify)
        assert guard.check(sent("ada:a:b")) == "ada"
        assert guard.check(sent("bob:x")) == {"name": "Bob"}
        assert refused(guard, sent("eve:x")).status == 401
        assert refused(guard, sent("zoe:x")).status == 401
        assert seen[0] == ("ada", "a:b")

    def test_passwords_in_code(self) -> None:
        for wrong in ("secret", "scrypt$x", "scrypt$1$2$3$zz$00", ""):
            with pytest.raises(ConfigError, match="hash_password"):
                BasicAuth({"ada": wrong})


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic ", "Basic !!!", "Basic YQ", "Basic YWRh", "Bearer YTpi", "Basic /w==", "Basic YTpi\u00e9",
     "Basic " + "YTpi" * 3000, "Basic " + b64encode(b"a\n:b").decode(), "Basic YTpi,Basic YTpi"],
)  # fmt: skip
def test_what_holds_no_name_and_password(authorization: str) -> None:
    guard = BasicAuth(lambda name, password: True)
    error = refused(guard, Request("GET", "/", headers={"authorization": authorization}))
    assert error.headers == {"www-authenticate": 'Basic realm="api", charset="UTF-8"'}
    assert error.detail == "A name and a password are needed"


def test_a_name_that_is_not_known_costs_what_a_known_one_does(
    hashed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from portable.security import basic

    calls: list[str] = []
    scrypt = basic._scrypt
    monkeypatch.setattr(basic, "_scrypt", lambda password, *rest: calls.append(password) or scrypt(password, *rest))
    guard = BasicAuth(hashed)
    for name in ("ada", "nobody"):
        assert refused(guard, sent(f"{name}:wrong")).detail == "The name or the password is wrong"
    assert calls == ["wrong", "wrong"]
