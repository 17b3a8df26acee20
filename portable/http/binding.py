"""Binding: from a handler's parameters to a function that reads them off a request and calls it.

Plans are made on the first use of a route, so an instance pays for the routes it serves.
"""

from __future__ import annotations

from portable.errors import ConfigError, HTTPError
from portable.events import current_context
from portable.http.parameters import place_of
from portable.http.scalars import converter_of
from portable.jsontext import ModelError, decoder_of
from portable.signatures import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.http.parameters import Binding
    from portable.triggers import HTTPRoute

    Getter = Callable[[Request], Any]

__all__ = ["Misfit", "bind", "check_size", "converter_with_limits", "getter_of", "refuse"]

_WORST = (404, 413, 415, 400, 422)


class Misfit(Exception):
    """One parameter of a request does not fit. ``status`` is the answer it alone would get."""

    def __init__(self, status: int, place: str, name: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.field = {"in": place, "name": name, "detail": detail}


def bind(route: HTTPRoute, bindings: list[Binding]) -> Callable[[Request], Any]:
    """A function that calls the route's handler for a request. It raises HTTPError for a request that does not fit.

    ``bindings``: the route's, without dependencies; with them ``portable.invoke.dependencies`` makes it.
    """
    handler = route.handler
    getters = [getter_of(route, binding) for binding in bindings]
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
                raise refuse(misfit, request, getters) from misfit
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
                raise refuse(misfit, request, getters) from misfit
            return handler(value)

        return call_one

    def call(request: Request) -> Any:
        try:
            values = [get(request) for get in getters]
        except Misfit as misfit:
            raise refuse(misfit, request, getters) from misfit
        return handler(*values)

    return call


def _call_with_path(handler: Callable[..., Any], binding: Binding) -> Callable[[Request], Any]:
    """The commonest plan, ``GET /users/{user_id}``, in one call less."""
    name, convert = binding.name, converter_with_limits(binding)
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


def refuse(first: Misfit, request: Request, getters: list[Getter]) -> HTTPError:
    """One answer that names every field that does not fit."""
    misfits = []
    for get in getters:
        try:
            get(request)
        except Misfit as misfit:
            misfits.append(misfit)
        except HTTPError as error:  # of a form, which is read once for all
            misfits.append(Misfit(error.status, "body", "", error.detail))
    status = min((misfit.status for misfit in misfits or [first]), key=_WORST.index)
    if status == 404:
        return HTTPError(404, "Nothing is here", errors=[misfit.field for misfit in misfits if misfit.status == 404])
    fields: list[dict[str, str]] = []
    for one in misfits or [first]:
        if one.field not in fields:
            fields.append(one.field)
    detail = "; ".join(f"{field['in']} {field['name']}".rstrip() + f": {field['detail']}" for field in fields)
    return HTTPError(status, detail, errors=fields)


def getter_of(route: HTTPRoute, binding: Binding) -> Getter:
    """A function from a request to the value of one parameter. It raises Misfit."""
    if binding.place == "request":
        return lambda request: request
    if binding.place == "context":
        return lambda request: current_context.get()
    if binding.place == "tasks":
        from portable.http.background import tasks_of_invocation

        return lambda request: tasks_of_invocation()
    if binding.place == "path":
        return _path_getter(binding)
    if binding.place in ("form", "file"):
        from portable.http.form_parameters import form_getter

        return form_getter(route, binding)
    if binding.place == "body":
        return _body_getter(route, binding)
    if binding.many:
        return _many_getter(binding)
    if binding.is_whole_query:
        from portable.http.query_models import query_model_getter

        return query_model_getter(route, binding)
    return _one_getter(binding)


def converter_with_limits(binding: Binding) -> Callable[[str], Any] | None:
    """A function from a parameter's text to its value, raising ValueError; None where the text itself serves."""
    convert = converter_of(binding.annotation)
    if not binding.limits:
        return convert
    from portable.http.constraints import checked

    return checked(convert, binding.limits)


def _path_getter(binding: Binding) -> Getter:
    name, convert = binding.name, converter_with_limits(binding)
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
    convert, read = converter_with_limits(binding), _READ[binding.place]

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
    convert, read = converter_with_limits(binding), _READ[binding.place]
    check: Callable[[Any], Any] | None = None
    if binding.many_limits:
        from portable.http.constraints import checked

        check = checked(None, binding.many_limits)

    def get(request: Request) -> Any:
        texts = read(request).get_all(name)
        if not texts and default is not MISSING:
            return list(default) if isinstance(default, list) else default
        if place == "header":  # one line or several: some clouds join them. What is empty is none, by RFC 9110
            texts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        try:
            values = texts if convert is None else [convert(text) for text in texts]
            return values if check is None else check(values)
        except ValueError as error:
            raise Misfit(400, place, name, str(error)) from error

    return get


def _body_getter(route: HTTPRoute, binding: Binding) -> Getter:
    default, most = binding.default, route.max_body
    decode = _body_decoder(route, binding)

    def get(request: Request) -> Any:
        if most is not None:
            check_size(request, most)
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


def check_size(request: Request, most: int) -> None:
    """Raise Misfit for a body of more than ``most`` bytes, without reading it where its length is known before."""
    size = request._size(most)
    if size > most:
        raise Misfit(413, "body", "", f"has {size} bytes, at most {most} are taken")


def _body_decoder(route: HTTPRoute, binding: Binding) -> Callable[[str | bytes], Any] | None:
    """A function from JSON text to the body; None where the bytes themselves are asked for."""
    if binding.annotation is bytes:
        return None
    try:
        decode = decoder_of(binding.annotation)
    except Exception as error:  # whatever msgspec or pydantic has against the type
        raise ConfigError(
            f"{place_of(route)}: {binding.parameter!r} cannot be read from a JSON body as {binding.annotation!r}: "
            f"{error}"
        ) from error
    if binding.default is not None:
        return decode
    return lambda text: None if text.strip() in ("null", b"null") else decode(text)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
