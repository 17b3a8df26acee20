"""What goes to standard error: the app's own log, and errors with the project's frames alone."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path

from portable.dev.traces import TraceFormatter, summarize
from portable.events import current_context

__all__ = ["FailureNotes", "configure_logging", "write_error"]

_MOST = 1000


def write_error(text: str) -> None:
    """Lines on standard error."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def configure_logging(root: Path) -> None:
    """Called after the app is imported: what it says about logging stands; only the framework's own log is set."""
    handler = logging.StreamHandler()
    handler.setFormatter(TraceFormatter(root))
    own = logging.getLogger("portable")
    own.addHandler(handler)
    own.propagate = False
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


class FailureNotes(logging.Handler):
    """Notes what handlers raised, by request id, as the invoke seam logs it."""

    def __init__(self, root: Path) -> None:
        super().__init__(logging.ERROR)
        self._root = root
        self._notes: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        context = current_context.get()
        error = record.exc_info[1] if record.exc_info else None
        if context is None or error is None:
            return
        if len(self._notes) >= _MOST:
            self._notes.clear()
        self._notes[context.request_id] = summarize(error, self._root)

    def take(self, request_id: str) -> str:
        """See ``front.Failures``."""
        return self._notes.pop(request_id, "")
