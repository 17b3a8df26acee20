"""Secrets in Secret Manager: an address is ``projects/P/secrets/S``, or ``…/versions/V`` for one version of it."""

from __future__ import annotations

from portable.drivers import SecretVersion, read_address
from portable.drivers.secret import unlogged
from portable.errors import ConfigError, NotFoundError, UnavailableError
from portable_gcp._sdk import secret_client
from portable_gcp.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["ManagedSecret", "open_driver"]

SECONDS = 10.0  # of one attempt
ATTEMPTS = 3

# The SDK logs whole answers at DEBUG.
_LOGGERS = (
    "google.auth.transport.requests",
    "google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest",
)


def open_driver(resource: Resource, environment: Mapping[str, str]) -> ManagedSecret:
    """The driver of a declared secret. Raises ConfigError without an address, or for one of another form."""
    return ManagedSecret("secret", resource.name, read_address("secret", resource.name, environment), environment)


class ManagedSecret:
    """See ``portable.drivers.secret``. The version is its number.

    Args:
        kind: secret, or config: a value of either may be kept here.
    """

    def __init__(self, kind: str, name: str, address: str, environment: Mapping[str, str]) -> None:
        from threading import Lock

        self.address = address
        self._label = f"{kind} {name}"
        self._environment = environment
        self._making = Lock()
        self._client: Any = None
        parts = address.split("/")
        if len(parts) not in (4, 6) or parts[::2] != ["projects", "secrets", "versions"][: len(parts) // 2]:
            raise ConfigError(f"{self._label}: its address is projects/P/secrets/S, or with /versions/V; not {address}")
        self._version = address if len(parts) == 6 else f"{address}/versions/latest"

    def read(self) -> SecretVersion:
        """See ``portable.drivers.secret``."""
        from time import sleep

        for attempt in range(1, ATTEMPTS):
            try:
                return self._read()
            except UnavailableError:
                sleep(0.05 * 4**attempt)
        return self._read()

    def _read(self) -> SecretVersion:
        client = self.native()
        try:
            with unlogged(*_LOGGERS):
                found = client.access_secret_version(name=self._version, timeout=SECONDS, retry=None)
        except Exception as error:
            if _is_out_of_use(error):
                raise NotFoundError("the version is disabled or destroyed", resource=self._label) from error
            raise translate(error, self._label) from error
        return SecretVersion(found.payload.data, found.name.rpartition("/")[2])

    def native(self) -> Any:
        """The client of google-cloud-secret-manager."""
        with self._making:
            if self._client is None:
                self._client = secret_client(self._environment)
            return self._client

    def close(self) -> None:
        """Close its connections. The next use makes new ones."""
        with self._making:
            client, self._client = self._client, None
        if client is not None:
            client.transport.close()


def _is_out_of_use(error: Exception) -> bool:
    """Whether Google said FAILED_PRECONDITION, which over HTTP is a 400 like a mistake of the caller."""
    try:
        status: object = error.response.json()["error"]["status"]  # type: ignore[attr-defined]
    except (AttributeError, ValueError, KeyError, TypeError):
        return False
    return status == "FAILED_PRECONDITION"
