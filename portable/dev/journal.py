"""What happened: a line for each invocation on the console, and the last of them for the pages."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from asyncio import AbstractEventLoop
from collections import deque
from pathlib import Path

import msgspec

__all__ = ["Entry", "Journal", "line"]

WIDTH = 80
KEPT = 200
_OUTCOME = 14


class Entry(msgspec.Struct):
    """One invocation. ``at``: seconds since the epoch. ``subject``: method and path, message, key, instant.

    ``outcome``: an HTTP status, ``ok``, ``retry in 2 s``, ``dead letter``, ``parked`` or ``failed``; ``error``: in one
    line, "" when there was none.
    """

    at: float
    function: str
    subject: str
    outcome: str
    milliseconds: float
    request_id: str
    error: str = ""


def line(entry: Entry, width: int = WIDTH) -> str:
    """An entry in one line of at most ``width`` characters; what is too long loses its middle."""
    clock = time.strftime("%H:%M:%S", time.localtime(entry.at))
    right = f" {entry.outcome} {entry.milliseconds:8.1f} ms"
    what = entry.subject if entry.outcome.isdigit() else f"{entry.function} {entry.subject}"
    room = width - len(clock) - 1 - len(right)
    if not what.isprintable():
        what = "".join(character if character.isprintable() else "\ufffd" for character in what)
    if len(what) > room:
        head = room // 2
        what = f"{what[:head]}…{what[head + 1 - room :]}"
    return f"{clock} {what:<{room}}{right}"


class Journal:
    """Keeps the last entries and writes each to standard output, those of one turn of the loop together."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.last: dict[str, Entry] = {}
        self._loop = loop
        self._unwritten: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Note an invocation. Called on the loop's thread."""
        self.entries.append(entry)
        self.last[entry.function] = entry
        if not self._unwritten:
            self._loop.call_soon(self.flush)
        self._unwritten.append(entry)

    def save(self, path: Path) -> None:
        """Leave the entries to the next worker."""
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(list(self.entries)))
        fresh.replace(path)

    def restore(self, path: Path) -> None:
        """Put what a worker before this one left before the entries here."""
        try:
            earlier = msgspec.json.decode(path.read_bytes(), type=list[Entry])
        except (OSError, msgspec.DecodeError):
            return  # nothing was left, or half of it: it is only shown
        self.entries.extendleft(reversed(earlier[-(KEPT - len(self.entries)) :]))
        self.last = {**{entry.function: entry for entry in earlier}, **self.last}

    def flush(self) -> None:
        """Write what is not written yet."""
        entries, self._unwritten = self._unwritten, []
        if entries:
            say("\n".join([line(entry) for entry in entries]))


def say(text: str) -> None:
    """A line on standard output, whoever listens there."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
