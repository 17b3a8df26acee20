"""Whether the same command would write what is there already, told before anything is imported that builds.

Beside what a build came to (``portable.build.unchanged``) stands a record of all it looked at, by ``portable.build.
watched``: every file it opened, every folder it listed, the project's and the app's own imports among them, this
framework's and the adapters' files, the environment, the interpreter. Where all of these are as they were, the app
would declare what it declared, and the artifact would be what it is: so neither is made again.

This module is what a build without a change costs; it imports next to nothing.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib

from portable.build.caches import cache_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# As CPython's own ``random`` does it: hashlib loads all of OpenSSL.
try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from hashlib import sha256

__all__ = ["TOOK", "last_words", "looks", "names_in", "record_of", "state"]

TOOK = "\0"
"""In what is printed, where the seconds go."""

_UNREAD = ("_", "COLUMNS", "LINES", "OLDPWD", "SHLVL")
"""Variables that differ from one shell to the next, and mean nothing to a build."""


def last_words(record: str) -> str | None:
    """What the last build said, going by its record, with :data:`TOOK` in it; None where another one has to be made."""
    try:
        with open(record, "rb") as file:
            known = marshal.load(file)  # noqa: S302 - written by this user's own builds
        look = known["look"]
        same = state(look) == known["state"] and looks(look["out"]) == known["looks"]
        return str(known["said"]) if same else None
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # none, or of another version of this framework
        return None


def record_of(arguments: Sequence[str]) -> str:
    """The file that says what builds by these arguments, from this folder and in these surroundings, looked at.

    To be asked at the start: an app may change its own surroundings.
    """
    surroundings = sorted(one for one in os.environ.items() if one[0] not in _UNREAD)
    interpreter = (sys.executable, sys.version, sys.prefix, sys.flags, sys.path, sys.warnoptions)
    asked = repr((list(arguments), os.getcwd(), surroundings, interpreter, zlib.ZLIB_RUNTIME_VERSION))
    return f"{cache_folder()}/build/again/{sha256(asked.encode(errors='surrogateescape')).hexdigest()}"


def state(look: Mapping[str, Any]) -> str:
    """What a build looked at, as it is now, as a digest.

    ``look``: the ``files`` to be told by their times and sizes, the ``contents`` by what is in them, the ``folders`` by
    the names in them, and the ``project``, whose files are told by the time of their last change as well, which nobody
    can set.
    """
    project = look["project"] + os.sep
    said: list[object] = []
    for path in look["files"]:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            said.append(None)
            continue
        changed = found.st_ctime_ns if path.startswith(project) else 0
        said.append((found.st_mtime_ns, found.st_size, found.st_mode, found.st_ino, changed))
    for path in look["contents"]:
        try:
            with open(path, "rb") as file:
                said.append((sha256(file.read()).digest(), os.stat(path).st_mode))
        except (OSError, ValueError):
            said.append(None)
    said += (names_in(folder, look["project"]) for folder in look["folders"])
    return _digest(repr(said))


def names_in(folder: str, project: str) -> list[str] | None:
    """What is in a folder, in order; None where it cannot be told.

    Left out is what the interpreter puts there, and outside the project what tools keep under hidden names: no module
    bears one.
    """
    hidden = "__pycache__" if f"{folder}{os.sep}".startswith(f"{project}{os.sep}") else (".", "__pycache__")
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith(hidden))
    except (OSError, ValueError):
        return None


def looks(root: str | os.PathLike[str], skip: Iterable[str] = ()) -> str:
    """Names, times, sizes and permissions of all files below a folder."""
    digest, length = sha256(), len(os.fsencode(root))
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in skip)
        digest.update(os.fsencode(folder)[length:] + b"\0")
        for name in sorted(names):
            found = os.lstat(f"{folder}/{name}")
            said = (name, found.st_mtime_ns, found.st_size, found.st_mode)
            digest.update(repr(said).encode(errors="surrogateescape"))
    return str(digest.hexdigest())


def _digest(text: str) -> str:
    return str(sha256(text.encode(errors="surrogateescape")).hexdigest())
