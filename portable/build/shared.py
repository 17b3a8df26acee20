"""Kinds of resources that are the same on every platform: what a bundle needs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from portable.build.target import BuildTarget
from portable.drivers import SHARED
from portable.manifest import Manifest

__all__ = ["packages_of", "requirements_of"]


def packages_of(target: BuildTarget, manifest: Manifest) -> tuple[str, ...]:
    """The import packages copied beside ``portable``: the adapter's own, and those of the shared kinds the app has."""
    return (*target.adapter_packages, *_shared(manifest))


def requirements_of(target: BuildTarget, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
    """What the target asks for, and what the shared kinds do: ``portable_cache.build.requirements(manifest)``."""
    more = [one for package in _shared(manifest) for one in import_module(f"{package}.build").requirements(manifest)]
    return [*target.requirements(manifest, settings), *more]


def _shared(manifest: Manifest) -> list[str]:
    return [package for kind, package in SHARED.items() if manifest.of_kind(kind)]
