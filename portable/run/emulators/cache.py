"""Redis itself, for caches on every target."""

from __future__ import annotations

import contextlib
import functools
import itertools
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from portable.drivers import address_variable
from portable.manifest import Manifest
from portable.run.emulators.emulator import LOOPBACK, Emulator
from portable.run.parts import need
from portable.run.processes import Running, StartError, free_port, running

__all__ = ["cache_addresses", "redis_server"]


@contextlib.contextmanager
def redis_server(*, log: Path | None = None) -> Iterator[Emulator]:
    """A Redis of its own, in memory, behind a password nobody else knows. ``endpoint`` is ``redis://…``."""
    part = need("redis-server")
    word = secrets.token_hex(8)
    with contextlib.ExitStack() as stack:
        for attempt in itertools.count(1):
            port = free_port()
            command: list[str | Path] = [part.path, "--bind", LOOPBACK, "--port", str(port), "--requirepass", word]
            command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
            ready = functools.partial(_is_ready, port, word)
            try:
                process = stack.enter_context(running(part.name, command, ready=ready, log=log))
            except StartError as error:
                if attempt == 3 or "in use" not in str(error):
                    raise
            else:
                endpoint = f"redis://:{word}@{LOOPBACK}:{port}/0"
                forget = functools.partial(_forget, port, word)
                yield Emulator(endpoint, {}, part, process.log, process.pid, forget)
                return


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


def _is_ready(port: int, word: str, _: Running) -> bool:
    try:
        return b"+PONG" in _say(port, f"AUTH {word}", "PING")
    except OSError:
        return False


def _forget(port: int, word: str, _: str) -> None:
    _say(port, f"AUTH {word}", "FLUSHALL")
