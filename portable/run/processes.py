"""Child processes that listen on a loopback port: start, wait until ready, and stop, whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from portable.errors import PortableError
from portable.run import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["LOOPBACK", "Running", "StartError", "accepts", "answers", "free_port", "running", "tail"]

LOOPBACK = "127.0.0.1"

_PORTS = range(20000, 30000)
_given: deque[int] = deque(maxlen=1000)


class StartError(PortableError):
    """A process ended, or was not ready in time. The message holds the end of its log."""


BASIC_ENVIRONMENT = (
    ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    if sys.platform != "win32"
    else ("PATH", "PATHEXT", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "COMSPEC")
)


def basic_environment() -> dict[str, str]:
    """What any process needs of this one's environment, and nothing that could change what it does."""
    return {name: os.environ[name] for name in BASIC_ENVIRONMENT if name in os.environ}


@dataclass(frozen=True, slots=True)
class Running:
    """A started process.

    Attributes:
        pid: of the supervisor; the command itself is its child. In a process group of its own.
        log: standard output and standard error together.
    """

    name: str
    pid: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def alive(self) -> bool:
        """False once the command has ended."""
        return self.process.poll() is None


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    *,
    ready: Callable[[Running], bool],
    environment: Mapping[str, str] | None = None,
    inherit: bool = True,
    directory: Path | None = None,
    log: Path | None = None,
    timeout: float = 30.0,
) -> Iterator[Running]:
    """Run ``command`` from the moment ``ready`` says so until the block is left.

    It ends with the block, and with this process should that be killed.

    Args:
        environment: added to this process's own.
        inherit: False leaves of this process's own only what any process needs (``BASIC_ENVIRONMENT``).
        directory: its working directory; left out, an empty one of its own.
        log: appended to; left out, a file that goes when the block is left.
        timeout: seconds until it has to be ready.

    Raises:
        StartError: it ended or was not ready in time.
    """
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portable-", ignore_cleanup_errors=True)))
        log = log or scratch / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        workplace = directory or scratch / "work"
        workplace.mkdir(exist_ok=True)
        output = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, *(str(word) for word in command)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**(os.environ if inherit else basic_environment()), **(environment or {})},
            cwd=workplace,
            start_new_session=True,  # so that Ctrl-C reaches only this process, which then stops the others in order
        )
        stack.callback(_stop, process)
        started = Running(name, process.pid, log, process)
        _wait(started, ready, timeout)
        yield started


def _wait(started: Running, ready: Callable[[Running], bool], timeout: float) -> None:
    limit = time.monotonic() + timeout
    pause = 0.01
    while not ready(started):
        if not started.alive:
            status = started.process.returncode
            raise StartError(f"{started.name} ended with status {status} before it was ready:\n{tail(started.log)}")
        if time.monotonic() > limit:
            raise StartError(f"{started.name} was not ready within {timeout:g} s:\n{tail(started.log)}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    if not started.alive:  # what answered on that port was someone else
        raise StartError(f"{started.name} ended before it was ready:\n{tail(started.log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()  # the supervisor takes it from here
    try:
        process.wait(supervisor.GRACE + 3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A loopback port nobody listens on at this moment, and that none of the last calls gave.

    It is none of those that systems give to connections going out (from 32768 on Linux, from 49152 elsewhere). One of
    these can be gone by the time the server binds it; and a client that tries it before then may get it for its own
    end of the connection, and so be answered by itself.
    """
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        _given.append(port)
        return port


def accepts(port: int) -> bool:
    """True when something accepts connections on the loopback ``port``."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(port: int, path: str = "/") -> bool:
    """True when a GET of ``path`` on the loopback ``port`` is answered with a status below 400."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answer.status < 400


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of ``log``."""
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:])
