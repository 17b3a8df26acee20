"""What a whole `portable build` looks at, for ``portable.build.again``: each file it opens, each folder it lists.

The interpreter's own audit events tell, so what the user's app opens while it is imported counts as much as what the
build does itself. What cannot be told so, and would count, spoils the record: that the app asks another process or
another machine. Nor is there one where something has changed since the build began: nobody knows what was read then.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from portable.build.again import looks, names_in, state
from portable.build.caches import cache_folder

__all__ = ["begin", "keep", "note", "note_made", "recall", "seen", "set_project"]

_WRITES = os.O_WRONLY | os.O_RDWR
_ASKS = frozenset(("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"))
_STARTS = frozenset(("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"))
_SYSTEM = ("/dev/", "/proc/", "/sys/")
_BYTECODE = f"{os.sep}__pycache__{os.sep}"
_UNUSED_DAYS = 30
_COARSE, _FINE = 2_000_000_000, 20_000_000
"""Nanoseconds: the steps in which some file systems count time, and in which the others do at most."""


class _Watch:
    """What a process has looked at. ``folders``: with the names that were in them when they were first listed."""

    def __init__(self, record: str) -> None:
        self.record = record
        self.started = time.time_ns()
        self.files: set[str] = set()
        self.folders: dict[str, list[str] | None] = {}
        self.made: set[str] = set()
        self.project = ""
        self.is_spoiled = False

    def take(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event of the interpreter."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and not (flags or 0) & _WRITES:
                self.files.add(os.path.abspath(os.fsdecode(path)))
        elif event in ("os.listdir", "os.scandir"):
            if not isinstance(arguments[0], int):
                self.list(os.path.abspath(os.fsdecode(arguments[0] or ".")))
        elif event in _ASKS or (event in _STARTS and self._is_the_apps()):
            self.is_spoiled = True

    def list(self, folder: str) -> None:
        """A folder is listed: it counts as it is at its first time."""
        if folder not in self.folders:
            self.folders[folder] = None  # listing it is an event too
            self.folders[folder] = names_in(folder, folder)

    def _is_the_apps(self) -> bool:
        """Whether code of the project does this."""
        frame: Any = sys._getframe() if self.project else None
        while frame is not None and not frame.f_code.co_filename.startswith(self.project):
            frame = frame.f_back
        return frame is not None


_watch: _Watch | None = None


def begin(record: str) -> None:
    """Watch from now on, for as long as this process lives. ``record``: the file to keep it in."""
    global _watch
    _watch = _Watch(record)
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is not None:
        _watch.take(event, arguments)


def set_project(root: str | os.PathLike[str]) -> None:
    """Say where the code lies that must not ask others."""
    if _watch is not None:
        _watch.project = f"{os.fspath(root)}{os.sep}"


def note(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Files that count though nobody opens them."""
    if _watch is not None:
        _watch.files.update(map(os.path.abspath, paths))


def note_made(path: str | os.PathLike[str]) -> None:
    """A file of this tool's own that counts, though it may be written while the build runs."""
    if _watch is not None:
        _watch.made.add(os.path.abspath(path))


def seen() -> list[str] | None:
    """Files, and folders with a separator at their end, that count so far: what :func:`recall` takes in another build
    that does less, since it finds all done. None where nobody watches, or nothing can be kept.
    """
    if _watch is None or _watch.is_spoiled:
        return None
    return [*sorted(_files(_watch)), *(f"{one}{os.sep}" for one in sorted(_watch.folders))]


def recall(paths: Sequence[str] | None) -> None:
    """What an earlier build saw counts too. None: nobody knows what that was, so nothing is kept."""
    if _watch is None:
        return
    if paths is None:
        _watch.is_spoiled = True
        return
    _watch.files.update(one for one in paths if not one.endswith(os.sep))
    for one in paths:
        if one.endswith(os.sep):
            _watch.list(one.rstrip(os.sep) or os.sep)


def keep(root: str | os.PathLike[str], out: str | os.PathLike[str], said: str) -> None:
    """Keep what was looked at, and what the build said, unless that is spoiled or something has changed meanwhile.

    ``root``: the project. ``out``: the artifact. What this tool makes itself does not count. Atomic.
    """
    watch = _watch
    if watch is None or watch.is_spoiled:
        return
    project, artifact = os.fspath(root), os.fspath(out)
    own = tuple(f"{one}{os.sep}" for one in (cache_folder(), artifact, os.path.join(project, ".portable")))
    files = {path for path in _files(watch) if not path.startswith((*own, *_SYSTEM))}
    for folder in [path for path in sys.path_importer_cache if isinstance(path, str)]:
        watch.list(os.path.abspath(folder))
    own_names = {".portable", os.path.basename(os.path.dirname(artifact))}
    folders = []
    for folder, names in watch.folders.items():
        if f"{folder}{os.sep}".startswith((*own, *_SYSTEM)) or folder == os.path.dirname(artifact):
            continue
        changed = (set(names or ()) ^ set(names_in(folder, folder) or ())) - own_names
        if any(f"{folder}{os.sep}".startswith(f"{project}{os.sep}") or not name.startswith(".") for name in changed):
            return
        folders.append(folder)
    young = set(_young(files, watch.started, project))
    if any(_last_change(path, project) > watch.started for path in young):
        return
    look = {
        "project": project,
        "out": artifact,
        "files": sorted(files - young),
        "contents": sorted(young | watch.made),
        "folders": sorted(folders),
    }
    _write(watch.record, {"look": look, "state": state(look), "looks": looks(artifact), "said": said})


def _write(record: str, document: dict[str, Any]) -> None:
    folder = os.path.dirname(record)
    os.makedirs(folder, exist_ok=True)
    limit = time.time() - _UNUSED_DAYS * 86400
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.stat().st_mtime < limit:
                os.unlink(entry.path)
    fresh = f"{record}.{os.getpid()}"
    with open(fresh, "wb") as file:
        marshal.dump(document, file)
    os.replace(fresh, record)


def _files(watch: _Watch) -> set[str]:
    """What was opened, and the files of all modules, those from before the watch began among them."""
    imported = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    modules = {os.path.abspath(file) for file in imported if isinstance(file, str)}
    return {_source(path) for path in watch.files | modules}


def _source(path: str) -> str:
    """Bytecode says nothing that its source does not."""
    if _BYTECODE not in path:
        return path
    folder, name = os.path.split(path)
    return f"{os.path.dirname(folder)}{os.sep}{name.partition('.')[0]}.py"


def _young(files: Iterable[str], started: int, project: str) -> Iterator[str]:
    """Files whose times could be the same after another change."""
    for path in files:
        last = _last_change(path, project)
        if last > started - (_COARSE if last % 1_000_000 == 0 else _FINE):
            yield path


def _last_change(path: str, project: str) -> int:
    """Of what is not the project's, links made elsewhere change the one of the two times."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0
    return max(found.st_mtime_ns, found.st_ctime_ns if path.startswith(project + os.sep) else 0)
