"""Runs one command and ends it when this process's standard input closes: ``python supervisor.py COMMAND…``.

Whoever starts it holds the other end of that pipe, so the command ends with its parent however the parent ends, on
every system, and without the parent's help. Kept to the standard library: it is run by path, not imported.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

GRACE = 5.0
"""Seconds a command gets between being asked to end and being made to."""


def supervise(command: list[str]) -> int:
    """Run ``command`` until it ends, or until standard input closes; return its exit status."""
    bound = _end_with_this_process if sys.platform == "linux" else None
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=bound)  # noqa: PLW1509  no thread yet
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error}\n")
        return 127
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    return child.wait()


def _end_with_input(child: "subprocess.Popen[bytes]") -> None:
    # os.read, because a thread inside sys.stdin's lock would make the interpreter abort at exit.
    while os.read(0, 1024):
        pass
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
        return
    child.kill()


def _end_with_this_process() -> None:
    """Runs in the child: be killed when this process is, which then has no chance to pass anything on."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
