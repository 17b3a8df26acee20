"""JSON in and out, for HTTP bodies and messages alike.

The standard library's ``json`` serves what has no model; msgspec is imported only when a type or a value needs it (it
costs 10 ms at a cold start). Both write the same text, compact and not escaped to ASCII; only the exponent of a float
may be spelled otherwise (``1e+16``, ``1e16``). NaN and the infinities, which JSON lacks, are written as null.

What is read must be JSON in UTF-8 as RFC 8259 has it: no byte order mark, no other encoding, no NaN, no lone surrogate.
"""

from __future__ import annotations

import sys
from json import JSONDecoder, JSONEncoder, encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["decoder_of", "encode_text", "load_text", "needs_msgspec"]


def _encode_foreign(value: Any) -> Any:
    """What msgspec does not know: pydantic models, subclasses of str, int and float, and None and bool as keys."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (int, float)):
        return int.__int__(value) if isinstance(value, int) else float.__float__(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", by_alias=True)  # as the model reads it back
    advice = "; is an `await` missing?" if hasattr(value, "cr_await") else ""
    raise TypeError(f"{type(value).__name__} cannot be written as JSON{advice}")


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is for msgspec to write")


# `JSONEncoder.encode` makes the C encoder anew on each call, a third of the cost of a small answer. This one is kept.
_make: Any = getattr(encoder, "c_make_encoder", None)
_chunks: Callable[[Any, int], tuple[str, ...]] | None = None
if _make is not None:
    _chunks = _make(None, _refuse, encoder.encode_basestring, None, ":", ",", False, False, False)
_encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_refuse).encode


def encode_text(value: Any) -> str:
    """``value`` as JSON text that UTF-8 can hold.

    Raises TypeError naming the type that JSON cannot hold, ValueError for a str with a lone surrogate, RecursionError
    for a value that holds itself.
    """
    try:
        text = _encode(value) if _chunks is None else "".join(_chunks(value, 0))
        if not text.isascii():
            text.encode()
    except (TypeError, ValueError):
        return _encode_by_msgspec(value)
    return text


def _encode_by_msgspec(value: Any) -> str:
    try:
        import msgspec
    except ModuleNotFoundError:  # a bundle holds it where the build saw a need: not for a value nobody annotated
        text = _encode(_to_plain(value))
        text.encode()
        return text
    try:
        return msgspec.json.encode(value, enc_hook=_encode_foreign).decode()
    except OverflowError:  # msgspec stops at 64 bits, the standard library does not
        return _encode(msgspec.to_builtins(value, enc_hook=_encode_foreign))


def _to_plain(value: Any) -> Any:
    """``value`` as dict, list, str, int, float, bool and None, as msgspec would write it. Raises TypeError."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if hasattr(kind, "__members__"):  # an Enum
        return _to_plain(value.value)
    if isinstance(value, float):
        return float.__float__(value) if value - value == 0 else None
    if isinstance(value, dict):
        return {_to_key(key): _to_plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_to_plain(one) for one in value]
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        return {field.name: _to_plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: _to_plain(getattr(value, field.name)) for field in kind.__attrs_attrs__}
    if isinstance(value, (bytes, bytearray, memoryview)):
        from base64 import b64encode

        return b64encode(value).decode()
    for base in kind.__mro__:
        write = _WRITERS.get((base.__module__, base.__name__))
        if write is not None:
            return write(value)
    return _encode_foreign(value)


def _to_key(key: Any) -> str:
    text = _to_plain(key)
    if isinstance(text, (dict, list)):
        raise TypeError(f"{type(key).__name__} cannot be a key in JSON")
    return text if isinstance(text, str) else _encode(text)


def _write_duration(value: Any) -> str:
    sign, size = ("-", -value) if value.days < 0 else ("", value)
    seconds = f"{size.seconds}.{size.microseconds:06}".rstrip("0").rstrip(".") if size.microseconds else size.seconds
    clock = f"T{seconds}S" if size.seconds or size.microseconds else ""
    return f"{sign}P" + (f"{size.days}D" if size.days or not clock else "") + clock


def _write_instant(value: Any) -> str:
    text: str = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


_WRITERS: dict[tuple[str, str], Callable[[Any], str]] = {
    ("datetime", "date"): _write_instant,
    ("datetime", "time"): _write_instant,
    ("datetime", "timedelta"): _write_duration,
    ("uuid", "UUID"): str,
    ("decimal", "Decimal"): str,
}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_decode = JSONDecoder(parse_constant=_refuse_constant).decode


def load_text(text: str | bytes) -> Any:
    """What JSON text says. Raises ValueError when it is not JSON, or nested deeper than this interpreter bears."""
    if not isinstance(text, str):
        text = text.decode()
    try:
        value = _decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if "\\ud" in text or "\\uD" in text:
        _refuse_lone_surrogates(value)
    return value


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        JSONEncoder(ensure_ascii=False).encode(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half a surrogate pair stands alone in an escape") from error


def _is_generic_of(annotation: Any, test: Callable[[Any], bool]) -> bool:
    return any(test(argument) for argument in getattr(annotation, "__args__", ()) or ())


def is_pydantic(annotation: Any) -> bool:
    """Whether a type is a pydantic model, or a generic or union of one. pydantic is not imported to find out."""
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return hasattr(annotation, "__pydantic_validator__")
    return _is_generic_of(annotation, is_pydantic)


def _is_anything(annotation: Any) -> bool:
    return annotation is None or annotation is object or repr(annotation) == "typing.Any"


def is_plain(annotation: Any) -> bool:
    """Whether the standard library's ``json`` alone decodes it: no annotation, Any, object, or dict/list of those."""
    if _is_anything(annotation):
        return True
    origin = getattr(annotation, "__origin__", annotation)
    if origin not in (dict, list):
        return False
    arguments = getattr(annotation, "__args__", ()) or ()
    return not arguments or (_is_anything(arguments[-1]) and (origin is list or arguments[0] is str))


def needs_msgspec(annotation: Any) -> bool:
    """Whether decoding this type takes msgspec."""
    return not is_plain(annotation) and not is_pydantic(annotation)


def _plain_decoder(annotation: Any) -> Callable[[str | bytes], Any]:
    origin = getattr(annotation, "__origin__", annotation)
    if origin not in (dict, list):
        return load_text
    wanted = "an object" if origin is dict else "an array"

    def decode(text: str | bytes) -> Any:
        value = load_text(text)
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
    from pydantic import TypeAdapter

    validate = TypeAdapter(annotation).validate_json

    def decode(text: str | bytes) -> Any:
        try:
            return validate(text)
        except ValueError as error:
            kind, detail, field = _first_problem(error)
            if kind == "json_invalid":
                raise ValueError(detail) from error
            load_text(text)
            raise ModelError(detail, field) from error

    return decode


def _first_problem(error: Any) -> tuple[str, str, str]:
    """Kind, detail and field of the first problem pydantic names, the field as msgspec spells it: ``items[0].id``."""
    first = error.errors()[0]
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return first["type"], first["msg"], "".join(parts).removeprefix(".")


def _msgspec_decoder(annotation: Any) -> Callable[[str | bytes], Any]:
    import msgspec

    decode_json = msgspec.json.Decoder(annotation, dec_hook=_decode_foreign).decode

    def decode(text: str | bytes) -> Any:
        try:
            return decode_json(text)
        except msgspec.ValidationError as error:
            value = load_text(text)  # msgspec stops at the first misfit, which may stand before what is no JSON at all
            if "got `float`" in str(error) and (whole := _whole_numbers(value)) != encode_text(value):
                return decode(whole)
            detail, _, at = str(error).partition(" - at `")
            field = at.partition("$")[2].rstrip("`").removeprefix(".").replace("[...]", "[]")
            raise ModelError(detail, field) from error
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    return decode


def _whole_numbers(value: Any) -> str:
    """``value`` as JSON, with ``2.0`` as ``2``: one number to JSON Schema and to JavaScript, and no int to msgspec."""

    def walk(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: walk(one) for key, one in part.items()}
        if isinstance(part, list):
            return [walk(one) for one in part]
        return int(part) if isinstance(part, float) and part.is_integer() and abs(part) < 2**53 else part

    return encode_text(walk(value))


def _decode_foreign(annotation: Any, value: Any) -> Any:
    """A field of a type msgspec does not know: a pydantic model, or what the user gave no way to read."""
    if annotation is object:
        return value
    if not is_pydantic(annotation):
        raise TypeError(f"{getattr(annotation, '__name__', annotation)} cannot be read from JSON")
    try:
        return annotation.model_validate(value)
    except ValueError as error:
        _, detail, field = _first_problem(error)
        raise ValueError(f"{field}: {detail}" if field else detail) from error


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

    decode: Callable[[str | bytes], Any] = msgspec.json.Decoder(annotation, dec_hook=_decode_foreign).decode
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


def shaper_of(annotation: Any) -> Callable[[Any], Any]:
    """A function that makes a value this type by way of JSON: fields the type does not have are left out.

    Objects JSON does not know are read by their attributes. It raises ValueError for what does not fit.
    """
    if is_pydantic(annotation):
        from pydantic import TypeAdapter

        adapter = TypeAdapter(annotation)

        def shape_foreign(value: Any) -> Any:
            fitting = adapter.validate_python(value, from_attributes=True)
            # By the declared type's own serializer: what a subclass adds is not written.
            return adapter.dump_python(fitting, mode="json", by_alias=True)

        return shape_foreign
    import msgspec

    decode, encode = quick_decoder_of(annotation), msgspec.json.Encoder(enc_hook=_encode_foreign).encode

    def shape(value: Any) -> Any:
        try:
            text = encode(value)
        except OverflowError:
            return decode(encode_text(value))
        except TypeError:
            return msgspec.convert(value, annotation, from_attributes=True, dec_hook=_decode_foreign)
        return decode(text)

    return shape


def to_values(value: Any) -> Any:
    """``value`` as what JSON gives: dict, list, str, int, float, bool, None. Raises TypeError."""
    return load_text(encode_text(value))
