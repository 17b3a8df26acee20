from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from portable import App, Backoff
from portable.build.deployment import Deployment
from portable.build.settings import FunctionSettings
from portable.manifest import describe_app
from portable.run.emulators import PROJECT, Emulator
from portable_gcp.build import TARGET


def _call_json(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else {}


class Signer:
    """A key, and the certificate Google would publish for it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def token(self, claims: Mapping[str, Any], *, kid: str | None = "key-1") -> str:
        return jwt.encode(dict(claims), self.key, "RS256", headers={"kid": kid} if kid else None)


class Topics:
    """Topics and subscriptions on the emulator, each named like nothing else."""

    def __init__(self, emulator: Emulator) -> None:
        self.root = f"{emulator.endpoint}/v1/projects/{PROJECT}"
        self.unique = uuid4().hex[:8]

    def topic(self, name: str) -> str:
        path = f"projects/{PROJECT}/topics/{name}-{self.unique}"
        _call_json("PUT", f"{self.root}/topics/{name}-{self.unique}", {})
        return path

    def subscription(self, name: str, topic: str, **options: Any) -> str:
        _call_json("PUT", f"{self.root}/subscriptions/{name}-{self.unique}", {"topic": topic, **options})
        return f"projects/{PROJECT}/subscriptions/{name}-{self.unique}"


@pytest.fixture(scope="session")
def call_json() -> Callable[..., Any]:
    """``call_json(method, url, body)``: what an emulator's API answers."""
    return _call_json


@pytest.fixture
def topics(pubsub: Emulator) -> Topics:
    return Topics(pubsub)


@pytest.fixture
def payload(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    folder = request.path.parent / "payloads"
    return lambda name: json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def no_platform_left() -> Iterator[None]:
    """What an entry sets for its process must not reach the next test."""
    from portable.resources import set_platform

    yield
    set_platform(None)


@pytest.fixture(scope="session")
def google() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def stranger() -> Signer:
    return Signer()


def _handler(event: Any) -> None:
    """Whatever it is."""


def recount(payload: dict[str, Any]) -> dict[str, Any]:
    """Called by name."""
    return payload


def _whole_app(*, split: bool = False) -> App:
    """One of everything."""
    app = App("saas")
    uploads = app.bucket("uploads")
    emails = app.queue("emails", max_attempts=7, retry=Backoff(timedelta(seconds=20), limit=timedelta(seconds=300)))
    app.queue("pulled", ordered=True)
    signups = app.topic("signups")
    users = app.table("users", key="id", ttl="gone")
    app.secret("mailer-key")
    app.cache("limits")
    app.config("flag")

    @app.get("/users/{user}")
    def read(user: str) -> Any:
        return users.get(user)

    if split:
        app.get("/admin/{rest:path}", function="admin", auth="cloud")(lambda rest: None)
        app.get("/users/me", function="admin", auth="cloud")(lambda: None)
        app.post("/users/{user}", function="admin", auth="cloud")(lambda user: None)
    app.on_message(emails, batch_size=1, timeout=timedelta(minutes=5), function="send-email")(_handler)
    app.on_message(signups, batch_size=1, filter={"plan": ["a", {"prefix": "b"}]}, function="welcome")(_handler)
    app.on_blob(uploads, kinds=("created", "deleted"), memory=1024, function="thumbnail")(_handler)
    app.on_change(users, old=True, function="audit")(_handler)
    app.on_schedule(cron="0 8 * * *", timezone="Europe/Paris", function="daily")(_handler)
    app.function()(recount)
    return app


def _deployment(app: App, settings: Mapping[str, Any] | None = None, **changes: Any) -> Deployment:
    manifest = describe_app(app, "app:app", Path(__file__).parent)
    made = Deployment(
        app=manifest.app,
        stage="prod",
        target="gcp",
        manifest=manifest,
        functions={
            one.name: FunctionSettings(memory=one.memory, timeout=one.timeout, environment={"PRICE": "5 ${EUR} %{x}"})
            for one in manifest.functions
        },
        settings=settings or {},
        bundles=TARGET.bundles(manifest, settings or {}),
        python="3.13",
        arch="x86_64",
        form="terraform",
    )
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def whole_app() -> Callable[..., App]:
    """``whole_app(split=False)``: an app with one of everything; HTTP in two functions where it is split."""
    return _whole_app


@pytest.fixture
def deployment() -> Callable[..., Deployment]:
    """``deployment(app, settings, **changes)``: of the app, at stage prod."""
    return _deployment
