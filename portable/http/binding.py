"""Binding by annotation: from a handler's parameters to a function that reads them off a request and calls it.

A name in the path is a path parameter; a scalar is a query parameter; ``Request`` and ``Context`` are given; anything
else is the body. Plans are made on the first use of a route, so an instance pays for the routes it serves.
"""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.events import Context, Request, current_context
from portable.http.routing import parse_path
from portable.http.scalars import converter_of, is_scalar, scalar_needs_msgspec
from portable.jsontext import ModelError, decoder_of, needs_msgspec
from portable.signatures import MISSING, parameters_of, resolve_alias, split_annotated, split_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.signatures import Parameter
    from portable.triggers import HTTPRoute

    Getter = Callable[[Request], Any]

__all__ = ["Binding", "bind", "describe"]

_PLACES = ("path", "query", "header", "cookie", "body")
_WORST = (404, 413, 415, 400, 422)


class Misfit(Exception):
    """One parameter of a request does not fit. ``status`` is the answer it alone would get."""

    def __init__(self, status: int, place: str, name: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.field = {"in": place, "name": name, "detail": detail}


class Binding:
    """Where one parameter of a handler comes from. ``place`` is one of path, query, header, cookie, body, request,
    context; ``name`` its name there; ``annotation`` without Annotated and ``| None``; ``many`` for list[scalar].
    """

    __slots__ = ("annotation", "default", "keyword_only", "many", "name", "parameter", "place")

    def __init__(self, parameter: Parameter, place: str, name: str, annotation: Any, many: bool, default: Any) -> None:
        self.parameter = parameter.name
        self.keyword_only = parameter.keyword_only
        self.place = place
        self.name = name
        self.annotation = annotation
        self.many = many
        self.default = default

    @property
    def needs_msgspec(self) -> bool:
        """Whether reading it takes msgspec."""
        if self.place == "body":
            return self.annotation is not bytes and needs_msgspec(self.annotation)
        return self.place in _PLACES and scalar_needs_msgspec(self.annotation)


def describe(route: HTTPRoute) -> list[Binding]:
    """Where each parameter of a route's handler comes from. Raises ConfigError for what cannot be bound."""
    try:
        in_path = {name for converter, name in parse_path(route.path) if converter}
    except ConfigError as error:
        raise ConfigError(f"{_at(route)}: {error}") from error
    bindings = [_describe_one(route, parameter, in_path) for parameter in parameters_of(route.handler)]
    bodies = [binding.parameter for binding in bindings if binding.place == "body"]
    if len(bodies) > 1:
        raise ConfigError(f"{_at(route)}: {' and '.join(bodies)} would both be the body; make them one model")
    return bindings


def _at(route: HTTPRoute) -> str:
    return f"{route.method} {route.path} at {route.where[0]}:{route.where[1]}"


def _describe_one(route: HTTPRoute, parameter: Parameter, in_path: set[str]) -> Binding:
    annotation, marker, optional = _read_annotation(parameter.annotation)
    if getattr(parameter.default, "place", None) in _PLACES:
        raise ConfigError(
            f"{_at(route)}: {parameter.name} = {type(parameter.default).__name__}(…) is no default here; "
            f"write {parameter.name}: Annotated[…, {type(parameter.default).__name__}()]"
        )
    default = parameter.default
    if annotation is MISSING:
        text = parameter.name in in_path or default is MISSING or default is None
        annotation = str if text else type(default)
    if getattr(annotation, "__module__", None) == "portable.http.params":
        raise ConfigError(
            f"{_at(route)}: {parameter.name}: {annotation.__name__} says a place and no type; "
            f"write {parameter.name}: Annotated[str, {annotation.__name__}()]"
        )
    if optional and default is MISSING:
        default = None
    for given, place in ((Request, "request"), (Context, "context")):
        if annotation is given:
            return Binding(parameter, place, parameter.name, annotation, False, default)
    place = marker.place if marker else _place_of(parameter.name, annotation, in_path)
    name = (marker.alias if marker else None) or (
        parameter.name.replace("_", "-") if place == "header" else parameter.name
    )
    if place == "path" and name not in in_path:
        raise ConfigError(f"{_at(route)}: {parameter.name!r} is a path parameter, but {{{name}}} is not in the path")
    many = place in ("query", "header") and _element(annotation) is not None
    element = _element(annotation) if many else annotation
    if place != "body" and not is_scalar(element):
        raise ConfigError(
            f"{_at(route)}: {parameter.name!r} cannot be a {place} parameter: {annotation!r} is no scalar, "
            "which is str, int, float, bool, an Enum, Literal, a date or time, UUID or Decimal"
        )
    return Binding(parameter, place, name, element, many, default)


def _read_annotation(annotation: Any) -> tuple[Any, Any, bool]:
    """The type without Annotated, aliases and ``| None``; the marker of a place, or None; whether None is allowed."""
    annotation, extra = split_annotated(resolve_alias(annotation))
    annotation, optional = split_optional(resolve_alias(annotation))
    annotation, more = split_annotated(resolve_alias(annotation))
    marker = next((found for found in (*extra, *more) if getattr(found, "place", None) in _PLACES), None)
    return resolve_alias(annotation), marker() if isinstance(marker, type) else marker, optional


def _element(annotation: Any) -> Any:
    """The scalar in ``list[scalar]``, else None."""
    arguments: tuple[Any, ...] = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is not list or len(arguments) != 1:
        return None
    element = resolve_alias(arguments[0])
    return element if is_scalar(element) else None


def _place_of(name: str, annotation: Any, in_path: set[str]) -> str:
    if name in in_path:
        return "path"
    return "query" if is_scalar(annotation) or _element(annotation) is not None else "body"


def bind(route: HTTPRoute) -> Callable[[Request], Any]:
    """A function that calls the route's handler for a request. It raises HTTPError for a request that does not fit."""
    bindings = describe(route)
    handler = route.handler
    getters = [_getter(route, binding) for binding in bindings]
    if not getters:
        return lambda request: handler()
    if any(binding.keyword_only for binding in bindings):
        positional = [getter for getter, found in zip(getters, bindings, strict=True) if not found.keyword_only]
        named = [
            (found.parameter, getter) for getter, found in zip(getters, bindings, strict=True) if found.keyword_only
        ]

        def call_named(request: Request) -> Any:
            try:
                values = [get(request) for get in positional]
                options = {name: get(request) for name, get in named}
            except Misfit as misfit:
                raise _refuse(misfit, request, getters) from misfit
            return handler(*values, **options)

        return call_named
    if len(getters) == 1 and bindings[0].place == "path":
        return _call_with_path(handler, bindings[0])
    if len(getters) == 1:
        only = getters[0]

        def call_one(request: Request) -> Any:
            try:
                value = only(request)
            except Misfit as misfit:
                raise _refuse(misfit, request, getters) from misfit
            return handler(value)

        return call_one

    def call(request: Request) -> Any:
        try:
            values = [get(request) for get in getters]
        except Misfit as misfit:
            raise _refuse(misfit, request, getters) from misfit
        return handler(*values)

    return call


def _call_with_path(handler: Callable[..., Any], binding: Binding) -> Callable[[Request], Any]:
    """The commonest plan, ``GET /users/{user_id}``, in one call less."""
    name, convert = binding.name, converter_of(binding.annotation)
    if convert is None:
        return lambda request: handler(request.params[name])

    def call(request: Request) -> Any:
        try:
            value = convert(request.params[name])
        except ValueError as error:
            field = {"in": "path", "name": name, "detail": str(error)}
            raise HTTPError(404, "Nothing is here", errors=[field]) from error
        return handler(value)

    return call


def _refuse(first: Misfit, request: Request, getters: list[Getter]) -> HTTPError:
    """One answer that names every field that does not fit."""
    misfits = []
    for get in getters:
        try:
            get(request)
        except Misfit as misfit:
            misfits.append(misfit)
    status = min((misfit.status for misfit in misfits or [first]), key=_WORST.index)
    if status == 404:
        return HTTPError(404, "Nothing is here", errors=[misfit.field for misfit in misfits if misfit.status == 404])
    fields = [misfit.field for misfit in misfits or [first]]
    detail = "; ".join(f"{field['in']} {field['name']}".rstrip() + f": {field['detail']}" for field in fields)
    return HTTPError(status, detail, errors=fields)


def _getter(route: HTTPRoute, binding: Binding) -> Getter:
    if binding.place == "request":
        return lambda request: request
    if binding.place == "context":
        return lambda request: current_context.get()
    if binding.place == "path":
        return _path_getter(binding)
    if binding.place == "body":
        return _body_getter(route, binding)
    if binding.many:
        return _many_getter(binding)
    return _one_getter(binding)


def _path_getter(binding: Binding) -> Getter:
    name, convert = binding.name, converter_of(binding.annotation)
    if convert is None:
        return lambda request: request.params[name]

    def get(request: Request) -> Any:
        try:
            return convert(request.params[name])
        except ValueError as error:
            raise Misfit(404, "path", name, str(error)) from error

    return get


_READ: dict[str, Callable[[Request], Any]] = {
    "query": lambda request: request.query,
    "header": lambda request: request.headers,
    "cookie": lambda request: request.cookies,
}


def _one_getter(binding: Binding) -> Getter:
    place, name, default = binding.place, binding.name, binding.default
    convert, read = converter_of(binding.annotation), _READ[binding.place]

    def get(request: Request) -> Any:
        text = read(request).get(name)
        if text is None:
            if default is MISSING:
                raise Misfit(400, place, name, "is required")
            return default
        if convert is None:
            return text
        try:
            return convert(text)
        except ValueError as error:
            raise Misfit(400, place, name, str(error)) from error

    return get


def _many_getter(binding: Binding) -> Getter:
    place, name, default = binding.place, binding.name, binding.default
    convert, read = converter_of(binding.annotation), _READ[binding.place]

    def get(request: Request) -> Any:
        texts = read(request).get_all(name)
        if not texts and default is not MISSING:
            return list(default) if isinstance(default, list) else default
        try:
            return texts if convert is None else [convert(text) for text in texts]
        except ValueError as error:
            raise Misfit(400, place, name, str(error)) from error

    return get


def _body_getter(route: HTTPRoute, binding: Binding) -> Getter:
    default, most = binding.default, route.max_body
    decode = _body_decoder(route, binding)

    def get(request: Request) -> Any:
        if most is not None and len(request.body) > most:
            raise Misfit(413, "body", "", f"has {len(request.body)} bytes, at most {most} are taken")
        body = request.sent_body
        if not body and default is not MISSING:
            return default
        if decode is None:
            return request.body
        kind = request.content_type
        if kind and kind != "application/json" and not _is_json(kind):
            raise Misfit(415, "body", "", f"expected application/json, got {kind}")
        try:
            return decode(body)
        except ModelError as error:
            raise Misfit(422, "body", error.field, error.detail) from error
        except ValueError as error:
            raise Misfit(400, "body", "", f"is not JSON: {error}" if body else "is required, and is empty") from error

    return get


def _body_decoder(route: HTTPRoute, binding: Binding) -> Callable[[str | bytes], Any] | None:
    """A function from JSON text to the body; None where the bytes themselves are asked for."""
    if binding.annotation is bytes:
        return None
    try:
        decode = decoder_of(binding.annotation)
    except Exception as error:  # whatever msgspec or pydantic has against the type
        raise ConfigError(
            f"{_at(route)}: {binding.parameter!r} cannot be read from a JSON body as {binding.annotation!r}: {error}"
        ) from error
    if binding.default is not None:
        return decode
    return lambda text: None if text.strip() in ("null", b"null") else decode(text)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
