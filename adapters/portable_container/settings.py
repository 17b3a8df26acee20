"""What a container reads from its environment when it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from portable.errors import ConfigError

__all__ = ["VARIABLES", "Settings"]

VARIABLES: Mapping[str, tuple[str, float, float, float]] = {
    # attribute: variable, default, least, most
    "port": ("PORT", 8080, 0, 65535),
    "concurrency": ("PORTABLE_CONCURRENCY", 100, 1, 100_000),
    "backlog": ("PORTABLE_BACKLOG", 200, 0, 1_000_000),
    "connections": ("PORTABLE_CONNECTIONS", 1000, 1, 1_000_000),
    "max_body": ("PORTABLE_MAX_BODY", 32 * 1024 * 1024, 0, 2**40),
    "arriving": ("PORTABLE_MAX_ARRIVING", 256 * 1024 * 1024, 1, 2**50),
    "header_seconds": ("PORTABLE_HEADER_SECONDS", 10, 0.1, 3600),
    "body_seconds": ("PORTABLE_BODY_SECONDS", 60, 0.1, 86_400),
    "idle_seconds": ("PORTABLE_IDLE_SECONDS", 75, 0.1, 86_400),
    "write_seconds": ("PORTABLE_WRITE_SECONDS", 30, 0.1, 86_400),
    "timeout": ("PORTABLE_TIMEOUT_SECONDS", 30, 0.1, 86_400),
    "shutdown_seconds": ("PORTABLE_SHUTDOWN_SECONDS", 25, 0, 86_400),
    "drain_seconds": ("PORTABLE_DRAIN_SECONDS", 0, 0, 3600),
    "proxies": ("PORTABLE_PROXIES", 0, 0, 32),
    "batches": ("PORTABLE_BATCHES", 4, 1, 1000),
    "lease_seconds": ("PORTABLE_LEASE_SECONDS", 60, 5, 600),
    "wait_seconds": ("PORTABLE_WAIT_SECONDS", 5, 0, 20),
}
"""Each number: its variable, its default, the least and the most it may be. docs/reference/container.md says more."""

_WHOLE = ("port", "concurrency", "backlog", "connections", "max_body", "arriving", "proxies", "batches")
_FALSE, _TRUE = ("0", "false", "no"), ("1", "true", "yes")

CLOUD_RUN_SHUTDOWN = 8.0
"""Of the ten seconds Cloud Run gives: https://cloud.google.com/run/docs/container-contract#instance-shutdown."""


class Settings:
    """See the module; seconds and bytes.

    Attributes:
        functions: those this process serves, None for all. polls: whether it takes messages from queues.
        token: what events and direct calls are authenticated by; "" where none is set, and all of them are refused.

    Raises ConfigError naming the variable.
    """

    port: int
    concurrency: int
    backlog: int
    connections: int
    max_body: int
    arriving: int
    header_seconds: float
    body_seconds: float
    idle_seconds: float
    write_seconds: float
    timeout: float
    shutdown_seconds: float
    drain_seconds: float
    proxies: int
    batches: int
    lease_seconds: float
    wait_seconds: float

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        for name, (variable, default, least, most) in VARIABLES.items():
            setattr(self, name, _number(known, variable, default, least, most, whole=name in _WHOLE))
        if known.get("K_SERVICE") and not known.get("PORTABLE_SHUTDOWN_SECONDS"):
            self.shutdown_seconds = CLOUD_RUN_SHUTDOWN
        self.host = known.get("HOST") or "0.0.0.0"  # noqa: S104 - a container's own network
        listed = [name.strip() for name in known.get("PORTABLE_FUNCTIONS", "").split(",")]
        self.functions: list[str] | None = [name for name in listed if name] or None
        self.polls = _flag(known, "PORTABLE_POLL", default=True)
        self.token = known.get("PORTABLE_EVENTS_TOKEN", "")
        if self.token and len(self.token) < 16:
            raise ConfigError("PORTABLE_EVENTS_TOKEN has 16 characters at least: it must not be guessed")


def _number(
    environment: Mapping[str, str], variable: str, default: float, least: float, most: float, *, whole: bool
) -> float:
    text = environment.get(variable, "").strip()
    if not text:
        return default
    kind = "a whole number" if whole else "a number"
    try:
        value: float = int(text) if whole else float(text)
    except ValueError as error:
        raise ConfigError(f"{variable} is {kind}, got {text!r}") from error
    if not least <= value <= most:  # so is nan
        raise ConfigError(f"{variable} is {kind} from {least:g} to {most:g}, got {text}")
    return value


def _flag(environment: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = environment.get(variable, "").strip().lower()
    if text not in ("", *_FALSE, *_TRUE):
        raise ConfigError(f"{variable} is 1 or 0, got {text!r}")
    return default if not text else text in _TRUE
