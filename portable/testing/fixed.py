"""Secrets and config values that a test gives as plain values: ``TestClient(app, overrides={api_key: "a-key"})``."""

from __future__ import annotations

from typing import Any

from portable.drivers import ConfigText, SecretVersion
from portable.jsontext import encode_text

__all__ = ["driver_of"]


class _FixedSecret:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self) -> SecretVersion:
        return SecretVersion(self._data, "override")

    def native(self) -> None:
        return None


class _FixedConfig:
    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> ConfigText:
        return ConfigText(self._text, "the overrides of TestClient", "override")

    def native(self) -> None:
        return None


def driver_of(kind: str, value: Any) -> Any:
    """The driver of an override: a value for a secret or a config, and a driver as it is for whatever else."""
    if kind == "secret" and isinstance(value, (str, bytes)):
        return _FixedSecret(value.encode() if isinstance(value, str) else value)
    if kind == "config" and not hasattr(value, "read"):
        return _FixedConfig(value if isinstance(value, str) else encode_text(value))
    return value
