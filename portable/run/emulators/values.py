"""Made-up secrets and config values, for ``portable run`` and tests: nothing real is needed, or put, there."""

from __future__ import annotations

from portable.drivers import address_variable
from portable.manifest import Manifest

__all__ = ["config_values", "made_up_secret"]

_TEXTS = {"int": "1", "float": "1.5", "bool": "true", "json": "null"}


def made_up_secret(name: str) -> str:
    """The value of a secret where nobody gave one."""
    return f"made-up-{name}"


def config_values(manifest: Manifest, prefix: str = "value:") -> dict[str, str]:
    """The addresses of an app's config values that have no default: 1, 1.5, true, null or ``made-up-NAME``."""
    return {
        address_variable("config", one.name): prefix + _TEXTS.get(one.options["form"], f"made-up-{one.name}")
        for one in manifest.of_kind("config")
        if not one.options["optional"]
    }
