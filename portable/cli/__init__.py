"""The command line: parse, call, print. Nothing is imported for a command but what it runs."""

from portable.cli.start import main

__all__ = ["main"]
