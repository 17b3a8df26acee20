"""Print an event for a function, as JSON: a neutral one, which `portable invoke`
takes, or with --target the one that cloud sends.

FUNCTION is a function's name, a handler's, or a route ("GET /users/{id}").
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from portable.cli.options import add_project, add_target, chosen_adapter, chosen_project

if TYPE_CHECKING:
    from portable.manifest import FunctionRecord, Manifest, TriggerRecord

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("function", metavar="FUNCTION", help="what takes the event")
    add_target(parser, required=False, help="whose event (default: a neutral one)")
    parser.add_argument("--source", metavar="SOURCE", help="one of the cloud's event sources (http-api, rest-api …)")
    add_project(parser)


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    import msgspec

    from portable.build.description import describe_project
    from portable.build.project import nearest
    from portable.errors import ConfigError
    from portable.samples.neutral import event_document, sample_events

    manifest = describe_project(chosen_project(options)).manifest
    function, position = _find(manifest, options.function)
    event = sample_events(function)[position]
    if options.target is None:
        if options.source:
            raise ConfigError("a neutral event has no source; say --target too")
        document = event_document(function, event)
    else:
        samples = chosen_adapter(options.target).samples
        sources = list(samples.sources(function.kind))
        if options.source and options.source not in sources:
            raise ConfigError(
                f"no source {options.source!r} of {function.kind} events{nearest(options.source, sources)}"
            )
        document = samples.native(function, event, source=options.source)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
    return 0


def _find(manifest: Manifest, wanted: str) -> tuple[FunctionRecord, int]:
    """The function, and which of its triggers is meant. Raises ConfigError naming the nearest one."""
    from portable.build.project import nearest
    from portable.errors import ConfigError

    names: dict[str, tuple[FunctionRecord, int]] = {}
    for function in manifest.functions:
        for position, trigger in enumerate(function.triggers):
            for name in _names(trigger):
                names.setdefault(name, (function, position))
    names.update({function.name: (function, 0) for function in manifest.functions})
    if wanted not in names:
        raise ConfigError(f"app {manifest.app!r} has no function, handler or route {wanted!r}{nearest(wanted, names)}")
    return names[wanted]


def _names(trigger: TriggerRecord) -> list[str]:
    handler = trigger.handler.partition(":")[2]
    if trigger.kind != "http":
        return [handler]
    return [handler, f"{trigger.options['method']} {trigger.options['path']}"]
