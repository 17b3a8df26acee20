"""One route as an operation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from portable.errors import ConfigError
from portable.events import Request
from portable.http.parameters import Binding, describe, flatten, place_of
from portable.idempotency import settings_of
from portable.openapi.answers import answers_of_route
from portable.openapi.bodies import request_body
from portable.openapi.parameters import parameters_of_route, template_of
from portable.openapi.schemas import Schemas
from portable.triggers import HTTPRoute

__all__ = ["SecuritySchemes", "lay_over", "make_operation", "name_of"]

SecuritySchemes = dict[str, Any]


def make_operation(
    route: HTTPRoute, schemas: Schemas, schemes: SecuritySchemes, around: Iterable[Any] = ()
) -> dict[str, Any]:
    """An Operation Object, but for its ``operationId``. Security schemes it names are added to ``schemes``.

    ``around``: the app's middleware, some of which says something of every operation.
    """
    given = route.documentation or {}
    bindings = list(flatten(describe(route)))
    guards = [binding.dependency.function for binding in bindings if binding.dependency]
    guards += [one for one in around if not _leaves_alone(one, route)]
    security = _security(route, guards, schemes)
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
    said = [one for one in (*map(_said_by, guards), _said_of_idempotence(route)) if one]
    parameters = parameters_of_route(route.path, shown, schemas)
    for one in said:
        parameters += deepcopy(list(one.get("parameters", ())))
    if parameters:
        operation["parameters"] = parameters
    body = request_body(route, bindings, schemas)
    if body:
        operation["requestBody"] = body
    answers = {status: meaning for one in said for status, meaning in one.get("responses", {}).items()}
    operation["responses"] = answers_of_route(route, bindings, schemas, answers, secured=bool(security))
    if security:
        operation["security"] = [security]
    return operation


def name_of(route: HTTPRoute) -> str:
    """The handler's name; of one that has none, its method and path in one word."""
    name: str = getattr(route.handler, "__name__", type(route.handler).__name__).strip("_")
    return name if name.isidentifier() else "_".join([route.method.lower(), *re.findall("[A-Za-z0-9]+", route.path)])


def _words(route: HTTPRoute) -> str:
    return name_of(route).replace("_", " ").capitalize()


def _docstring(route: HTTPRoute) -> str:
    """The handler's docstring; a form feed ends what is for readers of the document."""
    text = getattr(route.handler, "__doc__", None)
    if not isinstance(text, str) or (not hasattr(route.handler, "__name__") and text == type(route.handler).__doc__):
        return ""
    first, _, rest = text.strip().partition("\f")[0].partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}".strip()


def _security(route: HTTPRoute, guards: Iterable[Any], schemes: SecuritySchemes) -> dict[str, list[str]]:
    """What a request has to show: every scheme that the app, the route and its dependencies ask for, all at once.

    A guard's ``security_scheme`` has a ``name``, the object ``openapi``, and ``scopes``.
    """
    requirement: dict[str, list[str]] = {}
    for guard in guards:
        scheme = getattr(guard, "security_scheme", None)
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


def _said_by(guard: Any) -> Mapping[str, Any]:
    """What a dependency or a middleware says of every operation it stands before, as its ``openapi_operation``:
    ``parameters``, which are added, and ``responses``, as a route's own.
    """
    said: Mapping[str, Any] = getattr(guard, "openapi_operation", None) or {}
    return said


def _said_of_idempotence(route: HTTPRoute) -> Mapping[str, Any]:
    settings = settings_of(route.handler)
    if settings is None:
        return {}
    answers: dict[int, str] = {422: "The key was used with another payload"}
    if settings.concurrent == "refuse":
        answers[409] = "A request with this key is being worked on"
    if settings.key is not None:  # it is taken from wherever the app says
        return {"responses": answers}
    if settings.required:
        answers[400] = "There is no key, or the request is malformed"
    header = {"name": "Idempotency-Key", "in": "header", "required": settings.required, "schema": {"type": "string"}}
    return {"parameters": [header], "responses": answers}


def _leaves_alone(guard: Any, route: HTTPRoute) -> bool:
    """Whether a middleware lets a route's requests pass unseen."""
    asked = getattr(guard, "leaves_alone", None)
    return asked is not None and bool(asked(Request(route.method, template_of(route.path)[0])))


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
            document[key] = deepcopy(value)
