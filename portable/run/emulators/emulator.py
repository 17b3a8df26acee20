"""An emulator that runs: what it is, and how one is started on a free loopback port."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portable.errors import UnsupportedError
from portable.run.parts import Found
from portable.run.processes import LOOPBACK, Running, StartError, answers, free_port, running

__all__ = ["LOOPBACK", "Emulator", "call", "on_free_port"]


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    Attributes:
        endpoint: its address, ``http://127.0.0.1:PORT``; of ``azurite`` the one for blobs.
        environment: variables for the process that uses it.
        part: what is running, with its version.
        log: what it prints.
    """

    endpoint: str
    environment: Mapping[str, str]
    part: Found
    log: Path
    pid: int
    _forget: Callable[[str], None] | None = field(default=None, repr=False)

    @property
    def port(self) -> int:
        """The port of ``endpoint``."""
        return int(self.endpoint.rpartition(":")[2].partition("/")[0])

    def reset(self) -> None:
        """Delete everything in it.

        Raises:
            UnsupportedError: it cannot, short of a restart (Azurite); use names of your own in each test.
        """
        if self._forget is None:
            raise UnsupportedError(f"{self.part.name} cannot be emptied without a restart")
        self._forget(self.endpoint)


@contextlib.contextmanager
def on_free_port(
    part: Found,
    command: Callable[[int], list[str | Path]],
    sign: str | Callable[[int, Running], bool],
    environment: Mapping[str, str],
    log: Path | None,
) -> Iterator[tuple[Running, int]]:
    """Run ``command`` for a free port; on another one when somebody took it in the meantime.

    ``sign`` is a path that only this emulator answers, or what else tells that it is ready: what listens on a taken
    port must not pass for it.
    """
    shows = functools.partial(_shows, sign) if isinstance(sign, str) else sign
    with contextlib.ExitStack() as stack:
        for attempt in itertools.count(1):
            port = free_port()
            ready = functools.partial(shows, port)
            block = running(part.name, command(port), ready=ready, environment=environment, log=log)
            try:
                process = stack.enter_context(block)
            except StartError as error:
                if attempt == 3 or "in use" not in str(error):
                    raise
            else:
                yield process, port
                return


def _shows(sign: str, port: int, _: Running) -> bool:
    return answers(port, sign)


def call(method: str, url: str) -> dict[str, Any]:
    """One request of an emulator's own interface; the JSON of its answer."""
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else {}
