"""Environment variables that an app reads while it is imported."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping

from portable.build.project import Project, merged

__all__ = ["declared_variables", "missing_variable", "unset_variable", "variables_set"]

_UNSET = re.compile(
    r"""File "(?:<frozen os>|[^"\n]*[/\\]os\.py)", line \d+, in __getitem__\n(?:.*\n)*KeyError: '([^'\n]+)'"""
)


def declared_variables(project: Project, target: str) -> dict[str, str]:
    """What the settings give to any function of a target, as one environment: importing the app is one process here.

    Of a variable that two functions have of their own, the last one's. What is no text is left out; it is refused where
    the settings are read for a deployment.
    """
    found: dict[str, str] = {}
    tables = [project.table("functions"), project.settings(target).get("functions", {})]
    asked = merged(*(table if isinstance(table, Mapping) else {} for table in tables))
    for name in sorted(asked):  # "*" is before all names
        own = asked[name].get("environment") if isinstance(asked[name], Mapping) else None
        given = own.items() if isinstance(own, Mapping) else ()
        found |= {variable: value for variable, value in given if isinstance(value, str)}
    return found


@contextlib.contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with ``variables`` for the length of the block. Not safe under threads."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def missing_variable(error: BaseException) -> str:
    """The variable that ``os.environ[…]`` did not have, "" for any other error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if not isinstance(error, KeyError) or trace is None or trace.tb_frame.f_globals.get("__name__") != "os":
        return ""
    return str(error.args[0]) if error.args else ""


def unset_variable(text: str) -> str:
    """The same of a traceback that another process printed."""
    found = _UNSET.search(text if text.endswith("\n") else f"{text}\n")
    return found[1] if found else ""
