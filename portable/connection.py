"""A platform outside a cloud: for scripts and shells."""

from __future__ import annotations

from importlib import import_module
from types import TracebackType

from portable.drivers import Platform
from portable.resources import use_platform

__all__ = ["Connection"]


class Connection:
    """A platform in force for a block of code."""

    def __init__(self, target: str, stage: str) -> None:
        self._target = target
        self._stage = stage

    def __enter__(self) -> Platform:
        # By name: this module must not reach the plugin system, which a deployed function never imports.
        adapter = import_module("portable.plugins").adapter(self._target)
        platform: Platform = adapter.platform()
        self._platform = platform
        self._scope = use_platform(platform)
        self._scope.__enter__()
        return platform

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.__exit__(kind, error, trace)
        self._platform.close()
