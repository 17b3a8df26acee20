"""The functions of the bundle that this process serves, ready to be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portable.app import App, load_app
from portable.errors import ConfigError
from portable.http.answers import choose_encoder
from portable.invoke import make_function
from portable.triggers import HTTPRoute

__all__ = ["Entry", "Function", "Functions"]

Entry = Mapping[str, Any]
"""What the build wrote of a function: ``kind``, ``modules``, ``timeout`` (seconds or None) and ``source``."""


class Function:
    """One function.

    Attributes:
        call: of ``portable.invoke``. triggers: its own. timeout: seconds. cold: True until its first invocation.
        source: how its events come: ``http``, ``poll``, ``push``, ``cron``, ``direct``.
    """

    def __init__(self, app: App, name: str, entry: Entry, triggers: Sequence[Any], timeout: float) -> None:
        self.name = name
        self.kind: str = entry["kind"]
        self.source: str = entry["source"]
        self.triggers = triggers
        self.call: Any = make_function(triggers, app)
        self.timeout: float = entry["timeout"] or timeout
        self.cold = True


class Functions:
    """All of them.

    Args:
        spec: ``module:variable`` of the App. entries: what the build wrote, by name.
        chosen: names of those this process serves; None serves all. timeout: seconds of those that ask for none.

    Attributes:
        app; by_name. http: all routes of all HTTP functions, as one front sees them; None where there are none.

    Raises ConfigError; what the app's own import raises passes through.
    """

    def __init__(self, spec: str, entries: Mapping[str, Entry], chosen: Sequence[str] | None, timeout: float) -> None:
        for name in chosen or ():
            if name not in entries:
                raise ConfigError(f"PORTABLE_FUNCTIONS names {name!r}; this bundle has {', '.join(entries)}")
        names = list(entries) if chosen is None else list(dict.fromkeys(chosen))
        self.app = load_app(spec)
        modules = {module for name in names for module in entries[name]["modules"]}
        grouped = self.app.functions(modules)
        missing = [name for name in names if name not in grouped]
        if missing:
            raise ConfigError(f"app {self.app.name!r} has no function {', '.join(missing)}: was the bundle changed?")
        self.by_name = {name: Function(self.app, name, entries[name], grouped[name], timeout) for name in names}
        routes = [one for name in names for one in grouped[name] if isinstance(one, HTTPRoute)]
        self.http: Any = make_function(routes, self.app) if routes else None
        choose_encoder()

    def of_kind(self, kind: str) -> list[Function]:
        """Those of a trigger kind."""
        return [one for one in self.by_name.values() if one.kind == kind]
