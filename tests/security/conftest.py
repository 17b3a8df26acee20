"""An issuer of tokens: keys, and a server on loopback that publishes them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUDIENCE = "shop"


class Key:
    """A pair of keys, and what it is called."""

    def __init__(self, kid: str | None, algorithm: str, private: Any) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private = private

    @property
    def pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def jwk(self, **more: Any) -> dict[str, Any]:
        kinds: dict[str, Any] = {
            "R": jwt.algorithms.RSAAlgorithm,
            "P": jwt.algorithms.RSAAlgorithm,
            "E": jwt.algorithms.ECAlgorithm,
        }
        kind = jwt.algorithms.OKPAlgorithm if self.algorithm == "EdDSA" else kinds[self.algorithm[0]]
        found: dict[str, Any] = json.loads(kind.to_jwk(self.private.public_key()))
        if self.kid is not None:
            found["kid"] = self.kid
        return {**found, "use": "sig", **more}

    def sign(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good for a minute, unless the claims say otherwise; one that is None is left out."""
        payload = {"sub": "ada", "aud": AUDIENCE, "exp": time.time() + 60, **claims}
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            self.private,
            self.algorithm,
            {**named, **(headers or {})},
        )


class Issuer:
    """Publishes a key set and a discovery document. ``asked`` counts requests by path."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked: dict[str, int] = {}
        self.status = 200
        self.body: bytes | None = None
        self.location: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.discovery: dict[str, Any] | None = None
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] = issuer.asked.get(self.path, 0) + 1
                issuer.gate.wait(30)
                if self.path == "/.well-known/openid-configuration":
                    document = issuer.discovery or {"issuer": issuer.url, "jwks_uri": issuer.jwks}
                    self.send(200, json.dumps(document).encode())
                else:
                    self.send(issuer.status, issuer.body or json.dumps({"keys": issuer.keys}).encode())

            def send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if issuer.location:
                    self.send_header("location", issuer.location)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.jwks = f"{self.url}/keys"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return self.asked.get("/keys", 0)

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture(scope="session")
def make_key() -> Callable[..., Key]:
    made: dict[tuple[Any, ...], Any] = {}

    def make(kid: str | None = "one", algorithm: str = "RS256", *, bits: int = 2048) -> Key:
        known = (kid, algorithm, bits)
        if known not in made:
            if algorithm[0] in "RP":
                made[known] = rsa.generate_private_key(65537, bits)
            elif algorithm == "EdDSA":
                made[known] = ed25519.Ed25519PrivateKey.generate()
            else:
                curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
                made[known] = ec.generate_private_key(curves[algorithm])
        return Key(kid, algorithm, made[known])

    return make
