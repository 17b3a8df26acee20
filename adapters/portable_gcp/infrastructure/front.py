"""What stands before an app whose HTTP is split into several functions: a load balancer that knows its routes.

https://cloud.google.com/load-balancing/docs/url-map-concepts: route rules are looked at by priority, so they are in the
order in which the app's own routing would find them. A route whose path belongs to one function goes there with every
method, so that the function answers HEAD, OPTIONS and 405.
"""

from __future__ import annotations

from typing import Any

from portable.build.deployment import Deployment
from portable.http.mounts import ANY
from portable.http.routing import parse_path
from portable.manifest import TriggerRecord
from portable_gcp.infrastructure.names import Names

__all__ = ["front_of"]

_ORDER = ("", "int", "float", "uuid", "str", "path")


def front_of(deployment: Deployment, names: Names) -> dict[str, Any]:
    """Its name, domain, functions and rules; empty where one function or none takes HTTP."""
    http = [one for one in deployment.manifest.functions if one.kind == "http"]
    if len(http) < 2:
        return {}
    owners: dict[str, dict[str, list[str]]] = {}  # by path template: function to methods
    ranks: dict[str, tuple[Any, ...]] = {}
    for function in http:
        for trigger in function.triggers:
            template, rank = _template(trigger)
            ranks[template] = rank
            owners.setdefault(template, {}).setdefault(function.name, []).append(trigger.options["method"])
    rules: list[dict[str, Any]] = []
    for template in sorted(owners, key=lambda one: (ranks[one], one)):
        for function_name, methods in owners[template].items():
            if len(owners[template]) == 1:
                rules.append({"path": template, "function": function_name})
            else:
                rules += [{"path": template, "method": method, "function": function_name} for method in methods]
    names_of_http = [one.name for one in http]
    return {
        "id": names.trigger("front"),
        "certificate": names.certificate(),
        "domain": deployment.settings.get("domain", ""),
        "functions": {name: names.trigger(f"front-{name}") for name in names_of_http},
        "default": "http" if "http" in names_of_http else names_of_http[0],
        "rules": rules,
    }


def _template(trigger: TriggerRecord) -> tuple[str, tuple[Any, ...]]:
    """A path as the load balancer matches it, and its place in the order: mounts last, the longest prefix first."""
    path = trigger.options["path"]
    if trigger.options["method"] == ANY:
        return f"{path.rstrip('/')}/**", (1, -len(path))
    segments = parse_path(path)
    shown = [{"": text, "path": "**"}.get(converter, "*") for converter, text in segments]
    return "/" + "/".join(shown), (0, [(_ORDER.index(converter), text) for converter, text in segments])
