"""The whole document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from portable.app import App
from portable.errors import ConfigError
from portable.http.parameters import place_of
from portable.jsontext import encode_text
from portable.openapi.answers import phrase_of
from portable.openapi.operations import SecuritySchemes, lay_over, make_operation, name_of
from portable.openapi.parameters import template_of
from portable.openapi.schemas import Schemas
from portable.router import METHODS
from portable.triggers import HTTPRoute

__all__ = ["VERSION", "make_document", "project_info"]

VERSION = "3.1.0"
"""3.1.1 changed no meaning, and tools that compare text know this one."""


def make_document(app: App, info: Mapping[str, Any] | None = None, servers: Iterable[str] = ()) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an app. Imports every router it includes by name.

    ``info``: ``title``, ``version``, ``description`` …, where the app's own ``openapi=`` says nothing. ``servers``:
    their URLs. Raises ConfigError for what cannot be bound or described.
    """
    schemas, schemes = Schemas(), SecuritySchemes()
    routes = [
        route
        for route in app.collect()
        if isinstance(route, HTTPRoute)
        and route.method in METHODS  # a mounted application documents itself
        and (route.documentation or {}).get("include_in_schema", True)
    ]
    around = [one for kinds, one in app.middlewares if "http" in kinds]
    operations = [(route, make_operation(route, schemas, schemes, around)) for route in routes]
    for (route, operation), name in zip(operations, _operation_ids(routes), strict=True):
        _insert_after(operation, "tags", "operationId", name)
        lay_over(operation, (route.documentation or {}).get("openapi") or {})
    document: dict[str, Any] = {
        "openapi": VERSION,
        "info": {"title": app.name, "version": "0.1.0", **(info or {})},
    }
    urls = [{"url": url} for url in servers]
    if urls:
        document["servers"] = urls
    document["paths"] = _paths(operations)
    components: dict[str, Any] = {}
    if written := schemas.finish():
        components["schemas"] = written
    if shared := _share_answers([operation for _, operation in operations]):
        components["responses"] = shared
    if schemes:
        components["securitySchemes"] = dict(schemes)
    if components:
        document["components"] = components
    lay_over(document, app.openapi)
    if urls:
        document["servers"] = urls
    return document


def project_info(pyproject: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``pyproject.toml`` says of the project, as the ``info`` of its document."""
    table = pyproject.get("project") or {}
    found = {"version": table.get("version"), "summary": table.get("description")}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _share_answers(operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors that several operations answer with, said once: most routes refuse the same things."""
    counts = Counter(
        (code, encode_text(answer))
        for operation in operations
        for code, answer in operation["responses"].items()
        if code[0] not in "23"
    )
    shared: dict[str, Any] = {}
    for operation in operations:
        for code, answer in operation["responses"].items():
            text = encode_text(answer)
            if counts[code, text] > 1:
                name = "".join(word.capitalize() for word in phrase_of(code).replace("-", " ").split())
                if shared.setdefault(name, answer) is answer or encode_text(shared[name]) == text:
                    operation["responses"][code] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _insert_after(operation: dict[str, Any], after: str, key: str, value: Any) -> None:
    """Put a key where readers look for it: before the summary."""
    rest = {name: operation.pop(name) for name in list(operation) if name != after}
    operation[key] = value
    operation.update(rest)


def _paths(operations: list[tuple[HTTPRoute, dict[str, Any]]]) -> dict[str, Any]:
    """Operations by path and method. Two paths that differ in the names of their parameters alone are one to OpenAPI:
    the first one's names are used. Where both have the method, told apart by a converter (``{n:int}`` beside
    ``{name}``), which OpenAPI lacks, the later one's parameters bear its converter.
    """
    paths: dict[str, dict[str, Any]] = {}
    by_shape: dict[str, str] = {}
    for route, operation in operations:
        path, names = template_of(route.path)
        shape = path
        for name in names:
            shape = shape.replace(f"{{{name}}}", "{}")
        first = by_shape.setdefault(shape, path)
        method = route.method.lower()
        if first != path and method not in paths[first]:
            _rename(operation, dict(zip(names, template_of(first)[1], strict=True)))
            path = first
        elif method in paths.get(path, ()):
            _rename(operation, renamed := {name: f"{name}_{converter}" for name, converter in names.items()})
            for name, new in renamed.items():
                path = path.replace(f"{{{name}}}", f"{{{new}}}")
        paths.setdefault(path, {})[method] = operation
    return paths


def _rename(operation: dict[str, Any], names: Mapping[str, str]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = names.get(parameter["name"], parameter["name"])


def _operation_ids(routes: list[HTTPRoute]) -> list[str]:
    """The handler's name, where it is one handler's and method's; else with the method, and with the path."""
    wanted = [(route.documentation or {}).get("operation_id") for route in routes]
    for name, count in Counter(name for name in wanted if name).items():
        if count > 1:
            places = [place_of(route) for route, one in zip(routes, wanted, strict=True) if one == name]
            raise ConfigError(f"operation_id {name!r} is there {count} times: {', '.join(places)}")
    plain = [name_of(route) for route in routes]
    longer = [f"{name}_{route.method.lower()}" for name, route in zip(plain, routes, strict=True)]
    longest = [
        "_".join([name, *re.findall("[A-Za-z0-9]+", route.path)]) for name, route in zip(longer, routes, strict=True)
    ]
    found: list[str] = []
    for position, given in enumerate(wanted):
        choices = [names[position] for names in (plain, longer) if names.count(names[position]) == 1]
        free = (name for name in choices if name not in wanted)
        found.append(given or next(free, longest[position]))
    return _told_apart(found)


def _told_apart(names: list[str]) -> list[str]:
    """Numbers for what is still the same."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found
