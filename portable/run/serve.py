"""``portable run dist/<target>``: a built artifact served on loopback until it is interrupted."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from portable.errors import PortableError
from portable.run.delivery import Failure
from portable.run.deployment import Deployment, deployed, given_addresses
from portable.run.front import front
from portable.run.target import open_artifact

__all__ = ["PORT", "serve"]

PORT = 8000
"""The port when none is asked for."""

_PAUSE = 0.25


def serve(
    folder: Path,
    *,
    port: int = PORT,
    log: Path | None = None,
    variables: Mapping[str, str] | None = None,
    say: Callable[[str], object] = lambda line: print(line, flush=True),  # noqa: T201 - this is what the command says
    stop: threading.Event | None = None,
) -> None:
    """Run ``dist/<target>`` and answer HTTP until ``stop`` is set, Ctrl-C or, in the main thread, SIGTERM.

    Messages and blob events are delivered in the background (``portable.run.delivery`` says how far that is the
    cloud's way). Resources are emulators', unless the environment has their addresses.

    Args:
        port: 0 takes a free one. log: where the functions print; left out, ``<target>.log`` beside the artifact.
        variables: for the functions, over those of their settings.
        say: gets each line for the user.

    Raises:
        ConfigError: no artifact, a missing part or interpreter, a port in use.
    """
    log = log or folder.parent / f"{folder.name}.log"
    addresses = given_addresses(open_artifact(folder).manifest)
    stop = stop or threading.Event()
    with (
        _until_terminated(stop),
        deployed(folder, log=log, addresses=addresses, variables=variables) as deployment,
        front(deployment, port) as address,
    ):
        say(f"{deployment.manifest.app}, built for {deployment.artifact.target}, at {address}")
        for name, version in deployment.parts.items():
            say(f"  {name} {version}")
        for function in deployment.manifest.functions:
            source = deployment.artifact.sources[function.name]
            say(f"  {function.name}: {function.kind} by {source}")
        say(f"  post an event: {address}/_portable/functions/NAME")
        say(f"  log: {log}")
        try:
            _pump(deployment, stop, say)
        except KeyboardInterrupt:
            say("stopping")


@contextlib.contextmanager
def _until_terminated(stop: threading.Event) -> Iterator[None]:
    """SIGTERM ends the run in order. Only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pump(deployment: Deployment, stop: threading.Event, say: Callable[[str], object]) -> None:
    """Deliver events as they come. One that cannot be (an emulator gone) is said once, and tried again."""
    told = ""
    while not stop.wait(_PAUSE):
        try:
            settled = deployment.pump()
        except PortableError as error:
            if str(error) != told:
                told = str(error)
                say(f"delivery: {told}")
            continue
        told = ""
        for failure in settled.failures:
            say(_describe(failure))


def _describe(failure: Failure) -> str:
    end = "given up" if failure.given_up else "will be tried again"
    return f"{failure.function} failed on {failure.subject}, attempt {failure.attempt}: {failure.error} ({end})"
