"""The one seam where a handler is called: sync or async, alone or in a batch.

An adapter's entry decodes the cloud's event, calls the function that :func:`make_function` gave, and encodes what comes
back. What a sync handler gives is there at once; for an async one the call gives a coroutine, which the entry awaits or
runs with :func:`run` (one invocation at a time) or :func:`run_shared` (several, on threads). One event loop is kept a
process. Each kind of function has a module of its own, so that an instance imports the one that it serves.
"""

from __future__ import annotations

from portable.invoke.loops import run, run_shared, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portable.app import App
    from portable.invoke.messages import Outcomes as Outcomes
    from portable.triggers import Trigger

__all__ = ["make_function", "run", "run_shared", "step"]

_HOMES = {
    "http": ("http", "HTTPFunction"),
    "message": ("messages", "MessageFunction"),
    "stream": ("streams", "StreamFunction"),
    "blob": ("events", "BlobFunction"),
    "change": ("events", "ChangeFunction"),
    "schedule": ("events", "ScheduleFunction"),
    "direct": ("events", "DirectFunction"),
    "socket": ("sockets", "SocketFunction"),
}


def make_function(triggers: Sequence[Trigger], app: App | None = None) -> Any:
    """The function that serves these triggers, all of one kind, with what ``app`` puts around its handlers.

    Raises ConfigError.
    """
    from sys import modules

    kind = triggers[0].kind
    middleware = [] if app is None else [one for kinds, one in app.middlewares if kind in kinds]
    if kind == "http" and app is not None and (middleware or app.exception_handlers):
        from portable.invoke.middleware import GuardedHTTPFunction

        routes: Any = triggers
        return GuardedHTTPFunction(routes, middleware, app.exception_handlers)
    module, name = _HOMES[kind]
    full = f"{__name__}.{module}"
    __import__(full)
    made = getattr(modules[full], name)
    return made(triggers, middleware) if middleware else made(triggers)
