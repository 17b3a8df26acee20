"""A model of the whole query as the parameters it stands for: one a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_type_hints

import msgspec
import msgspec.inspect

from portable.jsontext import is_pydantic, to_values
from portable.openapi.schemas import Schema, Schemas
from portable.signatures import split_annotated

__all__ = ["query_fields"]


def query_fields(annotation: Any, schemas: Schemas) -> list[dict[str, Any]]:
    """Parameter Objects of a model's fields, by the names they have in the query."""
    model = split_annotated(annotation)[0]
    fields = _pydantic_fields(model, schemas) if is_pydantic(model) else _msgspec_fields(model, schemas)
    return [{"name": name, "in": "query", "required": required, "schema": schema} for name, required, schema in fields]


def _pydantic_fields(model: Any, schemas: Schemas) -> Iterator[tuple[str, bool, Schema]]:
    for name, field in model.model_fields.items():
        kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        schema = schemas.of_pydantic(kind)
        if field.description:
            schema["description"] = field.description
        yield field.alias or name, field.is_required(), _with_default(schema, field.default)


def _msgspec_fields(model: Any, schemas: Schemas) -> Iterator[tuple[str, bool, Schema]]:
    info: Any = msgspec.inspect.type_info(model)
    hints = get_type_hints(getattr(model, "__origin__", model), include_extras=True)
    for field in info.fields:
        schema = schemas.of(hints.get(field.name, Any))
        yield field.encode_name, field.required, _with_default(schema, field.default)


def _with_default(schema: Schema, default: Any) -> Schema:
    try:
        value = to_values(default)
    except (TypeError, ValueError):  # libraries' marks of none at all
        return schema
    if value is not None:
        schema["default"] = value
    return schema
