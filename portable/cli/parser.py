"""The parser of every command, and what an error becomes: one message, and a status a script can read."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from textwrap import fill

import portable
from portable.errors import PortableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["COMMANDS", "end_unread", "main", "make_parser"]

COMMANDS = {
    "new": "a new project that runs and passes its test",
    "dev": "serve the app on this machine, and reload it when it changes",
    "invoke": "call one function on this machine",
    "openapi": "print the OpenAPI document of the app's routes",
    "events": "print an event for a function, neutral or as a cloud sends it",
    "check": "say what the app asks that a target cannot give",
    "plan": "say what changes when the app moves to another target",
    "build": "write the artifact for a target",
    "report": "say what a built artifact weighs, imports, and how fast it starts",
    "deploy": "create or update in a cloud what a build wrote",
    "destroy": "take a deployment away again",
    "run": "run a built artifact under its cloud's own runtime client, here",
    "verify": "build for every target, run each, send the same traffic, compare",
    "doctor": "say what is missing on this machine, and how to get it",
}
"""Each command and its summary. ``portable.cli.<command>`` holds ``add_arguments(parser)`` and ``run(options)``."""

STATUSES = """\
Exit status: 0 done, 1 the answer is no (an error found, a difference),
2 it could not be done."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=79)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """As argparse does, with the targets there are where one is missing."""
        if message.startswith("the following arguments are required: --") and "TARGET" in self.format_usage():
            from portable.plugins import adapters

            message += f"; targets: {', '.join(sorted(name for name, one in adapters().items() if one.builds))}"
        super().error(message)


def make_parser(commands: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of these commands; one is enough to parse a line that begins with it."""
    parser = _Parser(
        prog="portable", description=fill(portable.__doc__ or "", 79), epilog=STATUSES, formatter_class=_Formatter
    )
    parser.add_argument("--version", action="version", version=f"portable {portable.__version__}")
    added = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    for name in commands:
        module = import_module(f"portable.cli.{name}")
        one = added.add_parser(
            name, help=COMMANDS[name], description=module.__doc__, epilog=STATUSES, formatter_class=_Formatter
        )
        module.add_arguments(one)
        one.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    first = given[0] if given else "--help"
    if first not in (*COMMANDS, "-h", "--help", "--version"):
        return _unknown(first)
    parser = make_parser((first,) if first in COMMANDS else tuple(COMMANDS))
    if wrong := _wrong_option(parser, first, given[1:]):
        return _refuse(first, wrong)
    options, unknown = parser.parse_known_args(given or ["--help"])
    if unknown:
        return _refuse(first, f"no place for {unknown[0]!r}; see portable {first} --help")
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except PortableError as error:
        print(f"portable {first}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # what read our output has seen enough of it
        return end_unread()
    return status


def end_unread() -> int:
    """The status of a command whose output nobody reads to its end, so that the interpreter does not say so too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _wrong_option(parser: argparse.ArgumentParser, command: str, given: Sequence[str]) -> str:
    """What to say of the first option that a command has not; "" where there is none. Of a misspelt one argparse would
    say that the right one is missing.
    """
    [commands] = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    known = commands.choices[command]._option_string_actions if command in commands.choices else {}
    for argument in given if known else ():
        name = argument.partition("=")[0]
        if name == "--":
            break
        if name.startswith("--") and not any(one.startswith(name) for one in known):
            from difflib import get_close_matches

            close = get_close_matches(name, known, 1)
            advice = f"did you mean {close[0]}?" if close else f"see portable {command} --help"
            return f"no option {name}; {advice}"
    return ""


def _refuse(command: str, message: str) -> int:
    print(f"portable {command}: {message}", file=sys.stderr)
    return 2


def _unknown(command: str) -> int:
    from difflib import get_close_matches

    close = get_close_matches(command, COMMANDS, 1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(COMMANDS)}"
    print(f"portable: no command {command!r}; {advice}", file=sys.stderr)
    return 2
