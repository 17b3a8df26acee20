"""Secrets in Key Vault: an address is ``https://VAULT.vault.azure.net/secrets/NAME``, or with ``/VERSION``."""

from __future__ import annotations

from threading import Lock

from portable.drivers import SecretVersion, read_address
from portable.errors import ConfigError, NotFoundError, PermissionDeniedError
from portable_azure import _sdk
from portable_azure.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["VaultSecret", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> VaultSecret:
    """The driver of a declared secret. Raises ConfigError without an address, or for one of another form."""
    return VaultSecret("secret", resource.name, read_address("secret", resource.name, environment), environment)


class VaultSecret:
    """See ``portable.drivers.secret``. The version is its id. The SDK tries again what could not be read.

    Args:
        kind: secret, or config: a value of either may be kept here.
    """

    def __init__(self, kind: str, name: str, address: str, environment: Mapping[str, str]) -> None:
        self.address = address
        self._label = f"{kind} {name}"
        self._environment = environment
        self._making = Lock()
        self._client: Any = None
        vault, found, path = address.partition("/secrets/")
        self._vault = vault
        self._name, _, self._version = path.strip("/").partition("/")
        if not found or not vault.startswith("https://") or not self._name or "/" in self._version:
            raise ConfigError(
                f"{self._label}: its address is https://VAULT.vault.azure.net/secrets/NAME, or with /VERSION; "
                f"not {address}"
            )

    def read(self) -> SecretVersion:
        """See ``portable.drivers.secret``."""
        client = self.native()
        try:
            found = client.get_secret(self._name, self._version or None)
        except Exception as error:
            said = translate(error, self._label)
            if isinstance(said, PermissionDeniedError) and "SecretDisabled" in str(error):
                said = NotFoundError("the current version is disabled", resource=self._label)
            raise said from error
        return SecretVersion((found.value or "").encode(), found.properties.version or "")

    def native(self) -> Any:
        """The SecretClient of azure-keyvault-secrets."""
        with self._making:
            if self._client is None:
                self._client = _sdk.secret_client(self._vault, self._environment)
            return self._client

    def close(self) -> None:
        """Close its connections. The next use makes new ones."""
        with self._making:
            client, self._client = self._client, None
        if client is not None:
            client.close()
