"""Secrets in Secrets Manager, or in Parameter Store where the address says so.

An address is a secret's ARN or name; ``ssm:NAME`` or a parameter's ARN for a parameter, a SecureString for one.
"""

from __future__ import annotations

from portable.drivers import SecretVersion, read_address
from portable.drivers.secret import unlogged
from portable.errors import ConfigError
from portable_aws._sdk import Client, retrying
from portable_aws.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["Parameter", "SSMSecret", "SecretsManagerSecret", "open_driver"]

_LOGGERS = ("botocore.parsers",)  # which logs each answer's body at DEBUG


def open_driver(resource: Resource, environment: Mapping[str, str] | None) -> SecretsManagerSecret | SSMSecret:
    """The driver of a declared secret. Raises ConfigError without an address."""
    address = read_address("secret", resource.name, environment)
    name = parameter_name(address)
    if name is not None:
        return SSMSecret(Parameter(f"secret {resource.name}", name, environment))
    return SecretsManagerSecret(resource.name, address, environment)


def parameter_name(address: str) -> str | None:
    """The parameter that an address of Parameter Store names, a name or an ARN; None for any other address."""
    if address.startswith("ssm:"):
        return address.removeprefix("ssm:")
    return address if address.startswith("arn:") and address.split(":")[2:3] == ["ssm"] else None


def _region_of(name: str) -> str | None:
    """``eu-west-1`` of ``arn:aws:ssm:eu-west-1:…``."""
    parts = name.split(":")
    return parts[3] or None if parts[0] == "arn" and len(parts) > 5 else None


class SecretsManagerSecret:
    """See ``portable.drivers.secret``. The version is the one at the stage AWSCURRENT, by its id."""

    def __init__(self, name: str, address: str, environment: Mapping[str, str] | None) -> None:
        self._label = f"secret {name}"
        self._address = address
        self._client = Client("secretsmanager", environment, _region_of(address))

    def read(self) -> SecretVersion:
        """See ``portable.drivers.secret``."""
        return retrying(self._read)

    def _read(self) -> SecretVersion:
        try:
            with unlogged(*_LOGGERS):
                answer = self._client.get().get_secret_value(SecretId=self._address)
        except Exception as error:
            raise translate(error, self._label) from error
        data = answer["SecretBinary"] if "SecretBinary" in answer else answer["SecretString"].encode()
        return SecretVersion(data, answer["VersionId"])

    def native(self) -> Any:
        """The Secrets Manager client of botocore."""
        return self._client.get()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


class Parameter:
    """One parameter of Parameter Store, decrypted where it is a SecureString. ``label``: kind and declared name."""

    def __init__(self, label: str, name: str, environment: Mapping[str, str] | None) -> None:
        if not name:
            raise ConfigError(f"{label}: the address names no parameter; it is ssm:NAME or an ARN")
        self.name = name
        self.client = Client("ssm", environment, _region_of(name))
        self._label = label

    def read(self) -> Mapping[str, Any]:
        """``Value``, ``Version`` and more, as GetParameter has it."""
        return retrying(self._read)

    def _read(self) -> Mapping[str, Any]:
        try:
            with unlogged(*_LOGGERS):
                answer = self.client.get().get_parameter(Name=self.name, WithDecryption=True)
        except Exception as error:
            raise translate(error, self._label) from error
        found: Mapping[str, Any] = answer["Parameter"]
        return found


class SSMSecret:
    """See ``portable.drivers.secret``. The version is the parameter's number."""

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def read(self) -> SecretVersion:
        """See ``portable.drivers.secret``."""
        found = self._parameter.read()
        return SecretVersion(found["Value"].encode(), str(found["Version"]))

    def native(self) -> Any:
        """The Systems Manager client of botocore."""
        return self._parameter.client.get()

    def close(self) -> None:
        """Close its connections."""
        self._parameter.client.close()
