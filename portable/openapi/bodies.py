"""The request body of an operation: JSON, bytes, or a form with its files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

from portable.http.parameters import Binding
from portable.openapi.parameters import default_of, describe_values, examples_of, limits_schema
from portable.openapi.schemas import Schema, Schemas
from portable.signatures import MISSING
from portable.triggers import HTTPRoute

__all__ = ["request_body"]

_BYTES: Schema = {"type": "string", "format": "binary"}
_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"


def request_body(route: HTTPRoute, bindings: Iterable[Binding], schemas: Schemas) -> dict[str, Any]:
    """A Request Body Object; empty where the handler takes none."""
    found = list(bindings)
    form = [binding for binding in found if binding.place in ("form", "file")]
    body = next((binding for binding in found if binding.place == "body"), None)
    if form:
        document = _form(form, schemas)
    elif body is not None:
        document = _body(body, schemas)
    else:
        return {}
    wanted = (route.documentation or {}).get("examples")
    if wanted is not None:
        for one in document["content"].values():
            one["examples"] = examples_of(wanted)
    return document


def _body(body: Binding, schemas: Schemas) -> dict[str, Any]:
    if body.annotation is bytes:
        content: dict[str, Any] = {"application/octet-stream": {"schema": dict(_BYTES)}}
    else:
        annotation = Optional[body.annotation] if body.default is None else body.annotation  # noqa: UP045 - any type
        content = {"application/json": {"schema": schemas.of(annotation)}}
    described = describe_values(body.metadata)
    examples = described.pop("examples", None)
    described.pop("deprecated", None)
    if examples:
        for one in content.values():
            one["examples"] = examples
    required = body.default is MISSING and body.annotation is not bytes  # no bytes are bytes too
    return {**described, "required": required, "content": content}


def _form(form: list[Binding], schemas: Schemas) -> dict[str, Any]:
    """Fields and files as the properties of one object; a model of the whole form stands beside the files."""
    properties: dict[str, Any] = {}
    needed = []
    whole: list[Schema] = []
    for binding in form:
        if binding.is_whole_form:
            whole.append(schemas.of(binding.annotation))
            continue
        properties[binding.name] = _field(binding, schemas)
        if binding.default is MISSING and not (binding.many and binding.place == "form"):
            needed.append(binding.name)
    schema: Schema = {"type": "object", "properties": properties, **({"required": needed} if needed else {})}
    if whole:
        schema = {"allOf": [*whole, schema]} if properties else whole[0]
    with_files = any(binding.place == "file" for binding in form)
    media_types = (_MULTIPART,) if with_files else (_URLENCODED, _MULTIPART)
    required = bool(needed) or any(binding.default is MISSING for binding in form if binding.is_whole_form)
    return {"required": required, "content": {media_type: {"schema": schema} for media_type in media_types}}


def _field(binding: Binding, schemas: Schemas) -> Schema:
    one: Schema = dict(_BYTES) if binding.place == "file" else schemas.of(binding.annotation)
    one.update(limits_schema(binding.limits))
    schema = {"type": "array", "items": one, **limits_schema(binding.many_limits, many=True)} if binding.many else one
    described = describe_values(binding.metadata)
    described.pop("examples", None)
    schema.update(described)
    default = default_of(binding)
    if default is not None:
        schema["default"] = default
    return schema
