"""Bearer tokens: which are taken, which are refused, and how."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from portable import App, ConfigError, HTTPError, Request
from portable.drivers import SecretVersion
from portable.security import JWTBearer
from portable.testing import TestClient

AUDIENCE = "shop"
LONG_SECRET = "a shared key of thirty-two bytes or more"


def asked(token: str | None, path: str = "/", **headers: str) -> Request:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return Request("GET", path, headers=headers)


def refused(bearer: JWTBearer, token: str) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        bearer.check(asked(token))
    return caught.value


def part(document: Any) -> str:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.fixture
def bearer(make_key: Any) -> JWTBearer:
    return JWTBearer(audience=AUDIENCE, jwks={"keys": [make_key().jwk(), make_key("two", "ES256").jwk()]})


class TestTaken:
    @pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
    def test_algorithm(self, make_key: Any, algorithm: str) -> None:
        key = make_key("it", algorithm)
        for bearer in (
            JWTBearer(audience=AUDIENCE, jwks={"keys": [key.jwk()]}, algorithms=[algorithm]),
            JWTBearer(audience=AUDIENCE, key=key.pem, algorithms=[algorithm]),
        ):
            claims = bearer.check(asked(key.sign(role="chef")))
            assert (claims.subject, claims["role"], claims["aud"]) == ("ada", "chef", AUDIENCE)

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "HS256"])
    def test_tokens_made_by_hand(self, make_key: Any, algorithm: str) -> None:
        """As RFC 7515, appendix A, makes them, without the library that verifies them here."""
        text = f"{part({'alg': algorithm})}.{part({'sub': 'ada', 'aud': AUDIENCE, 'exp': int(time.time()) + 60})}"
        app = App("shop")
        if algorithm == "HS256":
            signature = hmac.new(LONG_SECRET.encode(), text.encode(), hashlib.sha256).digest()
            bearer = JWTBearer(audience=AUDIENCE, key=app.secret("signer"), algorithms=["HS256"])
        else:
            key = make_key("hand", algorithm)
            if algorithm == "RS256":
                signature = key.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
            else:
                r, s = decode_dss_signature(key.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
                signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            bearer = JWTBearer(audience=AUDIENCE, key=key.pem)
        with TestClient(app, overrides={"secret:signer": LONG_SECRET} if algorithm == "HS256" else {}):
            assert bearer.check(asked(f"{text}.{part(signature)}")).subject == "ada"
            assert refused(bearer, f"{text}.{part(signature[:-1] + bytes([signature[-1] ^ 1]))}").status == 401

    def test_each_key_of_a_set(self, bearer: JWTBearer, make_key: Any) -> None:
        for key in (make_key(), make_key("two", "ES256")):
            assert bearer.check(asked(key.sign())).subject == "ada"

    def test_the_only_key_that_fits_needs_no_name(self, bearer: JWTBearer, make_key: Any) -> None:
        token = jwt.encode({"aud": AUDIENCE, "exp": time.time() + 60}, make_key().private, "RS256")
        assert bearer.check(asked(token))["aud"] == AUDIENCE

    def test_scheme_in_any_case(self, bearer: JWTBearer, make_key: Any) -> None:
        request = Request("GET", "/", headers={"Authorization": f"bEARER  {make_key().sign()}"})
        assert bearer.check(request).subject == "ada"

    def test_one_of_several_audiences(self, make_key: Any) -> None:
        bearer = JWTBearer(audience=["shop", "till"], jwks={"keys": [make_key().jwk()]})
        for audience in ("till", ["other", "shop"]):
            assert bearer.check(asked(make_key().sign(aud=audience))).subject == "ada"

    def test_any_audience_when_said(self, make_key: Any) -> None:
        bearer = JWTBearer(audience=None, jwks={"keys": [make_key().jwk()]})
        for audience in ("whoever", None):
            assert bearer.check(asked(make_key().sign(aud=audience))).subject == "ada"

    def test_audience_in_another_claim(self, make_key: Any) -> None:
        bearer = JWTBearer(audience=AUDIENCE, audience_claim="client_id", jwks={"keys": [make_key().jwk()]})
        assert bearer.check(asked(make_key().sign(aud=None, client_id="shop"))).subject == "ada"
        for other in ("shop2", None, ["x"], {"shop": 1}):
            assert refused(bearer, make_key().sign(aud="shop", client_id=other)).status == 401

    def test_leeway(self, make_key: Any) -> None:
        bearer = JWTBearer(audience=AUDIENCE, key=make_key().pem, leeway=timedelta(minutes=5))
        assert bearer.check(asked(make_key().sign(exp=time.time() - 60, nbf=time.time() + 60))).subject == "ada"

    def test_a_shared_secret(self) -> None:
        app = App("shop")
        bearer = JWTBearer(audience=AUDIENCE, key=app.secret("signer"), algorithms=["HS256"])
        token = jwt.encode({"sub": "ada", "aud": AUDIENCE, "exp": time.time() + 60}, LONG_SECRET, "HS256")
        with TestClient(app, overrides={"secret:signer": LONG_SECRET}):
            assert bearer.check(asked(token)).subject == "ada"
            other = jwt.encode({"sub": "ada", "aud": AUDIENCE, "exp": time.time() + 60}, LONG_SECRET + "x", "HS256")
            assert refused(bearer, other).detail == "The token is signed by another key"

    def test_a_secret_that_is_rotated(self) -> None:
        app = App("shop")
        signer = app.secret("signer", ttl=timedelta(0))
        bearer = JWTBearer(audience=AUDIENCE, key=signer, algorithms=["HS256"])
        current = LONG_SECRET

        class Rotating:
            def read(self) -> SecretVersion:
                return SecretVersion(current.encode(), "1")

        def token() -> str:
            return jwt.encode({"sub": "ada", "aud": AUDIENCE, "exp": time.time() + 60}, current, "HS256")

        with TestClient(app, overrides={signer: Rotating()}):
            old = token()
            assert bearer.check(asked(old)).subject == "ada"
            current = "another shared key of as many bytes"
            assert bearer.check(asked(token())).subject == "ada"
            assert refused(bearer, old).status == 401

    def test_headers_that_are_kept_read_are_few(self, bearer: JWTBearer, make_key: Any) -> None:
        for number in range(200):
            refused(bearer, f"{part({'alg': 'RS256', 'kid': str(number)})}.e30.e30")
        assert len(bearer._headers) <= 32
        assert [bearer.check(asked(make_key().sign())).subject for _ in range(2)] == ["ada", "ada"]

    def test_issuer_and_audience_of_a_stage(self, make_key: Any) -> None:
        app = App("shop")
        bearer = JWTBearer(
            audience=app.config("audience", str), issuer=app.config("issuer", str), jwks={"keys": [make_key().jwk()]}
        )
        assert sorted(one.name for one in bearer.resources) == ["audience", "issuer"]
        with TestClient(app, overrides={"config:audience": "dev-shop", "config:issuer": "https://dev.example"}):
            token = make_key().sign(aud="dev-shop", iss="https://dev.example")
            assert bearer.check(asked(token)).issuer == "https://dev.example"
            assert refused(bearer, make_key().sign(aud="dev-shop", iss="https://example")).status == 401


class TestRefused:
    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"exp": 1}, "The token has expired"),
            ({"exp": None}, "The token lacks a claim that is required"),
            ({"nbf": 99999999999}, "The token is not valid yet"),
            ({"iat": 99999999999}, "The token is not valid yet"),
            ({"aud": "till"}, "The token is for another audience"),
            ({"aud": None}, "The token lacks a claim that is required"),
            ({"aud": ["till"]}, "The token is for another audience"),
            ({"aud": 7}, "The token is for another audience"),
            ({"exp": "soon"}, "The token cannot be read"),
            ({"exp": 1e999}, "The token cannot be read"),
            ({"sub": 7}, "The token cannot be read"),
        ],
    )
    def test_claims(self, bearer: JWTBearer, make_key: Any, claims: dict[str, Any], reason: str) -> None:
        error = refused(bearer, make_key().sign(**claims))
        assert (error.status, error.detail) == (401, reason)
        assert error.headers == {
            "www-authenticate": f'Bearer realm="api", error="invalid_token", error_description="{reason}"'
        }

    def test_another_issuer(self, make_key: Any) -> None:
        bearer = JWTBearer(audience=AUDIENCE, issuer="https://a.example", jwks={"keys": [make_key().jwk()]})
        assert refused(bearer, make_key().sign(iss="https://b.example")).detail == "The token is of another issuer"
        assert refused(bearer, make_key().sign()).status == 401
        assert bearer.check(asked(make_key().sign(iss="https://a.example"))).issuer == "https://a.example"

    def test_a_stolen_name(self, bearer: JWTBearer, make_key: Any) -> None:
        other = make_key("other")
        token = jwt.encode({"aud": AUDIENCE, "exp": time.time() + 60}, other.private, "RS256", {"kid": "one"})
        assert refused(bearer, token).detail == "The token is signed by another key"
        assert refused(bearer, other.sign()).detail == "The token is signed by an unknown key"

    @pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, ["RS256"], {"RS256": 1}, 7])
    def test_none_and_its_likes(self, bearer: JWTBearer, name: Any) -> None:
        header, payload = part({"alg": name, "kid": "one"}), part({"aud": AUDIENCE, "exp": time.time() + 60})
        for token in (f"{header}.{payload}.", f"{header}.{payload}.{part(b'x')}", f"{header}.{payload}"):
            assert refused(bearer, token).status == 401

    @pytest.mark.parametrize("form", ["pem", "stripped", "der"])
    def test_a_public_key_is_no_shared_secret(self, make_key: Any, form: str) -> None:
        """RFC 8725, section 2.1: HS256 keyed with the text of the public key, which everybody has."""
        pem: str = make_key().pem
        secret = {
            "pem": pem.encode(),
            "stripped": pem.strip().encode(),
            "der": base64.b64decode("".join(pem.split("\n")[1:-2])),
        }[form]
        signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part({'aud': AUDIENCE, 'exp': time.time() + 60})}"
        token = f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
        for bearer in (
            JWTBearer(audience=AUDIENCE, key=pem),
            JWTBearer(audience=AUDIENCE, jwks={"keys": [make_key().jwk()]}),
        ):
            assert "algorithm" in refused(bearer, token).detail

    def test_a_key_of_another_kind(self, bearer: JWTBearer, make_key: Any) -> None:
        """A token that names the RSA key and is signed by the curve's."""
        token = make_key("two", "ES256").sign({"kid": "one"})
        assert refused(bearer, token).detail == "The token is signed by an unknown key"

    def test_an_algorithm_that_is_not_on_the_list(self, make_key: Any) -> None:
        key = make_key("two", "ES256")
        bearer = JWTBearer(audience=AUDIENCE, jwks={"keys": [key.jwk()]}, algorithms=["RS256"])
        assert "algorithm" in refused(bearer, key.sign()).detail

    def test_what_is_critical(self, bearer: JWTBearer, make_key: Any) -> None:
        token = make_key().sign({"crit": ["exp"], "exp": 1})
        assert refused(bearer, token).status == 401

    def test_keys_in_the_token_are_not_believed(self, bearer: JWTBearer, make_key: Any) -> None:
        mine = make_key("mine")
        token = mine.sign({"jwk": mine.jwk(), "jku": "https://mine.example/keys", "x5u": "https://mine.example"})
        assert refused(bearer, token).detail == "The token is signed by an unknown key"

    def test_a_changed_payload(self, bearer: JWTBearer, make_key: Any) -> None:
        header, _, signature = make_key().sign().split(".")
        token = f"{header}.{part({'sub': 'eve', 'aud': AUDIENCE, 'exp': time.time() + 60})}.{signature}"
        assert refused(bearer, token).detail == "The token is signed by another key"

    @pytest.mark.parametrize("sent", ["Bearer", "Bearer ", "Bearer a b", "Bearer a,Bearer b", "Bearer ä", 'Bearer "a"'])
    def test_no_token(self, bearer: JWTBearer, sent: str) -> None:
        with pytest.raises(HTTPError) as caught:
            bearer.check(Request("GET", "/", headers={"authorization": sent}))
        assert caught.value.status == 400
        assert 'error="invalid_request"' in (caught.value.headers or {})["www-authenticate"]

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"authorization": ""}])
    def test_nothing_of_the_kind(self, bearer: JWTBearer, headers: dict[str, str]) -> None:
        with pytest.raises(HTTPError) as caught:
            bearer.check(Request("GET", "/", headers=headers))
        # RFC 6750, section 3.1: without credentials no error code
        assert (caught.value.status, caught.value.headers) == (401, {"www-authenticate": 'Bearer realm="api"'})

    def test_too_long(self, bearer: JWTBearer, make_key: Any) -> None:
        assert refused(bearer, make_key().sign(extra="x" * 20_000)).detail == "The token is too long"

    def test_deep_nesting(self, bearer: JWTBearer) -> None:
        token = f"{part(b'[' * 11_000)}.e30.e30"
        assert refused(bearer, token).detail == "The token cannot be read"

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_whatever_strangers_send(self, make_key: Any, data: st.DataObject) -> None:
        """A refusal of ours, never anything else, and never a pass."""
        bearer = JWTBearer(audience=AUDIENCE, jwks={"keys": [make_key().jwk(), make_key("two", "ES256").jwk()]})
        json_values = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
            max_leaves=6,
        )
        names = ["alg", "kid", "typ", "crit", "b64", "zip", "exp", "nbf", "iat", "aud", "sub", "jku", "x5c"]
        values = json_values | st.sampled_from(["RS256", "ES256", "HS256", "none", "one", "two", AUDIENCE])
        documents = st.dictionaries(st.sampled_from(names), values, max_size=6)
        parts = documents.map(part) | st.binary(max_size=30).map(part) | st.text(max_size=10)
        header, payload, signature = data.draw(parts), data.draw(parts), data.draw(parts)
        real = make_key().sign().split(".")
        choice = data.draw(st.integers(0, 3))
        token = [
            f"{header}.{payload}.{signature}",
            f"{real[0]}.{payload}.{real[2]}",
            f"{header}.{real[1]}.{real[2]}",
            f"{real[0]}.{real[1]}.{signature}",
        ][choice]
        if token.split(".") == real:
            return
        error = refused(bearer, token)
        assert error.status in (400, 401)

    @settings(max_examples=60, deadline=None)
    @given(position=st.integers(0, 10_000), letter=st.sampled_from("ABCXYZabcxyz0189-_.=~"))
    def test_a_changed_letter(self, make_key: Any, position: int, letter: str) -> None:
        bearer = JWTBearer(audience=AUDIENCE, jwks={"keys": [make_key().jwk()]})
        token = make_key().sign()
        at = position % len(token)
        changed = token[:at] + letter + token[at + 1 :]
        if changed != token:
            assert refused(bearer, changed).status in (400, 401)


class TestScopes:
    @pytest.mark.parametrize(
        "claims",
        [
            {"scope": "read admin"},
            {"scope": ["admin", "read"]},
            {"scp": "admin read"},
            {"scp": ["read", "admin"]},
            {"scope": "read", "realm_access": {"roles": ["admin"]}},
        ],
    )
    def test_where_they_are(self, make_key: Any, claims: dict[str, Any]) -> None:
        bearer = JWTBearer(
            audience=AUDIENCE, key=make_key().pem, scopes=["read"], roles=("realm_access", "roles")
        ).requires("admin")
        assert bearer.check(asked(make_key().sign(**claims))).scopes == {"read", "admin"}

    @pytest.mark.parametrize(
        "claims", [{}, {"scope": "admins"}, {"scope": {"admin": 1}}, {"scope": ["admin read"]}, {"roles": ["admin"]}]
    )
    def test_missing(self, make_key: Any, claims: dict[str, Any]) -> None:
        bearer = JWTBearer(audience=AUDIENCE, key=make_key().pem, scopes="read").requires("admin")
        with pytest.raises(HTTPError) as caught:
            bearer.check(asked(make_key().sign(**claims)))
        assert caught.value.status == 403
        challenge = (caught.value.headers or {})["www-authenticate"]
        assert challenge in (
            'Bearer realm="api", error="insufficient_scope", scope="read"',
            'Bearer realm="api", error="insufficient_scope", scope="read admin"',
        )

    def test_equal_ones_are_one_object(self, bearer: JWTBearer) -> None:
        assert bearer.requires("a", "b") is bearer.requires("a", "b")
        assert bearer.requires("a") is not bearer.requires("b")
        assert bearer.requires("a").security_scheme.scopes == ("a",)
        assert bearer.security_scheme.openapi == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class TestDeclared:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({}, "needs key=, jwks= or issuer="),
            ({"key": "x", "jwks": "https://a.example"}, "not both"),
            ({"jwks": "http://a.example/keys"}, "https://"),
            ({"jwks": "file:///etc/passwd"}, "https://"),
            ({"issuer": "ftp://a.example"}, "https://"),
            ({"key": "x", "algorithms": ["none"]}, "no algorithm 'none'"),
            ({"key": "x", "algorithms": ["HS256"]}, "from a Secret"),
            ({"jwks": "https://a.example", "algorithms": ["HS256"]}, "from a Secret"),
            ({"key": "x", "algorithms": ["RS256", "HS256"]}, "keep them apart"),
            ({"jwks": "https://a.example", "scopes": ["a b"]}, "one word"),
            ({"jwks": "https://a.example", "realm": 'a"b'}, "realm"),
            ({"jwks": "https://a.example", "except_paths": ["health"]}, "is no path"),
            ({"jwks": "https://a.example", "except_paths": ["/*/x"]}, "is no path"),
            ({"jwks": "https://a.example", "ttl": timedelta(seconds=-1)}, "below zero"),
        ],
    )
    def test_mistakes(self, options: dict[str, Any], says: str) -> None:
        with pytest.raises(ConfigError, match=says):
            JWTBearer(audience=AUDIENCE, **options)

    def test_keys_that_are_none(self, make_key: Any) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        private = make_key().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for text in ("nonsense", private, make_key("short", bits=1024).pem):
            with pytest.raises(ConfigError) as caught:
                JWTBearer(audience=AUDIENCE, key=text).load()
            assert text not in str(caught.value)

    def test_a_short_secret(self) -> None:
        app = App("shop")
        bearer = JWTBearer(audience=AUDIENCE, key=app.secret("signer"), algorithms=["HS256"])
        with TestClient(app, overrides={"secret:signer": "short"}), pytest.raises(ConfigError, match="32 bytes"):
            bearer.load()
