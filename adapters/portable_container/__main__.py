"""What a container starts: ``python -m portable_container``, in the folder of the bundle.

    python -m portable_container                 serve: an HTTP server, and workers that poll
    python -m portable_container run FUNCTION    call one function once, and end: a CronJob

Where ``AWS_LAMBDA_RUNTIME_API`` is set it is on Lambda, and serves invocations instead.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from portable.errors import ConfigError, PortableError
from portable.resources import set_platform
from portable_container.runtime import platform

USAGE = "usage: python -m portable_container [run FUNCTION [PAYLOAD]]"


def main(arguments: list[str]) -> int:
    """Serve, or call one function. Returns the exit status: 2 for what is configured wrongly."""
    try:
        try:
            bundle: Any = __import__("portable_entry")
        except ModuleNotFoundError as error:
            if error.name != "portable_entry":
                raise
            raise ConfigError("there is no portable_entry here: start this in the folder of a bundle") from error
        if os.environ.get("AWS_LAMBDA_RUNTIME_API"):
            _serve_lambda(bundle, arguments)
            return 0
        set_platform(opened := platform(name=bundle.PLATFORM))
        try:
            if arguments[:1] == ["run"] and len(arguments) in (2, 3):
                return _run_once(bundle, arguments[1:])
            if arguments:
                sys.stderr.write(f"{USAGE}\n")
                return 2
            _serve(bundle)
        finally:
            opened.close()
    except PortableError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        if error.__cause__ is not None and not isinstance(error, ConfigError):
            import traceback

            traceback.print_exception(error.__cause__)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _serve(bundle: Any) -> None:
    from portable_container.functions import Functions
    from portable_container.server import serve
    from portable_container.settings import Settings

    settings = Settings()
    _log_to_stderr()
    functions = Functions(bundle.SPEC, bundle.FUNCTIONS, settings.functions, settings.timeout)
    if bundle.PLATFORM == "local":
        _subscribe(functions, bundle.SUBSCRIPTIONS)
    serve(functions, settings, bundle.PLATFORM)


def _subscribe(functions: Any, subscriptions: Any) -> None:
    """Nothing is deployed on this machine but the process itself."""
    for function in functions.of_kind("message"):
        for trigger in function.triggers:
            if trigger.source.kind == "topic":
                trigger.source.driver().subscribe(subscriptions[trigger.source.name])


def _serve_lambda(bundle: Any, arguments: list[str]) -> None:
    from portable_container.lambda_entry import choose, serve

    name = choose(list(bundle.FUNCTIONS), arguments)
    entry = bundle.FUNCTIONS[name]
    if not entry.get("lambda"):
        raise ConfigError(f"function {name!r} cannot run on Lambda: the bundle is built with --platform aws for that")
    serve(bundle.SPEC, name, entry["modules"], entry["lambda"], streams=bool(entry.get("streams")))


def _run_once(bundle: Any, arguments: list[str]) -> int:
    from portable_container.once import run_once
    from portable_container.settings import Settings

    _log_to_stderr()
    return run_once(bundle.SPEC, bundle.FUNCTIONS, arguments, Settings())


def _log_to_stderr() -> None:
    """What is worth knowing about the process itself, unless the app logs in a way of its own."""
    import logging

    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
