"""What a bundle needs of this package."""

from __future__ import annotations

from collections.abc import Sequence

from portable.manifest import Manifest

__all__ = ["requirements"]


def requirements(manifest: Manifest) -> Sequence[str]:  # noqa: ARG001 - it is asked only where there is a cache
    """redis-py: which address a cache has, and so which driver, is known to the deployment alone."""
    return ["redis>=5.2"]
