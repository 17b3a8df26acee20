"""What stands for Google's Secret Manager and for Azure's Key Vault, which have no emulator: small servers of ours.

They answer as the documented REST interfaces do, as far as the drivers go, and keep everything in memory. The clients
in front of them are the vendors' own. What is imitated here is not proof of what the clouds do.

* https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
* https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret, and for the challenge that comes first
  https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from portable.run.emulators.emulator import LOOPBACK

__all__ = ["KEY_VAULT", "Vault", "key_vault", "new_version", "secret_manager"]

KEY_VAULT = "https://emulated.vault.azure.net"
"""The vault's address; the SDK takes none without TLS. ``PORTABLE_KEYVAULT_EMULATOR`` leads it to the server."""

TOKEN = "emulated"  # noqa: S105 - it opens nothing


class Vault:
    """A running server. ``environment``: what leads the drivers to it."""

    def __init__(self, endpoint: str, environment: dict[str, str]) -> None:
        self.endpoint = endpoint
        self.environment = environment
        self.refusals: list[tuple[int, Any]] = []
        self._lock = Lock()
        self._versions: dict[str, dict[str, bytes]] = {}

    def put(self, name: str, data: bytes, version: str | None = None) -> str:
        """A new version of a secret, and what it is called."""
        with self._lock:
            versions = self._versions.setdefault(name, {})
            version = version or str(len(versions) + 1)
            versions[version] = data
            return version

    def find(self, name: str, version: str | None) -> tuple[str, bytes] | None:
        """A version of a secret, the latest for None."""
        with self._lock:
            versions = self._versions.get(name) or {}
            chosen = version or next(reversed(versions), "")
            return (chosen, versions[chosen]) if chosen in versions else None

    def refuse(self, status: int, document: Any) -> None:
        """Give the next request this answer."""
        self.refusals.append((status, document))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    vault: Vault

    def _document(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _answer(self, status: int, document: Any, **headers: str) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


class _SecretManager(_Handler):
    def do_GET(self) -> None:
        asked = re.fullmatch(r"/v1/projects/([^/]+)/secrets/([^/]+)/versions/([^/]+):access", urlsplit(self.path).path)
        if self.vault.refusals:
            self._answer(*self.vault.refusals.pop(0))
            return
        if asked is None:
            self._refuse(404, "NOT_FOUND", "Requested entity was not found.")
            return
        project, name, version = asked.groups()
        found = self.vault.find(name, None if version == "latest" else version)
        if found is None:
            wanted = f"projects/{project}/secrets/{name}"
            self._refuse(404, "NOT_FOUND", f"Secret [{wanted}] not found or has no versions.")
            return
        self._answer(
            200,
            {
                "name": f"projects/{project}/secrets/{name}/versions/{found[0]}",
                "payload": {"data": base64.b64encode(found[1]).decode()},
            },
        )

    def _refuse(self, code: int, status: str, message: str) -> None:
        self._answer(code, {"error": {"code": code, "message": message, "status": status}})


class _KeyVault(_Handler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = (
                'Bearer authorization="https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000", '
                'resource="https://vault.azure.net"'
            )
            self._refuse(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", challenge)
            return
        if self.vault.refusals:
            self._answer(*self.vault.refusals.pop(0))
            return
        _, kind, name, version = [*urlsplit(self.path).path.split("/"), "", "", ""][:4]
        found = self.vault.find(name, version or None) if kind == "secrets" else None
        if found is None:
            self._refuse(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
            return
        attributes = {"enabled": True, "created": 1700000000, "updated": 1700000000, "recoveryLevel": "Recoverable"}
        identity = f"{KEY_VAULT}/secrets/{name}/{found[0]}"
        self._answer(200, {"value": found[1].decode(), "id": identity, "attributes": attributes})

    def _refuse(self, code: int, kind: str, message: str, challenge: str = "") -> None:
        headers = {"WWW_Authenticate": challenge} if challenge else {}
        self._answer(code, {"error": {"code": kind, "message": message}}, **headers)


@contextlib.contextmanager
def secret_manager() -> Iterator[Vault]:
    """Google's, on a free loopback port."""
    with _served(_SecretManager, "SECRET_MANAGER_EMULATOR_HOST") as vault:
        yield vault


@contextlib.contextmanager
def key_vault() -> Iterator[Vault]:
    """Azure's, on a free loopback port."""
    with _served(_KeyVault, "PORTABLE_KEYVAULT_EMULATOR") as vault:
        yield vault


@contextlib.contextmanager
def _served(handler: type[_Handler], variable: str) -> Iterator[Vault]:
    bound: Any = type(handler.__name__, (handler,), {})
    with ThreadingHTTPServer((LOOPBACK, 0), bound) as server:
        server.daemon_threads = True
        endpoint = f"http://{LOOPBACK}:{server.server_address[1]}"
        bound.vault = Vault(endpoint, {variable: endpoint})
        thread = Thread(target=server.serve_forever, args=(0.05,), name=handler.__name__, daemon=True)
        thread.start()
        try:
            yield bound.vault
        finally:
            server.shutdown()
            thread.join()


def new_version() -> str:
    """What Key Vault calls a version: 32 hexadecimal digits."""
    return uuid.uuid4().hex
