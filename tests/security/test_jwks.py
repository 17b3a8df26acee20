"""Keys that an issuer publishes, on a real HTTP server: fetched, kept, rotated, and gone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from portable import App, ConfigError, HTTPError, Request
from portable.invoke import make_function
from portable.resources import on_thread
from portable.security import JWTBearer, jwks
from portable.testing.conformance.cases import together

AUDIENCE = "shop"


def asked(token: str) -> Request:
    return Request("GET", "/", headers={"authorization": f"Bearer {token}"})


def await_that(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


class Clock:
    """Seconds since the epoch, as far as the key set knows."""

    def __init__(self) -> None:
        self.past = 0.0

    def __call__(self) -> float:
        return time.time() + self.past


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jwks, "time", clock)
    return clock


def bearer_of(issuer: Any, **options: Any) -> JWTBearer:
    return JWTBearer(audience=AUDIENCE, jwks=issuer.jwks, **options)


def status_of(bearer: JWTBearer, token: str) -> int:
    try:
        bearer.check(asked(token))
    except HTTPError as error:
        return error.status
    return 200


def test_fetched_once_and_kept(issuer: Any, make_key: Any, clock: Clock) -> None:
    issuer.keys = [make_key().jwk(), make_key("two", "ES256").jwk()]
    bearer = bearer_of(issuer, ttl=timedelta(minutes=2))
    assert issuer.fetches == 0
    for _ in range(3):
        assert status_of(bearer, make_key().sign()) == 200
        assert status_of(bearer, make_key("two", "ES256").sign()) == 200
    assert issuer.fetches == 1
    clock.past = 121
    assert status_of(bearer, make_key().sign(exp=time.time() + 999)) == 200
    assert issuer.fetches == 2


def test_a_key_that_is_published_no_more_is_not_believed_for_long(issuer: Any, make_key: Any, clock: Clock) -> None:
    issuer.keys = [make_key().jwk(), make_key("new").jwk()]
    bearer = bearer_of(issuer, ttl=timedelta(minutes=2))
    assert status_of(bearer, make_key().sign()) == 200
    issuer.keys = [make_key("new").jwk()]
    clock.past = 121
    assert status_of(bearer, make_key().sign(exp=time.time() + 999)) == 401


class TestRotation:
    def test_a_new_key_is_fetched_at_once(self, issuer: Any, make_key: Any, clock: Clock) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = bearer_of(issuer)
        assert status_of(bearer, make_key().sign()) == 200
        issuer.keys = [make_key("new").jwk()]
        clock.past = 31
        assert status_of(bearer, make_key("new").sign()) == 200
        assert status_of(bearer, make_key().sign()) == 401  # the cool-down has begun anew
        assert issuer.fetches == 2

    def test_unknown_keys_fetch_once_in_a_cooldown(self, issuer: Any, make_key: Any, clock: Clock) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = bearer_of(issuer, cooldown=timedelta(seconds=10))
        stranger = make_key("stranger")
        assert [status_of(bearer, stranger.sign()) for _ in range(20)] == [401] * 20
        assert issuer.fetches == 1
        clock.past = 11
        assert [status_of(bearer, stranger.sign()) for _ in range(20)] == [401] * 20
        assert issuer.fetches == 2
        assert status_of(bearer, make_key().sign()) == 200

    def test_threads_fetch_once(self, issuer: Any, make_key: Any, clock: Clock) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = bearer_of(issuer)
        issuer.gate.clear()
        threading.Timer(0.3, issuer.gate.set).start()
        assert together(8, lambda _: status_of(bearer, make_key().sign())) == [200] * 8
        assert issuer.fetches == 1
        issuer.keys = [make_key("new").jwk()]
        clock.past = 31
        assert together(8, lambda _: status_of(bearer, make_key("new").sign())) == [200] * 8
        assert issuer.fetches == 2

    def test_known_keys_do_not_wait_for_a_fetch(self, issuer: Any, make_key: Any, clock: Clock) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = bearer_of(issuer)
        assert status_of(bearer, make_key().sign()) == 200
        issuer.keys.append(make_key("new").jwk())
        issuer.gate.clear()
        seen: list[int] = []
        for past in (31, 700):  # an unknown key; a set past its time
            clock.past = past
            token = make_key("new" if past == 31 else "one").sign(exp=time.time() + 999)
            waiting = threading.Thread(target=lambda token=token: seen.append(status_of(bearer, token)))
            before = issuer.fetches
            waiting.start()
            await_that(lambda before=before: issuer.fetches > before)
            assert status_of(bearer, make_key().sign(exp=time.time() + 999)) == 200
            assert waiting.is_alive()
            issuer.gate.set()
            waiting.join()
            issuer.gate.clear()
        assert seen == [200, 200]

    def test_from_an_event_loop(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = bearer_of(issuer)
        issuer.gate.clear()

        async def work() -> None:
            request = asked(make_key().sign())
            first = asyncio.ensure_future(on_thread(bearer.check, request))
            await asyncio.to_thread(await_that, lambda: bool(issuer.asked))  # the loop goes on
            issuer.gate.set()
            assert (await first).subject == "ada"

        asyncio.run(work())

    def test_as_middleware_on_a_loop_that_others_share(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key().jwk()]
        issuer.gate.clear()
        app = App("shop")
        app.middleware(bearer_of(issuer))

        @app.get("/")
        async def home() -> str:
            return "in"

        answer: Any = make_function(app.functions()["http"], app)

        async def work() -> None:
            first = asyncio.ensure_future(answer(asked(make_key().sign())))
            await asyncio.to_thread(await_that, lambda: bool(issuer.asked))
            assert not first.done()  # the loop goes on
            issuer.gate.set()
            assert (await first).body == "in"
            assert (await answer(asked("x"))).status == 401

        asyncio.run(work())


class TestGone:
    def test_a_kept_set_is_used_for_a_while(
        self, issuer: Any, make_key: Any, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = bearer_of(issuer)
        long = {"exp": time.time() + 99_999}
        assert status_of(bearer, make_key().sign(**long)) == 200
        issuer.status = 500
        clock.past = 601
        assert [status_of(bearer, make_key().sign(**long)) for _ in range(5)] == [200] * 5
        assert issuer.fetches == 2  # not asked again at once
        assert "are used" in caplog.text
        assert status_of(bearer, make_key("new").sign(**long)) == 503  # it may well be a new one
        clock.past = 601 + jwks.PAUSE + 1
        assert status_of(bearer, make_key().sign(**long)) == 200
        assert issuer.fetches == 3
        clock.past = 600 + jwks.GRACE + 1
        assert status_of(bearer, make_key().sign(**long)) == 503
        issuer.status = 200
        clock.past += jwks.PAUSE + 1
        assert status_of(bearer, make_key().sign(**long)) == 200

    def test_nothing_is_kept(self, issuer: Any, make_key: Any, clock: Clock) -> None:
        issuer.status = 503
        bearer = bearer_of(issuer)
        with pytest.raises(HTTPError) as caught:
            bearer.check(asked(make_key().sign()))
        assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "5"})
        assert status_of(bearer, make_key().sign()) == 503
        assert issuer.fetches == 1  # while it is down it is not asked for each request
        issuer.status, issuer.keys = 200, [make_key().jwk()]
        clock.past = jwks.PAUSE + 1
        assert status_of(bearer, make_key().sign()) == 200

    def test_nobody_listens(self, issuer: Any, make_key: Any) -> None:
        bearer = bearer_of(issuer)
        issuer.server.server_close()
        assert status_of(bearer, make_key().sign()) == 503

    def test_it_takes_too_long(self, issuer: Any, make_key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jwks, "TIMEOUT", 0.2)
        issuer.gate.clear()
        assert status_of(bearer_of(issuer), make_key().sign()) == 503

    @pytest.mark.parametrize(
        "body",
        [b"", b"no json", b"[]", b'{"keys": {}}', b"[" * 100_000, b'{"keys": []}' + b" " * (jwks.LARGEST + 1), b"\xff"],
    )
    def test_what_is_no_key_set(self, issuer: Any, make_key: Any, body: bytes) -> None:
        issuer.body = body or b"\n"
        assert status_of(bearer_of(issuer), make_key().sign()) == 503

    def test_redirections_are_not_followed(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key().jwk()]
        issuer.status, issuer.location = 302, f"{issuer.url}/elsewhere"
        assert status_of(bearer_of(issuer), make_key().sign()) == 503
        assert "/elsewhere" not in issuer.asked


class TestSets:
    @pytest.mark.parametrize(
        "change",
        [
            {"use": "enc"},
            {"key_ops": ["encrypt"]},
            {"alg": "RS512"},
            {"alg": "RSA-OAEP"},
            {"kty": "oct", "k": "AAAA"},
            {"kty": "?"},
            {"n": 7},
            {"e": ""},
            {"kid": 7},
            {"kid": None},
        ],
    )
    def test_keys_that_verify_nothing(self, issuer: Any, make_key: Any, change: dict[str, Any]) -> None:
        issuer.keys = [make_key().jwk(**change), make_key("two", "ES256").jwk(), "no key", None]
        bearer = bearer_of(issuer)
        assert status_of(bearer, make_key("two", "ES256").sign()) == 200
        assert status_of(bearer, make_key().sign()) == 401

    def test_a_private_key_that_was_published(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key().jwk(d="AQAB")]
        assert status_of(bearer_of(issuer), make_key().sign()) == 401

    @pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")
    def test_a_short_key(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key("short", bits=1024).jwk()]
        assert status_of(bearer_of(issuer), make_key("short", bits=1024).sign()) == 401

    def test_a_shared_key_is_never_taken_from_a_set(self, issuer: Any) -> None:
        import jwt

        secret = b"a shared key of thirty-two bytes or more"
        issuer.keys = [{"kty": "oct", "kid": "one", "alg": "HS256", "k": "YSBzaGFyZWQga2V5"}]
        token = jwt.encode({"aud": AUDIENCE, "exp": time.time() + 60}, secret, "HS256", {"kid": "one"})
        assert status_of(bearer_of(issuer), token) == 401

    def test_two_keys_of_one_name(self, issuer: Any, make_key: Any) -> None:
        one, other = make_key("same"), make_key("same", bits=3072)
        issuer.keys = [one.jwk(), other.jwk()]
        bearer = bearer_of(issuer)
        assert [status_of(bearer, key.sign()) for key in (one, other)] == [200, 200]

    def test_a_token_without_a_name_among_several_keys(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key().jwk(), make_key("new").jwk()]
        nameless = make_key()
        token = nameless.sign({"kid": "one"})
        assert status_of(bearer_of(issuer), token) == 200
        nameless.kid = None
        assert status_of(bearer_of(issuer), nameless.sign()) == 401


class TestDiscovery:
    def test_by_the_issuer(self, issuer: Any, make_key: Any) -> None:
        issuer.keys = [make_key().jwk()]
        bearer = JWTBearer(audience=AUDIENCE, issuer=issuer.url)
        assert status_of(bearer, make_key().sign(iss=issuer.url)) == 200
        assert status_of(bearer, make_key().sign(iss="https://other.example")) == 401
        assert issuer.asked == {"/.well-known/openid-configuration": 1, "/keys": 1}

    @pytest.mark.parametrize(
        "change",
        [
            {"issuer": "https://other.example"},
            {"jwks_uri": "http://other.example/keys"},
            {"jwks_uri": "file:///etc/passwd"},
            {"jwks_uri": None},
            {"jwks_uri": 7},
        ],
    )
    def test_a_document_of_somebody_else(self, issuer: Any, make_key: Any, change: dict[str, Any]) -> None:
        issuer.keys = [make_key().jwk()]
        issuer.discovery = {"issuer": issuer.url, "jwks_uri": issuer.jwks, **change}
        bearer = JWTBearer(audience=AUDIENCE, issuer=issuer.url)
        assert status_of(bearer, make_key().sign(iss=issuer.url)) == 503


def test_load_fetches_before_the_first_request(issuer: Any, make_key: Any) -> None:
    issuer.keys = [make_key().jwk()]
    bearer = bearer_of(issuer)
    bearer.load()
    bearer.load()
    assert status_of(bearer, make_key().sign()) == 200
    assert issuer.fetches == 1


@pytest.mark.parametrize("check", [lambda: jwks.check_address("jwks", "http://a.example/keys")])
def test_plain_http_is_for_this_machine(check: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match="https://"):
        check()
    assert jwks.check_address("jwks", "http://127.0.0.1:1/keys")
