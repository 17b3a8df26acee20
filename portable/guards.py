"""The checks before an app's routes, as data: which they are, what they ask, and which route each stands before."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from portable.app import App
from portable.errors import ConfigError
from portable.events import Request
from portable.http.parameters import describe, flatten
from portable.http.routing import parse_path
from portable.resources import Resource
from portable.security.guard import Guard
from portable.triggers import HTTPRoute, Trigger
from portable.uses import in_project

__all__ = ["GuardRecord", "declared_by_guards", "guards_of", "security_of"]


class GuardRecord(msgspec.Struct):
    """A check, by the name of its scheme. ``kind``: jwt, api-key or basic. ``spec``: ``module:variable`` of it, "" for
    one that is no global of the project.

    Of a jwt: the ``issuer`` and ``audience`` that are texts in the code, ``algorithms``, ``audience_claim``; whether
    its keys are found by the issuer (``discovers``), and whether another claim gives scopes too (``roles``).
    """

    name: str
    kind: str
    spec: str
    issuer: str | None = None
    audience: list[str] = []
    algorithms: list[str] = []
    audience_claim: str = ""
    discovers: bool = False
    roles: bool = False


def declared_by_guards(app: App, triggers: Iterable[Trigger]) -> Iterator[Resource]:
    """What the checks of these handlers read."""
    for trigger in triggers:
        if isinstance(trigger, HTTPRoute):
            for guard in (*_before(app, trigger), *_optional(trigger)):
                yield from guard.resources


def guards_of(app: App, triggers: Iterable[Trigger], root: Path) -> list[GuardRecord]:
    """The checks with a security scheme, each once. Raises ConfigError for two tokens' checks of one name."""
    found: dict[str, GuardRecord] = {}
    for trigger in triggers:
        for guard in _with_scheme(app, trigger) if isinstance(trigger, HTTPRoute) else ():
            origin = getattr(guard, "bearer", guard)
            record = _record(origin, _spec_of(origin, root))
            known = found.setdefault(guard.name, record)
            if known != msgspec.structs.replace(record, spec=known.spec):
                where = f"{trigger.function} at {trigger.where[0]}:{trigger.where[1]}"
                raise ConfigError(
                    f"{where}: two different checks are both called {guard.name!r}; give one of them another name="
                )
    return list(found.values())


def security_of(app: App, route: HTTPRoute) -> list[dict[str, Any]]:
    """What a request of this route has to show, all of it: the schemes' names, each with its scopes."""
    asked: dict[str, list[str]] = {}
    for guard in _with_scheme(app, route):
        scopes = asked.setdefault(guard.name, [])
        scopes += [scope for scope in guard.security_scheme.scopes if scope not in scopes]
    return [{"scheme": name, "scopes": scopes} for name, scopes in asked.items()]


def _with_scheme(app: App, route: HTTPRoute) -> Iterator[Guard]:
    return (guard for guard in _before(app, route) if hasattr(guard, "security_scheme"))


def _before(app: App, route: HTTPRoute) -> Iterator[Guard]:
    """The app's, then what the route depends on."""
    parts = parse_path(route.path)
    shown = Request(route.method, "/" + "/".join(f"{{{name}}}" if kind else name for kind, name in parts))
    for kinds, one in app.middlewares:
        if "http" in kinds and isinstance(one, Guard) and not one.leaves_alone(shown):
            yield one
    for binding in flatten(describe(route)):
        if binding.dependency is not None and isinstance(binding.dependency.function, Guard):
            yield binding.dependency.function


def _optional(route: HTTPRoute) -> Iterator[Guard]:
    for binding in flatten(describe(route)):
        owner = getattr(binding.dependency and binding.dependency.function, "__self__", None)
        if isinstance(owner, Guard):
            yield owner


def _spec_of(guard: Guard, root: Path) -> str:
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is guard:
                file = getattr(module, "__file__", None)
                if file is not None and in_project(file, root):
                    return f"{module.__name__}:{name}"
    return ""


def _record(guard: Guard, spec: str) -> GuardRecord:
    kind = guard.security_scheme.openapi
    if kind.get("scheme") != "bearer":
        return GuardRecord(guard.name, "basic" if kind.get("scheme") == "basic" else "api-key", spec)
    told: Any = guard
    return GuardRecord(
        guard.name,
        "jwt",
        spec,
        issuer=told.issuer if isinstance(told.issuer, str) else None,
        audience=list(told.audience) if isinstance(told.audience, tuple) else [],
        algorithms=list(told.algorithms),
        audience_claim=told.audience_claim,
        discovers=told.discovers,
        roles=bool(told.roles),
    )
