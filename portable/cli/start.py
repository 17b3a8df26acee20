"""Where the command starts: a build that would change nothing is answered here, before there is a parser."""

from __future__ import annotations

import codecs
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_PLAIN = {"█": "#", "░": "-", "→": "->", "…": "..."}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, that of this process where none is given, and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if (stream.encoding or "utf-8").lower().replace("-", "") != "utf8" and hasattr(stream, "reconfigure"):
            codecs.register_error("portable", _in_plain)
            stream.reconfigure(errors="portable")
    if arguments is None and sys.argv[1:2] == ["build"]:
        status = _build_again(sys.argv[2:])
        if status is not None:
            return status
    from portable.cli.parser import main

    return main(arguments)


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    """What is written of characters that a pipe or a terminal does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(one, "?") for one in error.object[error.start : error.end]), error.end


def _build_again(arguments: Sequence[str]) -> int | None:
    """The status of a build that finds all as it was; None where one has to be made, which is watched from here on."""
    from time import perf_counter

    from portable.build.again import TOOK, last_words, record_of

    started = perf_counter()
    try:
        record = record_of(arguments)
    except OSError:  # the folder it runs in is gone
        return None
    said = last_words(record)
    if said is None:
        import gc

        from portable.build.watched import begin

        begin(record)
        gc.set_threshold(100_000, 50, 50)  # this process lives for a second, in which there is little to collect
        return None
    try:
        print(said.replace(TOOK, f"{perf_counter() - started:.2f}"), flush=True)
    except BrokenPipeError:
        from portable.cli.parser import end_unread

        return end_unread()
    return 0
