"""What every adapter's entry shares: one app, one of its functions, in one process."""

from __future__ import annotations

import os

from portable.app import load_app
from portable.errors import ConfigError
from portable.http.answers import choose_encoder
from portable.invoke import make_function
from portable.invoke.loops import prefer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

__all__ = ["Instance"]


class Instance:
    """One function of an app, ready to be called.

    Args:
        spec: ``module:variable`` of the App.
        function: the function's name, as the build gave it.
        modules: routers included by name that hold its handlers; only these are imported. None imports all.

    Attributes:
        app: the App. function: the name. call: the function of ``portable.invoke``. stage: ``PORTABLE_STAGE`` or "".

    Raises ConfigError for an unknown function; what the app's own import raises passes through.
    """

    __slots__ = ("_cold", "app", "call", "function", "kind", "stage")

    def __init__(self, spec: str, function: str, modules: Iterable[str] | None = None) -> None:
        self.app = load_app(spec)
        functions = self.app.functions(modules)
        if function not in functions:
            raise ConfigError(f"app {self.app.name!r} has no function {function!r}; it has {', '.join(functions)}")
        self.function = function
        self.call: Any = make_function(functions[function], self.app)
        self.kind: str = self.call.kind
        self.stage = os.environ.get("PORTABLE_STAGE", "")
        self._cold = [True]
        choose_encoder()

    def start(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Call the app's ``on_start`` hooks, once a process; see ``Life.start``. Handlers' coroutines are run so too.

        What this function mounts is started next, and stopped before the app's ``on_stop`` hooks.
        """
        prefer(run)
        self.app.life.start(run)
        mounts = self.call.routes.mounts if self.kind == "http" else None
        if mounts is not None and mounts.start(run):
            from atexit import register

            self.app.life.on_stop.append(lambda: mounts.stop(run))
            register(mounts.stop, run)  # where nobody says that the instance ends, but the process does by itself

    def stop_at_exit(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Call the app's ``on_stop`` hooks when the process ends by itself, as a server's does that is told to."""
        from atexit import register

        register(self.app.life.stop, run)

    def take_cold_start(self) -> bool:
        """True the first time it is asked: whether this invocation is the instance's first."""
        try:
            return self._cold.pop()  # one of several threads gets it
        except IndexError:
            return False
