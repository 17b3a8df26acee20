"""The schemas of a document: every type is asked for first, then all are written at once, so that names can be told
apart. msgspec writes its own and the standard library's types, pydantic its own; both share ``components``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import msgspec.inspect

from portable.errors import ConfigError
from portable.jsontext import is_pydantic

__all__ = ["PROBLEM", "Schema", "Schemas"]

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]

_REF = "#/components/schemas/"
_FOREIGN = "portable:"  # in a $ref: a type that another library writes
_ANYTHING = f"{_FOREIGN}anything"
_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"

PROBLEM: Schema = {
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 says it.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "description": "Each part of the request that does not fit.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "in": {"type": "string", "enum": ["path", "query", "header", "cookie", "body"]},
                    "name": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "status"],
}


class Schemas:
    """Asked for with :meth:`of`, which gives an empty schema each; :meth:`finish` fills them in."""

    def __init__(self) -> None:
        self._msgspec: list[tuple[Any, Schema]] = []
        self._pydantic: list[tuple[Any, Mode, Schema]] = []
        self._problems: list[Schema] = []

    def of(self, annotation: Any, mode: Mode = "validation") -> Schema:
        """The schema of a type, later. ``mode``: of what is read, or of what is written. Raises TypeError for a type
        that JSON knows nothing of.
        """
        if is_pydantic(annotation):
            return self.of_pydantic(annotation, mode)
        schema: Schema = {}
        if annotation is object:
            annotation = Any
        msgspec.json.schema_components((annotation,), schema_hook=_foreign_hook([]))
        self._msgspec.append((annotation, schema))
        return schema

    def of_pydantic(self, annotation: Any, mode: Mode = "validation") -> Schema:
        """The schema of a type as pydantic writes it, later: of a model's field, with what that says."""
        schema: Schema = {}
        self._pydantic.append((annotation, mode, schema))
        return schema

    def problem(self) -> Schema:
        """The schema of an error's answer, later."""
        schema: Schema = {}
        self._problems.append(schema)
        return schema

    def finish(self) -> dict[str, Schema]:
        """Fill in every schema, and return the components. What a schema said meanwhile is kept."""
        foreign: list[Any] = []
        components = self._write_msgspec(foreign)
        seen: set[str] = set()
        for annotation, schema in self._msgspec:
            _mend(schema, msgspec.inspect.type_info(annotation), components, seen)
        refs = self._write_pydantic(foreign, components)
        for schema in (*components.values(), *(schema for _, schema in self._msgspec)):
            _resolve_foreign(schema, refs)
        if self._problems:
            name = next(name for name in ("Problem", "ProblemDetails", "PortableProblem") if name not in components)
            components[name] = PROBLEM
            for schema in self._problems:
                schema["$ref"] = _REF + name
        return dict(sorted(components.items()))

    def _write_msgspec(self, foreign: list[Any]) -> dict[str, Schema]:
        types = [annotation for annotation, _ in self._msgspec]
        try:
            schemas, components = msgspec.json.schema_components(
                types, schema_hook=_foreign_hook(foreign), ref_template=_REF + "{name}"
            )
        except KeyError as error:  # msgspec 0.22 tells two generics of one name apart by nothing
            raise ConfigError(
                f"two models are both called {error.args[0]!r} in the document: a generic of two classes of one name; "
                "rename one of the classes"
            ) from error
        for (_, schema), written in zip(self._msgspec, schemas, strict=True):
            _fill(schema, written)
        return components

    def _write_pydantic(self, foreign: list[Any], components: dict[str, Schema]) -> list[Schema]:
        """Write pydantic's schemas into ``components``, and return those of ``foreign``."""
        refs: list[Schema] = [{} for _ in foreign]
        wanted: list[tuple[Any, Mode, Schema]] = [
            *self._pydantic,
            *((model, "validation", schema) for model, schema in zip(foreign, refs, strict=True)),
        ]
        if not wanted:
            return refs
        from pydantic import TypeAdapter

        asked = [(position, mode, TypeAdapter(one)) for position, (one, mode, _) in enumerate(wanted)]
        written, rest = TypeAdapter.json_schemas(asked, ref_template=_REF + "{model}")
        definitions: dict[str, Schema] = rest.get("$defs", {})
        renamed = {name: _free_name(name, {*components, *definitions}) for name in definitions if name in components}
        for position, (_, mode, schema) in enumerate(wanted):
            found = dict(written[position, mode])
            _rename(found, renamed)
            _fill(schema, found)
        for name, definition in definitions.items():
            _rename(definition, renamed)
            components[renamed.get(name, name)] = definition
        return refs


def _foreign_hook(foreign: list[Any]) -> Any:
    """What msgspec asks of classes it does not know; they are added to ``foreign``."""

    def hook(custom: Any) -> Schema:
        if custom is object:
            return {"$ref": _ANYTHING}
        if not is_pydantic(custom):
            raise NotImplementedError
        if custom not in foreign:
            foreign.append(custom)
        return {"$ref": f"{_FOREIGN}{foreign.index(custom)}"}

    return hook


def _fill(schema: Schema, written: Schema) -> None:
    """What a schema was given before it was written goes last, and counts for more."""
    said = dict(schema)
    schema.clear()
    schema.update(written)
    schema.update(said)


def _walk(value: Any) -> Any:
    """Every object in a schema, itself first."""
    if isinstance(value, dict):
        yield value
        for one in list(value.values()):
            yield from _walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from _walk(one)


def _mend(schema: Schema, info: Any, components: dict[str, Schema], seen: set[str]) -> None:
    """Say of instants, times and decimals what msgspec reads and leaves out: 0.22 calls them text of any kind."""
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    ref = schema.get("$ref", "")
    if ref.startswith(_REF):
        if ref in seen:
            return
        seen.add(ref)
        schema = components[ref.removeprefix(_REF)]
    if isinstance(info, msgspec.inspect.DateTimeType):
        schema.setdefault("format", "date-time")
    elif isinstance(info, msgspec.inspect.TimeType):
        schema.setdefault("format", "time")
    elif isinstance(info, msgspec.inspect.DecimalType):
        schema["type"], schema["pattern"] = ["string", "number"], _DECIMAL
    for part, inner in _parts(schema, info):
        if isinstance(part, dict):
            _mend(part, inner, components, seen)


def _parts(schema: Schema, info: Any) -> Iterable[tuple[Any, Any]]:
    """The schemas inside a schema, each with what msgspec knows of its type."""
    found = msgspec.inspect
    if isinstance(info, (found.StructType, found.DataclassType, found.TypedDictType, found.NamedTupleType)):
        properties = schema.get("properties", {})
        if "prefixItems" in schema:
            return zip(schema["prefixItems"], (one.type for one in info.fields), strict=False)
        return [(properties.get(one.encode_name), one.type) for one in info.fields]
    if isinstance(info, found.UnionType):
        return zip(schema.get("anyOf", ()), info.types, strict=False)
    if isinstance(info, found.CollectionType):
        return [(schema.get("items"), info.item_type)]
    if isinstance(info, found.TupleType):
        return zip(schema.get("prefixItems", ()), info.item_types, strict=False)
    if isinstance(info, found.DictType):
        return [(schema.get("additionalProperties"), info.value_type)]
    return ()


def _resolve_foreign(schema: Schema, refs: list[Schema]) -> None:
    for part in _walk(schema):
        ref = part.get("$ref")
        if isinstance(ref, str) and ref.startswith(_FOREIGN):
            del part["$ref"]
            if ref != _ANYTHING:
                part.update(refs[int(ref.removeprefix(_FOREIGN))])


def _rename(schema: Schema, renamed: dict[str, str]) -> None:
    if not renamed:
        return
    for part in _walk(schema):
        ref = part.get("$ref")
        if isinstance(ref, str) and ref.removeprefix(_REF) in renamed:
            part["$ref"] = _REF + renamed[ref.removeprefix(_REF)]
        mapping = part.get("mapping")
        if isinstance(mapping, dict) and isinstance(part.get("propertyName"), str):
            for value, target in mapping.items():
                if isinstance(target, str) and target.removeprefix(_REF) in renamed:
                    mapping[value] = _REF + renamed[target.removeprefix(_REF)]


def _free_name(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}{number}" in taken:
        number += 1
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{name}{number}")
