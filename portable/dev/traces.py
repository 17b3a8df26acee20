"""Errors as their author reads them: their own frames, then the error."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from portable.errors import ConfigError
from portable.uses import in_project

__all__ = ["TraceFormatter", "explain", "summarize"]


def explain(error: BaseException, root: Path) -> str:
    """The traceback of an error and of its causes, with the project's frames and, where it differs, the last one.

    A ConfigError says in words what is wrong; no frame is added to it.
    """
    if isinstance(error, ConfigError):
        return f"ConfigError: {error}"
    summary = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    _trim(summary, root, seen)
    return "".join(summary.format()).rstrip()


def summarize(error: BaseException, root: Path) -> str:
    """An error in one line: its type, its text, and where in the project it was raised."""
    if isinstance(error, ConfigError):
        return str(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({_short(error.filename, root)}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if in_project(Path(frame.filename), root)]
    return f"{text} ({_short(frames[-1].filename, root)}:{frames[-1].lineno})" if frames else text


def _short(filename: str, root: Path) -> str:
    path = Path(filename)
    return path.resolve().relative_to(root).as_posix() if in_project(path, root) else filename


def _trim(summary: traceback.TracebackException, root: Path, seen: set[int]) -> None:
    if id(summary) in seen:
        return
    seen.add(id(summary))
    frames = list(summary.stack)
    kept = [frame for frame in frames if in_project(Path(frame.filename), root)]
    # Where a library raised it is worth a line; an import that failed is not: its frames are the import system's.
    if kept and frames[-1] is not kept[-1] and not frames[-1].filename.startswith("<frozen importlib"):
        kept.append(frames[-1])
    summary.stack = traceback.StackSummary.from_list(kept)
    for other in (summary.__cause__, summary.__context__):
        if other is not None:
            _trim(other, root, seen)


class TraceFormatter(logging.Formatter):
    """Log records, their tracebacks trimmed."""

    def __init__(self, root: Path) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        self._root = root

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's own name
        """See ``logging.Formatter``."""
        error = ei[1] if isinstance(ei, tuple) else None
        return explain(error, self._root) if isinstance(error, BaseException) else ""
