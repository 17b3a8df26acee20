"""Opens the local drivers. State lies in ``PORTABLE_LOCAL_STATE``, else in ``.portable/state`` where the process began.

    <state>/buckets/<name>/  <state>/queues/<name>/

A resource with an address of its own (``PORTABLE_BUCKET_UPLOADS``) is in the folder of that name, which has to exist.
Secrets and config values: see ``portable_local.secret``.
"""

from __future__ import annotations

import os
from threading import Lock

from portable.drivers import SHARED, address_variable, module_of
from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from portable.resources import Resource

__all__ = ["DURABILITY", "KINDS", "STATE", "LocalPlatform"]

KINDS = ("bucket", "cache", "config", "queue", "secret", "sockets", "stream", "table", "topic")

VALUES = ("config", "secret")
"""Kinds without a folder of their own: the environment holds them, or a file beside the state."""

STATE = "PORTABLE_LOCAL_STATE"
DURABILITY = "PORTABLE_LOCAL_DURABILITY"


class LocalPlatform:
    """See ``portable.drivers.Platform``. Drivers are shared by everyone who opens the same resource."""

    target = "local"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        self._environment = known
        self.state = os.path.abspath(known.get(STATE) or os.path.join(".portable", "state"))
        self._durability = known.get(DURABILITY) or "normal"
        self._drivers: dict[tuple[Any, ...], Any] = {}
        self._lock = Lock()
        if self._durability not in ("normal", "full"):
            raise ConfigError(f"{DURABILITY} is normal or full, not {self._durability!r}")

    def open(self, resource: Resource) -> Any:
        """The driver of a resource, from the module that bears its kind's name. Touches no disk until that is used."""
        if resource.kind not in KINDS:
            raise ConfigError(f"portable has no {resource.kind} on this machine ({resource})")
        key = (resource.kind, resource.name, *sorted(resource.options.items()))
        with self._lock:
            driver = self._drivers.get(key)
            if driver is None:
                module = module_of("portable_local", resource.kind)
                if resource.kind in SHARED:
                    driver = module.open_driver(resource, self._environment, "memory:")
                elif resource.kind == "sockets":
                    driver = module.open_driver(resource, self._environment)
                elif resource.kind in VALUES:
                    driver = module.open_driver(resource, self._environment, self.state)
                else:
                    driver = module.open_driver(resource, self._folder(resource), self._durability)
                self._drivers[key] = driver
        return driver

    def _folder(self, resource: Resource) -> Path:
        from pathlib import Path

        address = self._environment.get(address_variable(resource.kind, resource.name))
        if address:
            return Path(os.path.abspath(address))
        folder = Path(self.state, f"{resource.kind}s", resource.name)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """Close every database connection."""
        with self._lock:
            drivers = list(self._drivers.values())
            self._drivers.clear()
        for driver in drivers:
            driver.close()
