"""JSON in and out, for HTTP bodies and messages alike.

The standard library's ``json`` serves what has no model; msgspec is imported only when a type or a value needs it (it
costs 10 ms at a cold start). Both write the same text: compact, not escaped to ASCII.
"""

from __future__ import annotations

import sys
from json import JSONEncoder, encoder, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["decoder_of", "encode_text", "is_model", "needs_msgspec"]

_PLAIN = (None, str, int, float, bool, dict, list)


def _encode_foreign(value: Any) -> Any:
    """What msgspec does not know: pydantic models, and types that say how they are written."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is for msgspec to write")


# `JSONEncoder.encode` makes the C encoder anew on each call, a third of the cost of a small answer. This one is kept.
_make: Any = getattr(encoder, "c_make_encoder", None)
_chunks: Callable[[Any, int], tuple[str, ...]] | None = None
if _make is not None:
    _chunks = _make(None, _refuse, encoder.encode_basestring, None, ":", ",", False, False, False)
_encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def encode_text(value: Any) -> str:
    """``value`` as JSON text. Raises TypeError naming the type that JSON cannot hold."""
    try:
        return _encode(value) if _chunks is None else "".join(_chunks(value, 0))
    except (TypeError, ValueError):
        import msgspec

        return msgspec.json.encode(value, enc_hook=_encode_foreign).decode()


def _is_generic_of(annotation: Any, test: Callable[[Any], bool]) -> bool:
    return any(test(argument) for argument in getattr(annotation, "__args__", ()) or ())


def is_pydantic(annotation: Any) -> bool:
    """Whether a type is a pydantic model. pydantic itself is not imported to find out."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def is_model(annotation: Any) -> bool:
    """Whether a type is a Struct, dataclass, TypedDict, attrs class or pydantic model, or holds one."""
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return (
            hasattr(annotation, "__struct_fields__")
            or hasattr(annotation, "__dataclass_fields__")
            or hasattr(annotation, "__required_keys__")
            or hasattr(annotation, "__attrs_attrs__")
            or hasattr(annotation, "__pydantic_validator__")
        )
    return _is_generic_of(annotation, is_model)


def is_plain(annotation: Any) -> bool:
    """Whether the standard library's ``json`` alone decodes it: no annotation, Any, object, or dict/list of those."""
    if annotation in (None, object) or getattr(annotation, "_name", None) == "Any" or repr(annotation) == "typing.Any":
        return True
    origin = getattr(annotation, "__origin__", annotation)
    if origin not in (dict, list):
        return False
    arguments = getattr(annotation, "__args__", ()) or ()
    inner = arguments[-1:]
    return all(is_plain(argument) for argument in inner) and (origin is list or arguments[:1] in ((), (str,)))


def needs_msgspec(annotation: Any) -> bool:
    """Whether decoding this type takes msgspec."""
    return not is_plain(annotation) and not is_pydantic(annotation)


def _plain_decoder(annotation: Any) -> Callable[[str | bytes], Any]:
    origin = getattr(annotation, "__origin__", annotation)
    if origin not in (dict, list):
        return loads
    wanted = "an object" if origin is dict else "an array"

    def decode(text: str | bytes) -> Any:
        value = loads(text)
        if type(value) is not origin:
            raise ModelError(f"Expected {wanted}, got {_json_name(value)}", "")
        return value

    return decode


class ModelError(ValueError):
    """JSON that does not fit its type. ``field`` is a dotted path, "" for the whole."""

    def __init__(self, detail: str, field: str) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.detail = detail
        self.field = field


def _json_name(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _pydantic_decoder(annotation: Any) -> Callable[[str | bytes], Any]:
    validate = annotation.model_validate_json

    def decode(text: str | bytes) -> Any:
        try:
            return validate(text)
        except ValueError as error:
            first = error.errors()[0]  # type: ignore[attr-defined]
            if first["type"] == "json_invalid":
                raise ValueError(first["msg"]) from error
            raise ModelError(first["msg"], ".".join(str(part) for part in first["loc"])) from error

    return decode


def _msgspec_decoder(annotation: Any) -> Callable[[str | bytes], Any]:
    import msgspec

    decode_json = msgspec.json.Decoder(annotation).decode

    def decode(text: str | bytes) -> Any:
        try:
            return decode_json(text)
        except msgspec.ValidationError as error:
            detail, _, at = str(error).partition(" - at `$")
            field = at.rstrip("`").lstrip(".").replace("[...]", "[]")
            raise ModelError(detail, field) from error

    return decode


def decoder_of(annotation: Any) -> Callable[[str | bytes], Any]:
    """A function that reads JSON text as this type.

    It raises ModelError when the JSON does not fit the type and another ValueError when the text is not JSON.
    """
    if is_plain(annotation):
        return _plain_decoder(annotation)
    if is_pydantic(annotation):
        return _pydantic_decoder(annotation)
    return _msgspec_decoder(annotation)


def quick_decoder_of(annotation: Any) -> Callable[[str | bytes], Any]:
    """Like :func:`decoder_of`, but what does not fit may raise msgspec's own ValueError: one call less a message."""
    if is_plain(annotation) or is_pydantic(annotation):
        return decoder_of(annotation)
    import msgspec

    decode: Callable[[str | bytes], Any] = msgspec.json.Decoder(annotation).decode
    return decode


def loaded_encoder() -> Callable[[Any], str]:
    """The faster of the encoders that are already imported."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is None:
        return encode_text
    encode = msgspec.json.Encoder(enc_hook=_encode_foreign).encode

    def encode_fast(value: Any) -> str:
        try:
            text: str = encode(value).decode()
        except OverflowError:  # msgspec stops at 64 bits
            return encode_text(value)
        return text

    return encode_fast


def converter_of_values(annotation: Any) -> Callable[[Any], Any]:
    """Like :func:`decoder_of`, from values JSON gives (dict, list, str …) instead of from text."""
    if is_plain(annotation) and getattr(annotation, "__origin__", annotation) not in (dict, list):
        return lambda value: value
    decode = decoder_of(annotation)
    return lambda value: decode(encode_text(value))


def to_values(value: Any) -> Any:
    """``value`` as what JSON gives: dict, list, str, int, float, bool, None. Raises TypeError."""
    return loads(encode_text(value))
