"""Config values on this machine: ``PORTABLE_CONFIG_<NAME>`` is the value itself, found where secrets are."""

from __future__ import annotations

from portable.drivers import ConfigText, address_variable
from portable.errors import ConfigError
from portable_local.secret import LocalValues

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["LocalConfig", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str], state: str) -> LocalConfig:
    """The driver of a declared config value."""
    return LocalConfig(resource.name, LocalValues(environment, state), resource.options["optional"])


class LocalConfig:
    """See ``portable.drivers.config``."""

    def __init__(self, name: str, values: LocalValues, optional: bool) -> None:
        self._label = f"config {name}"
        self._variable = address_variable("config", name)
        self._values = values
        self._optional = optional

    def read(self) -> ConfigText:
        """See ``portable.drivers.config``."""
        found = self._values.find(self._variable, self._label)
        if found is not None:
            return ConfigText(*found)
        files = " or ".join(map(str, self._values.files))
        if not self._optional:
            raise ConfigError(
                f"{self._label} has no value here: set {self._variable}, in the environment or in {files}"
            )
        return ConfigText(None, f"{self._variable}, in the environment and in {files},")

    def native(self) -> Any:
        """The files that are looked into."""
        return self._values.files

    def close(self) -> None:
        """Nothing is open."""
