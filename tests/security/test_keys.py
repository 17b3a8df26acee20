"""API keys: where they are sent, where they are kept, and what a wrong one gets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import App, ConfigError, HTTPError, Request
from portable.security import APIKey, hash_key
from portable.testing import TestClient

KEY = "Zk3vT0b8y9Qw-ePx1mJrS_Lf4nHc6aUd"
HASHED = {"partner": hash_key(KEY), "other": hash_key("another key")}


class Partner(msgspec.Struct):
    hash: str
    plan: str


def sent(key: str | None, name: str = "X-API-Key") -> Request:
    return Request("GET", "/", headers={} if key is None else {name: key})


def refused(guard: APIKey, request: Request) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        guard.check(request)
    return caught.value


def test_hash() -> None:
    # FIPS 180-2, appendix B.1
    assert hash_key("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class TestPlaces:
    def test_header(self) -> None:
        guard = APIKey(HASHED)
        assert guard.check(sent(KEY)) == "partner"
        assert guard.check(sent(KEY, "x-api-key")) == "partner"
        assert guard.security_scheme.openapi == {"type": "apiKey", "in": "header", "name": "x-api-key"}
        assert APIKey(HASHED, header="Shop-Key").check(sent(KEY, "shop-key")) == "partner"

    def test_query(self) -> None:
        guard = APIKey(HASHED, query="key")
        assert guard.check(Request("GET", "/", query={"key": KEY})) == "partner"
        assert refused(guard, sent(KEY)).status == 401

    def test_cookie(self) -> None:
        guard = APIKey(HASHED, cookie="key")
        assert guard.check(Request("GET", "/", headers={"cookie": f"a=b; key={KEY}"})) == "partner"
        assert guard.security_scheme.openapi["in"] == "cookie"

    def test_one_of_them(self) -> None:
        with pytest.raises(ConfigError, match="one of header and query"):
            APIKey(HASHED, header="a", query="b")


class TestSources:
    def test_a_mapping_holds_hashes(self) -> None:
        for wrong in (KEY, "sha256:abc", HASHED["partner"].upper(), 7):
            with pytest.raises(ConfigError, match="partner") as caught:
                APIKey({"partner": wrong})  # type: ignore[dict-item]
            assert KEY not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "owner"),
        [
            (KEY, f"{hash_key(KEY)[:19]}"),
            (f"\n other {HASHED['other']}\n  shop two  {KEY} \n", "shop two"),
            (f"partner {HASHED['partner']}\r\nother x", "partner"),
        ],
    )
    def test_a_secret(self, text: str, owner: str) -> None:
        app = App("shop")
        guard = APIKey(app.secret("partner-keys"))
        with TestClient(app, overrides={"secret:partner-keys": text}):
            assert guard.check(sent(KEY)) == owner
            assert refused(guard, sent(KEY + "x")).detail == "The API key is not known"
            for part in ("other", "partner", "shop", hash_key(KEY), " ", "\n"):
                assert refused(guard, sent(part)).status == 401

    @pytest.mark.parametrize("text", ["", "\n \n"])
    def test_an_empty_secret_lets_nobody_in(self, text: str) -> None:
        app = App("shop")
        guard = APIKey(app.secret("partner-keys"))
        with TestClient(app, overrides={"secret:partner-keys": text}):
            assert refused(guard, sent(KEY)).status == 401
            assert refused(guard, sent("")).status == 401
            assert refused(guard, sent(None)).status == 401

    def test_a_table(self) -> None:
        app = App("shop")
        partners = app.table("key-owners", Partner, key="hash")
        guard = APIKey(partners)
        with TestClient(app):
            partners.put(Partner(hash_key(KEY), "pro"))
            assert guard.check(sent(KEY)).plan == "pro"
            assert refused(guard, sent("another")).status == 401
            assert refused(guard, sent(hash_key(KEY))).status == 401
        assert guard.resources == (partners,)

    def test_a_function(self) -> None:
        guard = APIKey(lambda key: {"plan": "pro"} if key == KEY else None)
        assert guard.check(sent(KEY)) == {"plan": "pro"}
        assert refused(guard, sent("x")).status == 401
        assert refused(APIKey(lambda key: False), sent("x")).status == 401

    def test_what_cannot_be_called(self) -> None:
        async def later(key: str) -> Any: ...

        for wrong in (later, "keys", 7):
            with pytest.raises(ConfigError, match="APIKey: keys"):
                APIKey(wrong)  # type: ignore[arg-type]


def test_challenge_and_length() -> None:
    asked: list[str] = []
    guard = APIKey(lambda key: asked.append(key))
    error = refused(guard, sent(None))
    assert (error.status, error.headers) == (401, {"www-authenticate": 'ApiKey realm="api"'})
    assert error.detail == "An API key is needed: header x-api-key"
    assert refused(guard, sent("x" * 2000)).status == 401
    assert asked == []


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_no_other_text_is_the_key(text: str) -> None:
    """Half a surrogate pair among them, which JSON can hold."""
    if text != KEY:
        assert refused(APIKey(HASHED), sent(text)).status == 401
