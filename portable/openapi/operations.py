"""One route as an operation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from portable.errors import ConfigError
from portable.http.parameters import Binding, describe, flatten, place_of
from portable.openapi.answers import answers_of_route
from portable.openapi.parameters import describe_values, examples_of, parameters_of_route
from portable.openapi.schemas import Schemas
from portable.signatures import MISSING
from portable.triggers import HTTPRoute

__all__ = ["SecuritySchemes", "lay_over", "make_operation"]

SecuritySchemes = dict[str, Any]


def make_operation(route: HTTPRoute, schemas: Schemas, schemes: SecuritySchemes) -> dict[str, Any]:
    """An Operation Object, but for its ``operationId``. Security schemes it names are added to ``schemes``."""
    given = route.documentation or {}
    bindings = list(flatten(describe(route)))
    security = _security(route, bindings, schemes)
    operation: dict[str, Any] = {}
    tags = list(dict.fromkeys([*route.tags, *given.get("tags", ())]))
    if tags:
        operation["tags"] = tags
    operation["summary"] = given.get("summary") or _words(route)
    description = given.get("description") or _docstring(route)
    if description:
        operation["description"] = description
    if given.get("deprecated"):
        operation["deprecated"] = True
    shown = [binding for binding in bindings if not _is_credential(binding, schemes)]
    parameters = parameters_of_route(route.path, shown, schemas)
    if parameters:
        operation["parameters"] = parameters
    body = _request_body(route, bindings, schemas)
    if body:
        operation["requestBody"] = body
    operation["responses"] = answers_of_route(route, bindings, schemas, secured=bool(security))
    if security:
        operation["security"] = [security]
    return operation


def _words(route: HTTPRoute) -> str:
    name = getattr(route.handler, "__name__", type(route.handler).__name__).strip("_")
    return name.replace("_", " ").capitalize() or f"{route.method} {route.path}"


def _docstring(route: HTTPRoute) -> str:
    """The handler's docstring; a form feed ends what is for readers of the document."""
    text = getattr(route.handler, "__doc__", None)
    if not isinstance(text, str) or (not hasattr(route.handler, "__name__") and text == type(route.handler).__doc__):
        return ""
    first, _, rest = text.strip().partition("\f")[0].partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}".strip()


def _request_body(route: HTTPRoute, bindings: Iterable[Binding], schemas: Schemas) -> dict[str, Any]:
    body = next((binding for binding in bindings if binding.place == "body"), None)
    if body is None:
        return {}
    if body.annotation is bytes:
        content: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    else:
        annotation = Optional[body.annotation] if body.default is None else body.annotation  # noqa: UP045 - any type
        content = {"application/json": {"schema": schemas.of(annotation)}}
    described = describe_values(body.metadata)
    examples = described.pop("examples", None)
    wanted = (route.documentation or {}).get("examples")
    if wanted is not None:
        examples = examples_of(wanted)
    if examples:
        for one in content.values():
            one["examples"] = examples
    described.pop("deprecated", None)
    return {**described, "required": body.default is MISSING, "content": content}


def _security(route: HTTPRoute, bindings: Iterable[Binding], schemes: SecuritySchemes) -> dict[str, list[str]]:
    """What a request has to show: every scheme that the route and its dependencies ask for, all of them at once."""
    requirement: dict[str, list[str]] = {}
    for binding in bindings:
        scheme = scheme_of(binding)
        if scheme is None:
            continue
        known = schemes.setdefault(scheme.name, scheme.openapi)
        if known != scheme.openapi:
            raise ConfigError(
                f"{place_of(route)}: two different security schemes are both called {scheme.name!r}; name one otherwise"
            )
        scopes = requirement.setdefault(scheme.name, [])
        scopes += [scope for scope in scheme.scopes if scope not in scopes]
    return requirement


def scheme_of(binding: Binding) -> Any:
    """The ``security_scheme`` a dependency's function carries: ``name``, ``openapi``, ``scopes``; None without one."""
    return getattr(binding.dependency.function, "security_scheme", None) if binding.dependency else None


def _is_credential(binding: Binding, schemes: SecuritySchemes) -> bool:
    """Whether a parameter is what a security scheme already says."""
    return any(
        scheme.get("type") == "apiKey"
        and scheme.get("in") == binding.place
        and str(scheme.get("name")).lower() == binding.name.lower()
        for scheme in schemes.values()
    )


def lay_over(document: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay ``more`` over a document: objects are merged, all else replaced, and None removes."""
    for key, value in more.items():
        known = document.get(key)
        if value is None:
            document.pop(key, None)
        elif isinstance(known, dict) and isinstance(value, Mapping):
            lay_over(known, value)
        else:
            document[key] = value
