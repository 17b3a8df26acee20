"""Kinds of resources that are the same on every platform, and a target whose settings choose one of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from portable.build.target import BuildTarget
from portable.drivers import SHARED
from portable.manifest import Manifest

__all__ = ["configured", "packages_of", "requirements_of"]


def configured(target: BuildTarget, settings: Mapping[str, Any]) -> BuildTarget:
    """The target as its settings make it, see ``BuildTarget.with_settings``. Raises ConfigError."""
    make: Callable[[Mapping[str, Any]], BuildTarget] | None = getattr(target, "with_settings", None)
    return target if make is None else make(settings)


def packages_of(target: BuildTarget, manifest: Manifest) -> tuple[str, ...]:
    """The import packages copied beside ``portable``: the adapter's own, and those of the shared kinds the app has."""
    return (*target.adapter_packages, *_shared(manifest))


def requirements_of(target: BuildTarget, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
    """What the target asks for, and what the shared kinds do: ``portable_cache.build.requirements(manifest)``."""
    more = [one for package in _shared(manifest) for one in import_module(f"{package}.build").requirements(manifest)]
    return [*target.requirements(manifest, settings), *more]


def _shared(manifest: Manifest) -> list[str]:
    return [package for kind, package in SHARED.items() if manifest.of_kind(kind)]
