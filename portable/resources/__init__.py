"""Portable types: what a user holds. A resource is a declaration; its driver is opened on first use.

At run time the platform is a context variable with a process default: the cloud's entry sets the default,
``TestClient(app, overrides=…)`` and ``app.connect(…)`` set the variable.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from contextvars import ContextVar

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portable.drivers import Platform

__all__ = ["Resource", "check_name", "current_platform", "set_platform"]

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_NAME = _LOWER | frozenset("0123456789-")

_override: ContextVar[Platform | None] = ContextVar("portable_platform", default=None)
_default: Platform | None = None
_opening = allocate_lock()


def check_name(kind: str, name: str) -> str:
    """Return ``name``, or raise ConfigError: names match ``[a-z][a-z0-9-]{0,39}``."""
    if not isinstance(name, str) or not 0 < len(name) < 41 or name[0] not in _LOWER or not _NAME.issuperset(name):
        raise ConfigError(
            f"{kind} name {name!r} is not allowed: use 1 to 40 lower-case letters, digits and dashes, "
            "starting with a letter"
        )
    return name


def set_platform(platform: Platform | None) -> None:
    """Set the process default. A cloud's entry calls this once an instance."""
    global _default
    _default = platform


def current_platform() -> Platform:
    """The platform in force here. Raises ConfigError when there is none."""
    platform = _override.get() or _default
    if platform is None:
        raise ConfigError(
            "no platform here, so resources have no driver: inside a cloud the entry sets one; in a test use "
            "`with TestClient(app):`, in a script `with app.connect('local'):`"
        )
    return platform


class use_platform:  # noqa: N801 - read as a statement: with use_platform(…)
    """``with use_platform(platform):`` sets it for this context (thread, task) and no other."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def __enter__(self) -> Platform:
        self._token = _override.set(self._platform)
        return self._platform

    def __exit__(self, *exc: object) -> None:
        _override.reset(self._token)


def declared_at(depth: int) -> tuple[str, int]:
    """File and line of the caller ``depth`` frames up: where a declaration was written."""
    frame = sys._getframe(depth + 1)
    return frame.f_code.co_filename, frame.f_lineno


class Resource:
    """A declared bucket, queue, …: kind, name, options, and where it was written.

    Equal declarations are one resource: the driver is found by kind and name on the platform in force.
    """

    __slots__ = ("_driver", "_platform", "name", "options", "where")
    kind = "resource"

    def __init__(self, name: str, options: dict[str, Any], where: tuple[str, int]) -> None:
        self.name = check_name(self.kind, name)
        self.options = options
        self.where = where
        self._platform: Platform | None = None
        self._driver: Any = None

    def driver(self) -> Any:
        """The driver on the platform in force, opened on first use. Raises ConfigError."""
        platform = _override.get() or _default
        if platform is None:
            platform = current_platform()
        if self._platform is platform:
            return self._driver
        with _opening:
            if self._platform is platform:  # another thread was first
                return self._driver
            driver = platform.open(self)
            # A platform override (a test) is short-lived: it is not remembered over the process's own.
            if platform is _default:
                self._driver = driver
                self._platform = platform
        return driver

    async def _await(self, method: str, *args: Any, **options: Any) -> Any:
        driver = self.driver()
        twin = getattr(driver, f"a{method}", None)
        if twin is not None:
            return await twin(*args, **options)
        return await on_thread(getattr(driver, method), *args, **options)

    def native(self) -> Any:
        """The vendor's own client or handle for this resource."""
        return self.driver().native()

    def same_as(self, other: Resource) -> bool:
        """Whether both declare the same resource with the same options."""
        return type(self) is type(other) and self.name == other.name and self.options == other.options

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


async def on_thread(function: Any, *args: Any, **options: Any) -> Any:
    """Run a blocking driver call on the bounded pool of threads, in the caller's context."""
    import asyncio
    from contextvars import copy_context

    from portable.resources.threads import pool

    context = copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool(), lambda: context.run(function, *args, **options))
