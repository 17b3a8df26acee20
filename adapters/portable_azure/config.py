"""Config values: ``value:TEXT`` in the environment, which is what App Settings are; or a Key Vault address.

App Settings can hold references to Key Vault and App Configuration, which Azure puts the values in for:
https://learn.microsoft.com/azure/app-service/app-service-configuration-references. So App Configuration needs no client
here.
"""

from __future__ import annotations

from portable.drivers import ConfigText
from portable.drivers.config import open_config
from portable.errors import ConfigError
from portable_azure.secret import VaultSecret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.drivers import ConfigDriver
    from portable.resources import Resource

__all__ = ["VaultConfig", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> ConfigDriver:
    """The driver of a declared config value. Raises ConfigError without an address, or for one of another form."""
    return open_config(
        resource, environment, lambda address: VaultConfig(VaultSecret("config", resource.name, address, environment))
    )


class VaultConfig:
    """See ``portable.drivers.config``."""

    def __init__(self, secret: VaultSecret) -> None:
        self._secret = secret

    def read(self) -> ConfigText:
        """See ``portable.drivers.config``."""
        found = self._secret.read()
        text = found.text()
        if text is None:
            raise ConfigError(f"the text at {self._secret.address} is not UTF-8")
        return ConfigText(text, self._secret.address, found.version)

    def native(self) -> Any:
        """The SecretClient of azure-keyvault-secrets."""
        return self._secret.native()

    def close(self) -> None:
        """Close its connections."""
        self._secret.close()
