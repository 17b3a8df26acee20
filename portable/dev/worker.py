"""The process that serves: loads the app, answers HTTP with uvicorn, delivers events, and stops when told to.

A supervisor starts it and speaks to it through standard input: one line of settings, then ``stop``; the end of that
input means that the supervisor is gone. With ``reload=False`` there is none, and everything runs in one process.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from portable.build.project import find_project
from portable.build.variables import declared_variables, missing_variable
from portable.dev.application import Application
from portable.dev.journal import say
from portable.dev.logs import configure_logging, write_error
from portable.dev.places import only_one, state_folder
from portable.dev.serving import GRACE, Session
from portable.dev.traces import explain, summarize
from portable.errors import ConfigError

__all__ = ["main", "serve_here"]

STATE = "PORTABLE_LOCAL_STATE"
"""What the local platform reads: where buckets and queues are that have no address of their own."""

LOCAL_URL = "PORTABLE_LOCAL_URL"
"""What signed URLs of local buckets begin with."""

_HELD_UP = 2.0
"""Seconds after the grace until a process that does not end is ended: a handler holds up its loop."""


def load(root: Path, spec: str) -> tuple[Application | None, str]:
    """The app, or None and why it does not start, which is written with the project's own frames."""
    try:
        return Application(root, spec), ""
    except (Exception, SystemExit) as error:
        variable = missing_variable(error)
        advice = f"\nThe environment has no {variable}: set it here, or in the settings." if variable else ""
        write_error(f"{explain(error, root)}{advice}\nThe app does not start; saving a corrected file starts it.")
        return None, summarize(error, root)


def prepare(root: Path) -> None:
    """Make this process the project's: its folder, its state, and the variables that the settings give to functions,
    where the shell has given no other value.
    """
    os.chdir(root)
    with contextlib.suppress(ConfigError):  # settings that are wrong are the supervisor's to say
        for name, value in declared_variables(find_project(root).at_stage(None), "local").items():
            os.environ.setdefault(name, value)
    os.environ.setdefault(STATE, str(state_folder(root) / "state"))


def serve_here(root: Path, spec: str, listener: socket.socket) -> int:
    """Serve in this process, without reload. Returns the exit status."""
    prepare(root)
    with only_one(root):
        application, failure = load(root, spec)
        if application is None:
            return 1
        configure_logging(root)
        session = Session(root, application, failure, listener)
        return run(session, on_ready=_stop_on_signals)


def run(
    session: Session, on_ready: Callable[[Session], None], announce: Callable[[Session], None] | None = None
) -> int:
    """Serve until the session is stopped, on uvloop where it is installed."""
    os.environ.setdefault(LOCAL_URL, session.url)
    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(session.serve(on_ready, announce))
    return 0


def _stop_on_signals(session: Session) -> None:
    """Ctrl-C and SIGTERM stop; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if session.stopped:
            os._exit(128 + number)
        session.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda received, _: loop.call_soon_threadsafe(stop, received))


def main() -> int:
    """Under a supervisor."""
    with open(0, "rb", buffering=0, closefd=False) as unbuffered:
        settings = json.loads(unbuffered.readline())
    serving: list[Callable[[], Any]] = []
    threading.Thread(target=_obey, args=(_take_control(), serving), name="control", daemon=True).start()
    signal.signal(signal.SIGINT, lambda number, frame: None)  # the supervisor says what Ctrl-C means
    root, spec = Path(settings["root"]), settings["spec"]
    listener = _listener(settings)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe is watched as a terminal is
    prepare(root)
    application, failure = (None, settings["failure"]) if settings["failure"] else load(root, spec)
    configure_logging(root)
    session = Session(root, application, failure, listener)

    def on_ready(_: Session) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, session.stop)
        serving.append(partial(loop.call_soon_threadsafe, session.stop))

    def announce(ready: Session) -> None:
        if settings["first"]:
            say(ready.banner())
        else:
            say(f"{time.strftime('%H:%M:%S')} {ready.reload_line(time.time() - settings['since'])}")

    return run(session, on_ready, announce)


def _take_control() -> int:
    """The pipe to the supervisor, moved off standard input, where a debugger wants the terminal."""
    control = os.dup(0)
    try:
        terminal = os.open("CONIN$" if os.name == "nt" else "/dev/tty", os.O_RDWR)
    except OSError:
        terminal = os.open(os.devnull, os.O_RDONLY)
    os.dup2(terminal, 0)
    os.close(terminal)
    sys.stdin = open(0, encoding=sys.stdin.encoding, closefd=False)  # noqa: SIM115 - for the life of the process
    return control


def _listener(settings: dict[str, Any]) -> socket.socket:
    if sys.platform == "win32":
        return socket.fromshare(base64.b64decode(settings["share"]))
    return socket.socket(fileno=settings["fd"])


def _obey(control: int, serving: list[Callable[[], Any]]) -> None:
    """Wait for the word to stop, or for the end of the supervisor, and see that this process ends."""
    while data := os.read(control, 64):
        if b"stop" in data:
            break
    if not serving:
        os._exit(0)  # the app is still being imported, and nothing was begun
    with contextlib.suppress(RuntimeError):  # it ended by itself
        serving[0]()
    time.sleep(GRACE + _HELD_UP)
    write_error("a handler holds up the end of this process; it is ended")
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
