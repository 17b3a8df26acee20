"""Redis itself, for caches on every target."""

from __future__ import annotations

import contextlib
import functools
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from portable.drivers import address_variable
from portable.manifest import Manifest
from portable.run.emulators.emulator import LOOPBACK, Emulator, on_free_port
from portable.run.parts import need
from portable.run.processes import Running

__all__ = ["cache_addresses", "redis_server"]


@contextlib.contextmanager
def redis_server(*, log: Path | None = None) -> Iterator[Emulator]:
    """A Redis of its own, in memory, behind a password nobody else knows. ``endpoint`` is ``redis://…``."""
    part = need("redis-server")
    word = secrets.token_hex(8)

    def command(port: int) -> list[str | Path]:
        place = ["--bind", LOOPBACK, "--port", str(port), "--requirepass", word]
        return [part.path, *place, "--save", "", "--appendonly", "no", "--daemonize", "no"]

    with on_free_port(part, command, functools.partial(_is_ready, word), {}, log) as (process, port):
        endpoint = f"redis://:{word}@{LOOPBACK}:{port}/0"
        yield Emulator(endpoint, {}, part, process.log, process.pid, functools.partial(_forget, port, word))


@contextlib.contextmanager
def cache_addresses(manifest: Manifest, folder: Path) -> Iterator[dict[str, str]]:
    """The addresses of an app's caches, on one Redis; nothing is started for an app without any."""
    caches = manifest.of_kind("cache")
    if not caches:
        yield {}
        return
    folder.mkdir(parents=True, exist_ok=True)
    with redis_server(log=folder / "redis.log") as redis:
        yield {address_variable("cache", cache.name): redis.endpoint for cache in caches}


def _say(port: int, *lines: str) -> bytes:
    """What Redis answers to these lines; commands in a line of plain words are a part of its protocol."""
    with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "QUIT")).encode())
        return b"".join(iter(lambda: connection.recv(4096), b""))


def _is_ready(word: str, port: int, _: Running) -> bool:
    try:
        return b"+PONG" in _say(port, f"AUTH {word}", "PING")
    except OSError:
        return False


def _forget(port: int, word: str, _: str) -> None:
    _say(port, f"AUTH {word}", "FLUSHALL")
