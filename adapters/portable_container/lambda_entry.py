"""The same bundle on AWS Lambda: this framework's own runtime loop, with one function of the bundle.

The function is the first argument, ``PORTABLE_FUNCTIONS`` where that names one, what ``_HANDLER`` names (an image's
command), or the only one there is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from os import environ
from typing import Any

from portable.errors import ConfigError

__all__ = ["choose", "serve"]

_handler: Any = None


def choose(names: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str] = environ) -> str:
    """The function to serve. Raises ConfigError."""
    listed = environment.get("PORTABLE_FUNCTIONS", "")
    for asked in (*arguments[:1], listed, environment.get("_HANDLER", "")):
        name = asked.strip().removeprefix("portable_entry.").replace("_", "-")
        if name in names:
            return name
        if asked in (*arguments[:1], listed) and asked:
            raise ConfigError(f"no function is called {asked!r}; this bundle has {', '.join(names)}")
    if len(names) == 1:
        return names[0]
    raise ConfigError(
        "on Lambda an instance serves one function: set PORTABLE_FUNCTIONS, or the image's command, to one of "
        + ", ".join(names)
    )


def serve(spec: str, function: str, modules: Sequence[str], source: str, *, streams: bool) -> None:
    """Serve invocations until the process is ended. Raises ConfigError when the bundle is not built for AWS."""
    try:
        __import__("portable_aws.runtime_loop")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("portable_aws"):
            raise
        raise ConfigError("this bundle cannot run on Lambda: it is built with --platform aws") from error

    def load() -> Any:
        return sys.modules["portable_aws.runtime"].entry(spec, function, modules, source, streams)

    __import__("portable_aws.runtime")
    # The loop imports its handler by name, and reports to Lambda what that raises.
    environ["_HANDLER"] = f"{__name__}.handler"
    globals()["_load"] = load
    sys.modules["portable_aws.runtime_loop"].main()


def __getattr__(name: str) -> Any:
    global _handler
    if name != "handler" or "_load" not in globals():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _handler is None:
        _handler = globals()["_load"]()
    return _handler
