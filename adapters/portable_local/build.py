"""The local bundle: one folder, whose ``portable_entry.py`` runs one function in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portable.build.pythons import CURRENT
from portable.build.target import Bundle, Finding
from portable.manifest import Manifest
from portable_local.capabilities import BOUNDS, CAPABILITIES
from portable_local.limits import PYTHONS

__all__ = ["ENTRY", "TARGET", "LocalTarget"]

ENTRY = "portable_entry.py"

_ENTRY = '''"""The functions of app {app!r}, for the local worker: python -I -S {file} FUNCTION."""

import os
import sys

SPEC = {spec!r}

# By name: the routers included by name that hold its handlers, and its event source.
FUNCTIONS = {{
{functions}
}}

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from portable_local.worker import serve

    serve(SPEC, sys.argv[1], *FUNCTIONS[sys.argv[1]])
'''


class LocalTarget:
    """See ``portable.build.target.BuildTarget``. The default Python is the one this process runs on."""

    name = "local"
    pythons: Sequence[str] = tuple(dict.fromkeys((CURRENT, *PYTHONS)))
    reserved = frozenset({"portable_entry"})
    dependency_folder = ""
    loads = (
        "import portable_entry as e; from portable_local.runtime import entry; "
        "entry(e.SPEC, {function}, *e.FUNCTIONS[{function}])"
    )
    adapter_packages: Sequence[str] = ("portable_local",)
    known_settings: Sequence[str] = ()
    bounds = BOUNDS
    capabilities = CAPABILITIES

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:  # noqa: ARG002
        """Nothing here stands before a function and asks who calls."""
        return [
            Finding(
                "warning",
                trigger.where,
                f"{trigger.options['method']} {trigger.options['path']} asks for auth={trigger.options['auth']!r}; "
                "this machine answers every caller on loopback",
                "test the refusal in a cloud, or in the handler",
            )
            for function in manifest.functions
            for trigger in function.triggers
            if trigger.options.get("auth", "public") != "public"
        ]

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        """None: the drivers use the standard library."""
        return ()

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:  # noqa: ARG002
        """Nothing is left out."""
        return {}

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:  # noqa: ARG002
        """One bundle with every function."""
        functions = "\n".join(
            f"    {function.name!r}: ({tuple(function.modules)!r}, {function.kind!r}),"
            for function in manifest.functions
        )
        text = _ENTRY.format(app=manifest.app, file=ENTRY, spec=manifest.spec, functions=functions)
        sources = {function.name: function.kind for function in manifest.functions}
        return [Bundle("", sources, {ENTRY: text.encode()})]


TARGET = LocalTarget()
