"""Secrets on this machine, under ``PORTABLE_SECRET_<NAME>``: the first of these that has it.

1. the environment of the process
2. ``.portable/secrets.env``, beside the state (``.portable/state``); ``portable new`` keeps ``.portable`` out of git
3. ``.env`` in the folder that ``.portable`` is in

With ``PORTABLE_LOCAL_STATE`` elsewhere, so in tests: the environment, and ``secrets.env`` beside that folder.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from portable.drivers import SecretVersion, address_variable
from portable.errors import ConfigError, NotFoundError
from portable_local.envfile import read_env_file
from portable_local.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from portable.resources import Resource

__all__ = ["LocalSecret", "LocalValues", "open_driver"]

_KEY = os.urandom(32)
"""Makes a version of a value here say nothing to whoever guesses at the value."""


def open_driver(resource: Resource, environment: Mapping[str, str], state: str) -> LocalSecret:
    """The driver of a declared secret."""
    return LocalSecret(resource.name, LocalValues(environment, state))


class LocalValues:
    """What the environment and the files say, as they are at each look."""

    def __init__(self, environment: Mapping[str, str], state: str) -> None:
        self._environment = environment
        folder = Path(state).parent
        self.files = [folder / "secrets.env"]
        if folder.name == ".portable":
            self.files.append(folder.parent / ".env")

    def find(self, variable: str, resource: str) -> tuple[str, str] | None:
        """The value of a variable, and the place it is from.

        Raises ConfigError for a file that is not of the form, PermissionDeniedError for one that may not be read.
        """
        value = self._environment.get(variable)
        if value is not None:
            return value, f"the environment variable {variable}"
        for file in self.files:
            try:
                known = read_env_file(file) if file.is_file() else {}
            except OSError as error:
                raise translate(error, resource) from error
            if variable in known:
                return known[variable], f"{variable} in {file}"
        return None


class LocalSecret:
    """See ``portable.drivers.secret``."""

    def __init__(self, name: str, values: LocalValues) -> None:
        self._label = f"secret {name}"
        self._variable = address_variable("secret", name)
        self._values = values

    def read(self) -> SecretVersion:
        """See ``portable.drivers.secret``. A version is known in this process only."""
        found = self._values.find(self._variable, self._label)
        if found is None:
            files = " or ".join(map(str, self._values.files))
            raise NotFoundError(
                f"no value here: set {self._variable}, in the environment or in {files}", resource=self._label
            )
        try:
            data = found[0].encode()
        except UnicodeEncodeError:
            data = None
        if data is None:  # outside of the handler: the encoder's own error holds the value
            raise ConfigError(f"{self._label}: {found[1]} is not text in UTF-8")
        return SecretVersion(data, blake2b(data, key=_KEY, digest_size=8).hexdigest())

    def native(self) -> Any:
        """The files that are looked into."""
        return self._values.files

    def close(self) -> None:
        """Nothing is open."""
