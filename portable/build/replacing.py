"""A folder put in the place of another, all at once: who is killed in the middle leaves the old one or the new one."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from portable.errors import BuildError

__all__ = ["replacing"]

_ABANDONED = 3600
"""Seconds after which what another process has been writing is taken to be left behind, where nobody can be asked."""

_AT_CWD, _EXCHANGE = -100, 2  # renameat2(2)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``out`` when the block ends well.

    Raises BuildError when ``out`` holds something else than an artifact, OSError when it cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists() and not (out / "manifest.json").is_file() and any(out.iterdir()):
        raise BuildError(f"{out} holds something else than an artifact; remove it, or build somewhere else")
    _clear_abandoned(out)
    scratch = Path(tempfile.mkdtemp(prefix=f"{_prefix(out)}{os.getpid()}-", dir=out.parent))
    try:
        fresh = scratch / "new"
        fresh.mkdir()
        yield fresh
        _swap(fresh, out, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _prefix(out: Path) -> str:
    return f".{out.name}-{platform.node() or 'here'}-"


def _clear_abandoned(out: Path) -> None:
    """Remove what killed builds of this folder left beside it."""
    for folder in out.parent.glob(f".{out.name}-*"):
        abandoned = False
        pid = folder.name.removeprefix(_prefix(out)).partition("-")[0]
        if folder.name.startswith(_prefix(out)) and pid.isdigit() and sys.platform != "win32":
            abandoned = not _is_running(int(pid))
        else:
            with suppress(OSError):
                abandoned = folder.stat().st_mtime < time.time() - _ABANDONED
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _swap(fresh: Path, out: Path, scratch: Path) -> None:
    """Both names change at once where the system can do that; elsewhere ``out`` is away for a moment."""
    old: Path | None = None
    for attempt in range(10):
        if out.exists() and _exchange(fresh, out):
            return
        with suppress(FileNotFoundError):
            os.rename(out, scratch / f"old-{attempt}")
            old = scratch / f"old-{attempt}"
        try:
            os.rename(fresh, out)
        except OSError:
            if out.exists() and attempt < 9:
                continue  # another build put its own there in between
            if old is not None:
                with suppress(OSError):
                    os.rename(old, out)
            raise
        return


def _exchange(fresh: Path, out: Path) -> bool:
    """Let two folders change names, on Linux where the file system can."""
    if sys.platform != "linux":
        return False
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    done: int = rename(_AT_CWD, os.fsencode(fresh), _AT_CWD, os.fsencode(out), _EXCHANGE)
    return done == 0
