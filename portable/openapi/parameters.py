"""Path, query, header and cookie parameters of an operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portable.http.parameters import Binding
from portable.http.routing import parse_path
from portable.jsontext import to_values
from portable.openapi.query_models import query_fields
from portable.openapi.schemas import Schema, Schemas
from portable.signatures import MISSING

__all__ = ["default_of", "describe_values", "examples_of", "limits_schema", "parameters_of_route", "template_of"]

_PLACES = ("path", "query", "header", "cookie")
_NOT_PARAMETERS = ("accept", "content-type", "authorization")  # OpenAPI says of these: elsewhere, or not at all
_CONVERTED: dict[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "uuid": {"type": "string", "format": "uuid"},
    "str": {"type": "string"},
    "path": {"type": "string"},
}
_LIMITS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}


def template_of(path: str) -> tuple[str, dict[str, str]]:
    """A declared path as OpenAPI writes it, and its parameters with their converters."""
    segments = parse_path(path)
    written = "".join(f"/{{{text}}}" if converter else f"/{text}" for converter, text in segments)
    return written, {name: converter for converter, name in segments if converter}


def parameters_of_route(path: str, bindings: Iterable[Binding], schemas: Schemas) -> list[dict[str, Any]]:
    """Each parameter once, whoever asks for it, those of the path first. One the handler does not take is there too."""
    _, in_path = template_of(path)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for binding in bindings:
        name = binding.name.lower() if binding.place == "header" else binding.name
        if binding.place not in _PLACES or (binding.place == "header" and name in _NOT_PARAMETERS):
            continue
        whole = binding.is_whole_query
        for one in query_fields(binding.annotation, schemas) if whole else [_parameter(binding, schemas)]:
            known = found.setdefault((binding.place, one["name"] if whole else name), one)
            if one.get("required") and known is not one:
                known["required"] = True
    for name, converter in in_path.items():
        schema = dict(_CONVERTED[converter])
        found.setdefault(("path", name), {"name": name, "in": "path", "required": True, "schema": schema})
    order = {name: position for position, name in enumerate(in_path)}
    return sorted(
        found.values(), key=lambda one: (one["in"] != "path", order.get(one["name"], 0) if one["in"] == "path" else 0)
    )


def _parameter(binding: Binding, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.of(binding.annotation)
    schema.update(limits_schema(binding.limits))
    if binding.many:
        schema = {"type": "array", "items": schema, **limits_schema(binding.many_limits, many=True)}
    required = binding.place == "path" or (binding.default is MISSING and not binding.many)
    described = describe_values(binding.metadata)
    examples = described.pop("examples", None)
    parameter: dict[str, Any] = {"name": binding.name, "in": binding.place, "required": required, **described}
    if examples is not None:
        parameter["examples"] = examples
    default = default_of(binding)
    if default is not None:
        schema["default"] = default
    return {**parameter, "schema": schema}


def default_of(binding: Binding) -> Any:
    """A parameter's default as JSON has it; None where there is none, or JSON has no words for it."""
    if binding.default is MISSING or binding.default is None or binding.place == "path":
        return None
    try:
        return to_values(binding.default)
    except (TypeError, ValueError):
        return None


def limits_schema(limits: dict[str, Any], *, many: bool = False) -> Schema:
    """What JSON Schema calls the limits of ``portable.http.constraints``; a time's zone has no word there."""
    schema: Schema = {}
    for name, limit in limits.items():
        if name in _LIMITS:
            schema[_LIMITS[name]] = to_values(limit)
        elif name != "tz":
            schema[name.split("_")[0] + ("Items" if many else "Length")] = limit
    return schema


def describe_values(metadata: Iterable[Any]) -> dict[str, Any]:
    """``description``, ``deprecated`` and ``examples`` that the metadata of an ``Annotated`` holds, as OpenAPI's."""
    described: dict[str, Any] = {}
    for one in metadata:
        if isinstance(one, type):
            continue
        description = getattr(one, "description", None)
        if isinstance(description, str) and description:
            described["description"] = description
        if getattr(one, "deprecated", None):
            described["deprecated"] = True
        examples = getattr(one, "examples", None)
        if examples and not callable(examples):
            described["examples"] = examples_of(examples)
    return described


def examples_of(examples: Any) -> dict[str, Any]:
    """OpenAPI's examples: of a list, numbered; of a mapping, named. A value may be an Example Object itself."""
    named = examples.items() if hasattr(examples, "items") else ((str(n), one) for n, one in enumerate(examples, 1))
    found = {}
    for name, one in named:
        is_object = isinstance(one, dict) and "value" in one and one.keys() <= {"value", "summary", "description"}
        found[str(name)] = to_values(one if is_object else {"value": one})
    return found
