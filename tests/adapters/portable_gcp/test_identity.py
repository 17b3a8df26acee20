"""Tokens as Google signs them, here with a key of our own: what is let through, and what is not."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest

from portable.errors import ConfigError, HTTPError
from portable_gcp.triggers import identity
from portable_gcp.triggers.identity import Certificates, Guard, fetch_certificates

AUDIENCE = "https://send-abc.run.app"
ACCOUNT = "push@my-project.iam.gserviceaccount.com"
ENVIRONMENT = {"PORTABLE_EVENT_AUDIENCE": AUDIENCE, "PORTABLE_EVENT_ACCOUNT": f"{ACCOUNT}, other@x.com"}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {
        "aud": AUDIENCE,
        "azp": "113774264463038321964",
        "email": ACCOUNT,
        "email_verified": True,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
        "sub": "113774264463038321964",
    }
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


@pytest.fixture
def check(google: Any) -> Callable[[str], None]:
    guard = Guard(ENVIRONMENT, Certificates(lambda: ({"key-1": google.certificate}, 3600)))
    return lambda header: guard.check({"HTTP_AUTHORIZATION": header} if header else {})


def status_of(call: Callable[[], None]) -> int:
    with pytest.raises(HTTPError) as caught:
        call()
    return caught.value.status


def test_a_valid_token(check: Any, google: Any) -> None:
    check(f"Bearer {google.token(claims())}")
    check(f"bearer  {google.token(claims(email='other@x.com', iss='accounts.google.com'))} ")
    check(f"Bearer {google.token(claims(), kid=None)}")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.run.app"},
        {"aud": None},
        {"iss": "https://accounts.evil.com"},
        {"iss": None},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
        {"exp": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 7200},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_claims_that_do_not_hold(check: Any, google: Any, changes: dict[str, Any]) -> None:
    assert status_of(lambda: check(f"Bearer {google.token(claims(**changes))}")) == 401


@pytest.mark.parametrize(
    "changes",
    [{"email": "push@other-project.iam.gserviceaccount.com"}, {"email": None}, {"email_verified": False}],
    ids=repr,
)
def test_a_strangers_account(check: Any, google: Any, changes: dict[str, Any]) -> None:
    assert status_of(lambda: check(f"Bearer {google.token(claims(**changes))}")) == 403


def encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def test_signatures_that_do_not_hold(check: Any, google: Any, stranger: Any) -> None:
    header, body, signature = google.token(claims()).split(".")
    forged = [
        stranger.token(claims()),
        google.token(claims(), kid="key-2"),
        f"{header}.{encoded(claims(email='other@x.com'))}.{signature}",
        f"{header}.{body}.",
        f"{header}.{body}",
        f"{header}.{body}.SIGNATURE_REMOVED_BY_GOOGLE",
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        jwt.encode(claims(), "secret" * 10, "HS256", headers={"kid": "key-1"}),
        "a.b.c",
        "é",
        "..",
        "x",
    ]
    for token in forged:
        assert status_of(lambda: check(f"Bearer {token}")) == 401, token  # noqa: B023 - called at once


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "token"])
def test_no_token(check: Any, header: str) -> None:
    with pytest.raises(HTTPError) as caught:
        check(header)
    assert caught.value.status == 401
    assert caught.value.headers == {"www-authenticate": "Bearer"}


@pytest.mark.parametrize(
    "changes",
    [
        {"PORTABLE_EVENT_AUDIENCE": ""},
        {"PORTABLE_EVENT_ACCOUNT": ""},
        {"PORTABLE_EVENT_ACCOUNT": " , "},
        {"PORTABLE_EVENT_AUTH": "iam", "K_SERVICE": "send", "PORTABLE_EVENT_ACCOUNT": ""},
    ],
    ids=repr,
)
def test_who_is_expected_must_be_said(changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="PORTABLE_EVENT_AUDIENCE and PORTABLE_EVENT_ACCOUNT must be set"):
        Guard({**ENVIRONMENT, **changes})


@pytest.mark.parametrize("value", ["off", "none", "false", "0", "OIDC", "off-on-loopback "])
def test_no_other_word_turns_it_off(value: str) -> None:
    with pytest.raises(ConfigError, match="PORTABLE_EVENT_AUTH is 'oidc', 'iam' or 'off-on-loopback'"):
        Guard({**ENVIRONMENT, "PORTABLE_EVENT_AUTH": value})


# --- behind Cloud Run's IAM check


def test_iam_has_checked_and_removed_the_signature(google: Any) -> None:
    behind_iam = {**ENVIRONMENT, "PORTABLE_EVENT_AUTH": "iam"}
    with pytest.raises(ConfigError, match="iam outside Cloud Run"):
        Guard(behind_iam)
    guard = Guard({**behind_iam, "K_SERVICE": "send"})

    def check(**changes: Any) -> None:
        token = google.token(claims(**changes)).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
        guard.check({"HTTP_AUTHORIZATION": f"Bearer {token}"})

    check()
    assert status_of(lambda: check(aud="https://another.run.app")) == 401
    assert status_of(lambda: check(iss="https://accounts.evil.com")) == 401
    assert status_of(lambda: check(exp=int(time.time()) - 60)) == 401
    assert status_of(lambda: check(exp=None)) == 401
    assert status_of(lambda: check(email="push@other.com")) == 403
    assert status_of(lambda: guard.check({"HTTP_AUTHORIZATION": "Bearer a.b.c"})) == 401


# --- off


def test_off_is_loud_and_for_this_machine_alone(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard({"PORTABLE_EVENT_AUTH": "off-on-loopback"})
    assert "EVENTS ARE NOT VERIFIED" in caplog.text
    guard.check({"REMOTE_ADDR": "127.0.0.1"})
    guard.check({"REMOTE_ADDR": "::1"})
    for environ in (
        {"REMOTE_ADDR": "10.0.0.7"},
        {"REMOTE_ADDR": ""},
        {},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    ):
        assert status_of(lambda: guard.check(environ)) == 403  # noqa: B023 - called at once


def test_off_is_refused_in_the_cloud() -> None:
    with pytest.raises(ConfigError, match="off-on-loopback on Cloud Run"):
        Guard({**ENVIRONMENT, "PORTABLE_EVENT_AUTH": "off-on-loopback", "K_SERVICE": "send"})


# --- certificates


def test_certificates_are_kept_and_fetched_anew_for_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(identity, "monotonic", lambda: now[0])
    given: list[Mapping[str, str]] = [{"a": "1"}, {"b": "2"}, {"c": "3"}]
    certificates = Certificates(lambda: (given.pop(0), 600.0))
    assert certificates.get("a") == certificates.get("a") == {"a": "1"}
    assert certificates.get("b") == {"a": "1"}  # fetched a moment ago: a made-up key must not fetch again
    now[0] += 61
    assert certificates.get("a") == {"a": "1"}
    assert certificates.get("b") == {"b": "2"}
    now[0] += 601
    assert certificates.get("b") == {"c": "3"}


def test_without_certificates_the_sender_comes_again() -> None:
    def unreachable() -> tuple[Mapping[str, str], float]:
        raise OSError("no route to host")

    guard = Guard(ENVIRONMENT, Certificates(unreachable))
    token = f"{encoded({'kid': 'x'})}.x.x"
    assert status_of(lambda: guard.check({"HTTP_AUTHORIZATION": f"Bearer {token}"})) == 503


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, str]]]:
    headers: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b'{"key-1": "PEM"}')

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/", headers
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("cache", "seconds"), [("public, max-age=21600, must-revalidate", 21600.0), ("no-store", 3600.0), ("", 3600.0)]
)
def test_fetching(server: Any, monkeypatch: pytest.MonkeyPatch, cache: str, seconds: float) -> None:
    url, headers = server
    headers["Cache-Control"] = cache
    monkeypatch.setattr(identity, "CERTIFICATES_URL", url)
    assert fetch_certificates() == ({"key-1": "PEM"}, seconds)


def test_iam_has_compared_the_audience(google: Any) -> None:
    guard = Guard({"PORTABLE_EVENT_AUTH": "iam", "PORTABLE_EVENT_ACCOUNT": ACCOUNT, "K_SERVICE": "send"})

    def check(**changes: Any) -> None:
        head, body, _ = google.token(claims(**changes)).split(".")
        guard.check({"HTTP_AUTHORIZATION": f"Bearer {head}.{body}.SIGNATURE_REMOVED_BY_GOOGLE"})

    check(aud="https://what-eventarc-says-abc.a.run.app")
    assert status_of(lambda: check(email="other@x.com")) == 403
    assert status_of(lambda: check(exp=int(time.time()) - 3600)) == 401
