"""Config values in Parameter Store: an address is ``ssm:NAME`` or a parameter's ARN; or ``value:TEXT``, the value."""

from __future__ import annotations

from portable.drivers import ConfigText, address_variable
from portable.drivers.config import open_config
from portable.errors import ConfigError
from portable_aws.secret import Parameter, parameter_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.drivers import ConfigDriver
    from portable.resources import Resource

__all__ = ["SSMConfig", "open_driver"]


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> ConfigDriver:
    """The driver of a declared config value. Raises ConfigError without an address, or for one of no such form."""

    def at(address: str) -> ConfigDriver:
        name = parameter_name(address)
        if name is None:
            variable = address_variable("config", resource.name)
            raise ConfigError(f"{variable} is no address of a config value: ssm:NAME, a parameter's ARN or value:TEXT")
        return SSMConfig(Parameter(f"config {resource.name}", name, environment))

    return open_config(resource, environment, at)


class SSMConfig:
    """See ``portable.drivers.config``."""

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def read(self) -> ConfigText:
        """See ``portable.drivers.config``."""
        found = self._parameter.read()
        return ConfigText(found["Value"], f"the SSM parameter {self._parameter.name}", str(found["Version"]))

    def native(self) -> Any:
        """The Systems Manager client of botocore."""
        return self._parameter.client.get()

    def close(self) -> None:
        """Close its connections."""
        self._parameter.client.close()
