"""What one ``portable dev`` has to itself: the port, and the project's state folder."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from portable.errors import ConfigError

__all__ = ["bind", "delivery_lock", "only_one", "state_folder", "url_of"]

_BACKLOG = 2048
"""Connections the system holds while no worker accepts: all that arrive during a reload."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError naming the port when it is in use."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host!r}, port {port}: {error}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)):
            raise ConfigError(
                f"port {port} is in use on {host}; stop what listens there, or choose another: --port {_other(port)}"
            ) from error
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return listener


def _other(port: int) -> int:
    return port + 1 if port < 65535 else port - 1


def url_of(listener: socket.socket) -> str:
    """Where a browser on this machine finds a listening socket."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def state_folder(root: Path) -> Path:
    """``.portable`` of a project, made when it is not there. It keeps itself out of git."""
    folder = root / ".portable"
    (folder / "dev").mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")
    return folder


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """A block in which no other ``portable dev`` serves this project. Raises ConfigError naming the one that does."""
    path = state_folder(root) / "dev" / "server.lock"
    with path.open("a+", encoding="utf-8") as file:
        if not _try_lock(file.fileno()):
            file.seek(0)
            raise ConfigError(
                f"{root} is served already, by process {file.read().strip() or 'unknown'}; "
                "its queues and schedules can have one server only: stop that one first"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def delivery_lock(root: Path) -> Iterator[None]:
    """A block in which no other worker delivers events: after a reload the new one waits here for the old one."""
    path = state_folder(root) / "dev" / "delivery.lock"
    with path.open("a+", encoding="utf-8") as file:
        while not _try_lock(file.fileno()):
            time.sleep(0.02)
        yield


def _try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed, or its process ends however it does."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # A byte far behind the text: on Windows a locked one cannot be read by others.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
