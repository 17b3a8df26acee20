"""Call one function of the app in this process, over this machine's resources.

The event is JSON, as `portable events FUNCTION` prints it: of a request its
method, path, headers and body; of messages their bodies; of a direct function
the payload itself. Left out, a sample is taken. State is that of `portable
dev`: the project's .portable folder. Exit status 1 when the handler fails.
"""

from __future__ import annotations

import argparse
import atexit
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portable.cli.options import add_project, chosen_project

if TYPE_CHECKING:
    from portable.app import App
    from portable.build.project import Project
    from portable.drivers import Platform
    from portable.events import Response
    from portable.manifest import FunctionRecord

__all__ = ["add_arguments", "run"]

SECONDS = 30.0
"""What a function has that asks for no timeout."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("function", metavar="FUNCTION", help="the function's name")
    parser.add_argument("--event", metavar="FILE", help="the event as JSON; - is standard input (default: a sample)")
    add_project(parser)


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.build.description import imported_app
    from portable.manifest import describe_app
    from portable.samples.neutral import event_of, sample_event

    project = chosen_project(options)
    document = None if options.event is None else _read(options.event)
    with imported_app(project) as app:
        function = describe_app(app, project.spec, project.root).function(options.function)
        event = sample_event(function) if options.event is None else event_of(function, document)
        platform = _platform(project)
        try:
            return _show(function, _call(app, function, event, platform))
        except Exception as error:
            _print_error(error)
            return 1
        finally:
            platform.close()


def _read(name: str) -> Any:
    import msgspec

    from portable.errors import ConfigError

    try:
        return msgspec.json.decode(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name} is not JSON: {error}") from error


def _platform(project: Project) -> Platform:
    import os

    from portable.plugins import adapter

    state = str(project.root / ".portable" / "state")
    return adapter("local").platform({"PORTABLE_LOCAL_STATE": state, **os.environ})


def _call(app: App, function: FunctionRecord, event: Any, platform: Platform) -> Any:
    from uuid import uuid4

    from portable.events import Context, current_context
    from portable.http.answers import choose_encoder
    from portable.invoke import make_function, run_shared
    from portable.resources import use_platform

    deadline = time.time() + (function.timeout or SECONDS)
    context = Context(function.name, str(uuid4()), deadline_at=deadline, cold_start=True, target="local")
    token = current_context.set(context)
    try:
        with use_platform(platform):
            choose_encoder()
            app.life.start(run_shared)
            call = make_function(app.functions()[function.name], app)
            mounts = call.routes.mounts if function.kind == "http" else None
            if mounts is not None:
                mounts.start(run_shared)
                atexit.register(mounts.stop, run_shared)  # its answer may be a stream, which is read later
            value = call(event)
            return run_shared(value) if hasattr(value, "send") else value
    finally:
        current_context.reset(token)


def _show(function: FunctionRecord, value: Any) -> int:
    """Print what a function made of its event; the status to end with."""
    if function.kind in ("http", "socket"):
        return _show_response(value)
    if function.kind in ("message", "stream"):
        for outcome in value:
            print("done" if outcome is None else f"{type(outcome).__name__}: {outcome}")
        return 0 if all(outcome is None for outcome in value) else 1
    if function.kind == "direct":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(value)).decode())
    elif function.kind == "blob" and value == 0:
        print("no handler takes this event: see prefix, suffix and kinds")
    elif function.kind == "change" and value == 0:
        print("no handler takes this event: deletions go to those with old=True")
    else:
        print("done")
    return 0


def _show_response(response: Response) -> int:
    print(response.status)
    for name, value in response.header_pairs():
        print(f"{name}: {value}")
    print(flush=True)
    body = response.body or b""
    sys.stdout.buffer.write(body.encode() if isinstance(body, str) else bytes(body))
    sys.stdout.buffer.flush()
    if sys.stdout.isatty():
        print()
    return 0 if response.status < 500 else 1


def _print_error(error: Exception) -> None:
    """The handler's own frames and the error: ours say nothing to who wrote the handler."""
    own = str(Path(__file__).parent.parent)
    summary = traceback.TracebackException.from_exception(error)
    kept = [frame for frame in summary.stack if not frame.filename.startswith(own)]
    summary.stack = traceback.StackSummary.from_list(kept)
    print("".join(summary.format()), end="", file=sys.stderr)
