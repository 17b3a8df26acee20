"""NATS itself: no stand-in."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from portable.run.emulators.emulator import LOOPBACK, Emulator, on_free_port
from portable.run.parts import need
from portable.run.processes import free_port

__all__ = ["nats_server"]


@contextlib.contextmanager
def nats_server(*, state: Path | None = None, log: Path | None = None) -> Iterator[Emulator]:
    """A NATS server with JetStream. Its address for resources is in ``NATS_URL``.

    Args:
        state: the folder of its streams; a new one, removed at the end, when left out.
    """
    part = need("nats-server")
    with contextlib.ExitStack() as stack:
        folder = state or stack.enter_context(tempfile.TemporaryDirectory(prefix="portable-nats-"))
        clients = 0

        def command(port: int) -> list[str | Path]:
            nonlocal clients
            clients = free_port()
            return [part.path, "-a", LOOPBACK, "-p", str(clients), "-m", str(port), "-js", "-sd", str(folder)]

        process, port = stack.enter_context(on_free_port(part, command, "/healthz", {}, log))
        environment = {"NATS_URL": f"nats://{LOOPBACK}:{clients}"}
        yield Emulator(f"http://{LOOPBACK}:{port}", environment, part, process.log, process.pid)
