"""Checks and limits in built artifacts, under each cloud's own runtime client, with an issuer that rotates its keys."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from portable.plugins import adapter
from portable.run import parts
from portable.run.deployment import deployed
from portable.samples.neutral import make_request

APP = """
from datetime import timedelta
from typing import Annotated

from portable import App, Depends
from portable.security import Claims, JWTBearer, RateLimit, SecurityHeaders

app = App("guarded")
limits = app.cache("limits")
bearer = JWTBearer(issuer="{issuer}", audience="shop", cooldown=timedelta(0), except_paths=["/open"])
app.middleware(SecurityHeaders())
app.middleware(bearer)


@app.get("/open", dependencies=[Depends(RateLimit(limits, limit=2, per=timedelta(hours=1), algorithm="token-bucket"))])
def not_guarded() -> str:
    return "in"


@app.get("/me")
def me(claims: Annotated[Claims, Depends(bearer)]) -> str:
    return claims.subject


@app.get("/later")
async def later(claims: Annotated[Claims, Depends(bearer.requires("late"))]) -> str:
    return claims.subject
"""


class Issuer:
    """Publishes one key, and another when it has been told to."""

    def __init__(self) -> None:
        self.rotate(rsa.generate_private_key(65537, 2048), "RS256", jwt.algorithms.RSAAlgorithm)
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/keys": {"keys": [issuer.public]},
                }
                body = json.dumps(documents[self.path]).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    def rotate(self, private: Any, algorithm: str, kind: Any) -> None:
        self.private, self.algorithm = private, algorithm
        self.public = {**json.loads(kind.to_jwk(private.public_key())), "kid": algorithm}

    def bearing(self, **claims: Any) -> list[tuple[str, str]]:
        payload = {"sub": "ada", "aud": "shop", "iss": self.url, "exp": time.time() + 600, **claims}
        token = jwt.encode(payload, self.private, self.algorithm, {"kid": self.algorithm})
        return [("authorization", f"Bearer {token}")]

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


def build(folder: Path, target: str, issuer: str) -> Path:
    (folder / "app.py").write_text(APP.replace("{issuer}", issuer), "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "guarded"\nversion = "0"\ndependencies = []\n', "utf-8")
    # In a process of its own: it imports the app.
    command = [sys.executable, "-m", "portable.cli", "build", "--target", target, "--for-here", "--project", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist" / target


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("target", ["local", "aws", "gcp", "azure"])
def test_a_target_lets_in_whom_it_should(
    target: str, require_part: Callable[..., Any], issuer: Issuer, tmp_path: Path
) -> None:
    found = adapter(target)
    for name in found.run.parts:
        require_part(name, found.build.pythons[0] if parts.named(name).python(found.build.pythons[0]) else None)
    for name in ("redis-server", *found.run.emulators):
        require_part(name)
    with deployed(build(tmp_path, target, issuer.url)) as deployment:

        def get(path: str, headers: Any = ()) -> Any:
            return deployment.request(make_request("GET", path, headers=headers))

        refused = get("/me")
        assert (refused.status, json.loads(refused.body)["status"]) == (401, 401)
        assert refused.headers["www-authenticate"] == 'Bearer realm="api"'
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert get("/me", issuer.bearing()).body in (b"ada", "ada"), deployment.log()
        assert get("/me", issuer.bearing(exp=1)).status == 401
        assert get("/me", issuer.bearing(aud="till")).status == 401
        assert get("/later", issuer.bearing()).status == 403
        assert get("/later", issuer.bearing(scope="late")).body in (b"ada", "ada")
        issuer.rotate(ec.generate_private_key(ec.SECP256R1()), "ES256", jwt.algorithms.ECAlgorithm)
        assert get("/me", issuer.bearing()).status == 200
        answers = [get("/open") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2].headers["ratelimit-policy"] == '"default";q=2;w=3600'
        assert 0 < int(answers[2].headers["retry-after"]) <= 1800
