"""Config values: ``value:TEXT`` in the environment, which is where Cloud Run keeps its own; or, for what has to change
without a deployment, a secret's address. Google Cloud has no store of plain parameters that is as widely used.
"""

from __future__ import annotations

from portable.drivers import ConfigText
from portable.drivers.config import open_config
from portable.errors import ConfigError
from portable_gcp.secret import ManagedSecret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.drivers import ConfigDriver
    from portable.resources import Resource

__all__ = ["SecretConfig", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str]) -> ConfigDriver:
    """The driver of a declared config value. Raises ConfigError without an address, or for one of another form."""
    return open_config(
        resource,
        environment,
        lambda address: SecretConfig(ManagedSecret("config", resource.name, address, environment)),
    )


class SecretConfig:
    """See ``portable.drivers.config``."""

    def __init__(self, secret: ManagedSecret) -> None:
        self._secret = secret

    def read(self) -> ConfigText:
        """See ``portable.drivers.config``."""
        found = self._secret.read()
        text = found.text()
        if text is None:
            raise ConfigError(f"the text at {self._secret.address} is not UTF-8")
        return ConfigText(text, self._secret.address, found.version)

    def native(self) -> Any:
        """The client of google-cloud-secret-manager."""
        return self._secret.native()

    def close(self) -> None:
        """Close its connections."""
        self._secret.close()
