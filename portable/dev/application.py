"""The project's app in this process: every function of it, ready to be called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from portable.app import App, load_app
from portable.drivers import Platform
from portable.errors import ConfigError
from portable.http.answers import choose_encoder
from portable.invoke import make_function
from portable.invoke.http import HTTPFunction
from portable.manifest import FunctionRecord, describe_app, place
from portable.run.delivery import open_resource
from portable.triggers import BlobTrigger, ChangeTrigger, HTTPRoute, MessageTrigger, SocketTrigger, Trigger

__all__ = ["CONTROL", "SIGNED", "TIMEOUT", "Application", "DevFunction"]

CONTROL = "/_portable"
"""Where this server's own pages are. A route of the app's below it is never reached."""

SIGNED = f"{CONTROL}/signed"
"""Where signed URLs of buckets lead: not pages, so whoever has one may use it."""

TIMEOUT = 30.0
"""Seconds a function has that asks for no timeout: what an API Gateway waits, as ``portable run`` does."""


class DevFunction:
    """One function.

    Attributes:
        record: as the manifest has it. triggers: its own. call: of ``portable.invoke``. timeout: seconds.
        cold: True until its first invocation.
    """

    def __init__(self, app: App, record: FunctionRecord, triggers: list[Trigger]) -> None:
        self._app = app
        self.name = record.name
        self.kind = record.kind
        self.record = record
        self.triggers = triggers
        self.call: Any = make_function(triggers, app)
        self.timeout = TIMEOUT if record.timeout is None else record.timeout
        self.cold = True

    def of_trigger(self, trigger: Trigger) -> Any:
        """The call of one trigger alone: one schedule of several that share a function."""
        return self.call if len(self.triggers) == 1 else make_function([trigger], self._app)


class Application:
    """The app of a project.

    Raises ConfigError for what it declares wrongly; what its own import raises passes through.

    Attributes:
        app, manifest, root; functions: by name. http: all routes of all functions, as one front sees them.
        warnings: what is odd about it here, for people.
    """

    def __init__(self, root: Path, spec: str) -> None:
        self.root = root
        module = spec.partition(":")[0]
        if str(root) not in sys.path[:1]:
            sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        base = root.joinpath(*module.split("."))
        if not base.with_suffix(".py").is_file() and not base.is_dir():
            raise ConfigError(
                f"no module {module!r} in {root}; name the App as module:variable, on the command line "
                'or by `[tool.portable] app = "…"` in pyproject.toml'
            )
        self.app = load_app(spec)
        self.manifest = describe_app(self.app, spec, root)
        grouped = self.app.functions()
        self.functions = {name: DevFunction(self.app, self.manifest.function(name), grouped[name]) for name in grouped}
        routes = [route for triggers in grouped.values() for route in triggers if isinstance(route, HTTPRoute)]
        self.http: HTTPFunction = make_function(routes, self.app) if routes else HTTPFunction(routes)
        self.warnings = [
            f"{route.method} {route.path} at {place(route.where, root)} is never reached here: "
            f"{CONTROL}/ is this server's own"
            for route in routes
            if route.path == CONTROL or route.path.startswith(f"{CONTROL}/")
        ]
        choose_encoder()

    def triggers(self, kind: type[Any]) -> list[tuple[DevFunction, Any]]:
        """Every trigger of a kind, and its function."""
        return [
            (function, trigger)
            for function in self.functions.values()
            for trigger in function.triggers
            if isinstance(trigger, kind)
        ]

    def socket(self, path: str) -> DevFunction | None:
        """The function of the websocket at a path."""
        for function, trigger in self.triggers(SocketTrigger):
            if trigger.path == path:
                return function
        return None

    def queues(self) -> list[tuple[DevFunction, MessageTrigger]]:
        """The triggers that are queues or topics."""
        return self.triggers(MessageTrigger)

    def subscribe(self, platform: Platform) -> None:
        """Make the subscriptions of the app's topics what its handlers are."""
        for topic in self.manifest.of_kind("topic"):
            self.driver(platform, "topic", topic.name).subscribe(self.manifest.subscriptions(topic.name))

    def buckets(self) -> list[tuple[DevFunction, Any]]:
        """Each function with blob triggers, once for each bucket it listens to."""
        found: dict[tuple[str, str], tuple[DevFunction, Any]] = {}
        for function, trigger in self.triggers(BlobTrigger):
            found.setdefault((function.name, trigger.bucket.name), (function, trigger.bucket))
        return list(found.values())

    def tables(self) -> list[tuple[DevFunction, str]]:
        """Each function with change triggers, once for each table it listens to."""
        pairs = ((function, trigger.table.name) for function, trigger in self.triggers(ChangeTrigger))
        return list({(function.name, table): (function, table) for function, table in pairs}.values())

    def driver(self, platform: Platform, kind: str, name: str) -> Any:
        """The driver of a declared resource. Raises ConfigError when there is none of that name."""
        return open_resource(platform, self.manifest.resource(kind, name))
