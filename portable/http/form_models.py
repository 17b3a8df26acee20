"""A form as a model: texts become what its fields say, as a browser sends them."""

from __future__ import annotations

from portable.forms import Upload
from portable.jsontext import ModelError, _decode_foreign, _first_problem, is_plain, is_pydantic
from portable.signatures import resolve_alias, split_annotated, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["model_reader"]

_BOOLEANS = {"on": "true", "yes": "true", "off": "false", "no": "false"}  # a checkbox says "on"


def model_reader(annotation: Any, *, blanks: bool = True) -> Callable[[Mapping[str, list[Any]]], Any]:
    """A function from the values of each name to the model. It raises ModelError.

    A field that is a list has them all, any other the last. With ``blanks`` an empty text is none for a field that is
    no text: an input nobody filled in. What msgspec and pydantic raise for a type they cannot read passes through.
    """
    kinds = _kinds(annotation)
    convert = _pydantic_converter(annotation) if is_pydantic(annotation) else _msgspec_converter(annotation)

    def read(given: Mapping[str, list[Any]]) -> Any:
        found: dict[str, Any] = {}
        for name, values in given.items():
            kind = kinds.get(name, str)
            if kind is list:
                found[name] = list(values)
            elif kind is str:
                found[name] = values[-1]
            elif values[-1] != "" or not blanks:
                found[name] = _BOOLEANS.get(values[-1], values[-1]) if kind is bool else values[-1]
        return convert(found)

    return read


def _kinds(annotation: Any) -> dict[str, Any]:
    """By the name in the form: list, str, bool, or object for any other."""
    if hasattr(annotation, "__struct_fields__"):
        from msgspec.structs import fields

        return {field.encode_name: _kind(field.type) for field in fields(annotation)}
    if hasattr(annotation, "model_fields"):
        return {
            name: _kind(field.annotation)
            for own, field in annotation.model_fields.items()
            for name in (own, field.alias)
            if name is not None
        }
    if not hasattr(annotation, "__annotations__"):
        return {}
    from typing import get_type_hints

    return {name: _kind(kind) for name, kind in get_type_hints(annotation, include_extras=True).items()}


def _kind(annotation: Any) -> Any:
    annotation = split_optional(resolve_alias(split_annotated(resolve_alias(annotation))[0]))[0]
    annotation = resolve_alias(split_annotated(resolve_alias(annotation))[0])
    if getattr(annotation, "__origin__", annotation) in (list, tuple, set, frozenset):
        return list
    return annotation if annotation in (str, bool) else object


def _pydantic_converter(annotation: Any) -> Callable[[Any], Any]:
    from pydantic import TypeAdapter

    validate = TypeAdapter(annotation).validate_python

    def convert(found: Any) -> Any:
        try:
            return validate(found)
        except ValueError as error:
            _, detail, field = _first_problem(error)
            raise ModelError(detail, field) from error

    return convert


def _take_upload(annotation: Any, value: Any) -> Any:
    if annotation is not Upload:
        return _decode_foreign(annotation, value)
    if not isinstance(value, Upload):
        raise TypeError("expected a file")
    return value


def _msgspec_converter(annotation: Any) -> Callable[[Any], Any]:
    if is_plain(annotation):
        return lambda found: found
    import msgspec

    msgspec.json.Decoder(annotation, dec_hook=_decode_foreign)  # raises for a type it cannot read

    def convert(found: Any) -> Any:
        try:
            return msgspec.convert(found, annotation, strict=False, dec_hook=_take_upload)
        except msgspec.ValidationError as error:
            detail, _, at = str(error).partition(" - at `")
            field = at.partition("$")[2].rstrip("`").removeprefix(".").replace("[...]", "[]")
            raise ModelError(detail, field) from error

    return convert
