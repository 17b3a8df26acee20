"""The plugin interface. A plugin is a module or object whose functions bear ``hookimpl`` and these names; it is found
through the entry-point group ``portable``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pluggy

from portable.errors import ConfigError

if TYPE_CHECKING:
    from portable.drivers import Platform

__all__ = ["Adapter", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("portable")
hookimpl = pluggy.HookimplMarker("portable")


class Adapter:
    """Everything for one cloud, by reference: nothing is imported until a command needs it.

    Args:
        name: the target's name on the command line.
        package: the import package. It holds ``runtime`` (``platform()``, ``entry(…)``), ``build`` (``TARGET``, see
            ``portable.build.target``), ``run`` (``RUNNER``, see ``portable.run.target``), ``deploy`` (``DEPLOYER``, see
            ``portable.deploy``), ``samples`` (``SAMPLES``, see ``portable.samples``) and ``capabilities``
            (``CAPABILITIES``, see ``portable.capabilities``). What a missing one is for raises ConfigError.
        title: for people.
    """

    def __init__(self, name: str, package: str, title: str) -> None:
        self.name = name
        self.package = package
        self.title = title

    def platform(self, environment: Mapping[str, str] | None = None) -> Platform:
        """A new platform. Addresses, endpoints and credentials are read from ``environment``, else the process's."""
        platform: Platform = self._module("runtime").platform(environment)
        return platform

    @property
    def builds(self) -> bool:
        """Whether it can build and run apps. One that holds resources alone serves scripts, and other targets' code."""
        return find_spec(f"{self.package}.build") is not None

    @property
    def build(self) -> Any:
        """How this cloud's bundle is made."""
        return self._module("build").TARGET

    @property
    def run(self) -> Any:
        """How a built artifact runs here."""
        return self._module("run").RUNNER

    @property
    def deploy(self) -> Any:
        """How a built artifact gets into the cloud, see ``portable.deploy``."""
        return self._module("deploy").DEPLOYER

    @property
    def samples(self) -> Any:
        """Native events for neutral ones, and back."""
        return self._module("samples").SAMPLES

    @property
    def capabilities(self) -> Any:
        """What its drivers give, see ``portable.capabilities``."""
        return self._module("capabilities").CAPABILITIES

    def _module(self, name: str) -> Any:
        full = f"{self.package}.{name}"
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name not in (full, self.package):
                raise
            raise ConfigError(f"target {self.name!r} cannot do this: its adapter has no module {full}") from error


@hookspec
def portable_adapters() -> Iterable[Adapter]:  # type: ignore[empty-body]
    """The adapters this plugin brings."""
