"""What stands behind a Config, and the values that a deployment sets in the environment itself."""

from __future__ import annotations

from portable.drivers import address_variable, read_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from portable.resources import Resource
else:
    Protocol = object

__all__ = ["ConfigDriver", "ConfigText", "EnvironmentConfig", "open_config"]

LITERAL = "value:"


class ConfigText:
    """What a config value is written as. ``text`` is None where nothing was set; ``place`` is for error messages."""

    __slots__ = ("place", "text", "version")

    def __init__(self, text: str | None, place: str, version: str = "") -> None:
        self.text = text
        self.place = place
        self.version = version

    def __repr__(self) -> str:  # without the text, which may come from a store of secrets
        return f"<ConfigText from {self.place}>"


class ConfigDriver(Protocol):
    """One config value."""

    def read(self) -> ConfigText:
        """The value as it is now, from where it is kept; safe to call again.

        Raises NotFoundError (there is an address and nothing is there), PermissionDeniedError, UnavailableError.
        """

    def native(self) -> Any:
        """The vendor's own client; None for a value of the environment."""


class EnvironmentConfig:
    """A value that the environment itself holds, or does not hold."""

    def __init__(self, text: str | None, variable: str) -> None:
        self._text = text
        self._place = f"the environment variable {variable}"

    def read(self) -> ConfigText:
        """See :class:`ConfigDriver`. The same for the life of the process."""
        return ConfigText(self._text, self._place)

    def native(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Nothing is open."""


def open_config(
    resource: Resource, environment: Mapping[str, str] | None, at: Callable[[str], ConfigDriver]
) -> ConfigDriver:
    """The driver for an address of the form ``value:TEXT``, which every platform takes; else what ``at`` opens.

    Raises ConfigError without an address, unless the declaration has a default.
    """
    from os import environ

    known = environ if environment is None else environment
    variable = address_variable("config", resource.name)
    if not known.get(variable) and resource.options["optional"]:
        return EnvironmentConfig(None, variable)
    address = read_address("config", resource.name, known)
    if address.startswith(LITERAL):
        return EnvironmentConfig(address.removeprefix(LITERAL), variable)
    return at(address)
