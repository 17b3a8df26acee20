"""Parameters that come from a form: fields, files, and a model of the whole."""

from __future__ import annotations

from portable.errors import ConfigError
from portable.http.binding import Misfit, check_size, converter_with_limits
from portable.http.form_models import model_reader
from portable.http.parameters import place_of
from portable.jsontext import ModelError
from portable.signatures import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.forms import FormData
    from portable.http.parameters import Binding
    from portable.triggers import HTTPRoute

    Getter = Callable[[Request], Any]

__all__ = ["form_getter"]


def form_getter(route: HTTPRoute, binding: Binding) -> Getter:
    """A function from a request to the value of one parameter, the form read once. It raises Misfit and HTTPError."""
    most, bounds = route.max_body, binding.file_bytes

    def read(request: Request) -> FormData:
        if most is not None and request._form is None:
            check_size(request, most)
        return request._read_form(None, bounds)

    if binding.place == "file":
        return _file_getter(binding, read)
    if binding.is_whole_form:
        return _model_getter(route, binding, read)
    return _many_getter(binding, read) if binding.many else _field_getter(binding, read)


def _missing(binding: Binding) -> Any:
    default = binding.default
    if default is MISSING:
        raise Misfit(422, "body", binding.name, "is required")
    return list(default) if isinstance(default, list) else default


def _file_getter(binding: Binding, read: Callable[[Request], FormData]) -> Getter:
    name, many, whole = binding.name, binding.many, binding.annotation is bytes

    def get(request: Request) -> Any:
        found = read(request).files.get_all(name)
        if not found:
            return _missing(binding)
        if many:
            return found
        return found[-1].read() if whole else found[-1]

    return get


def _field_getter(binding: Binding, read: Callable[[Request], FormData]) -> Getter:
    name, convert = binding.name, converter_with_limits(binding)

    def get(request: Request) -> Any:
        text = read(request).get(name)
        if text is None or (not text and convert is not None):  # an input nobody filled in
            return _missing(binding)
        try:
            return text if convert is None else convert(text)
        except ValueError as error:
            raise Misfit(422, "body", name, str(error)) from error

    return get


def _many_getter(binding: Binding, read: Callable[[Request], FormData]) -> Getter:
    name, convert = binding.name, converter_with_limits(binding)
    check: Callable[[Any], Any] | None = None
    if binding.many_limits:
        from portable.http.constraints import checked

        check = checked(None, binding.many_limits)

    def get(request: Request) -> Any:
        texts = read(request).get_all(name)
        if not texts and binding.default is not MISSING:
            return _missing(binding)
        try:
            values = texts if convert is None else [convert(text) for text in texts]
            return values if check is None else check(values)
        except ValueError as error:
            raise Misfit(422, "body", name, str(error)) from error

    return get


def _model_getter(route: HTTPRoute, binding: Binding, read: Callable[[Request], FormData]) -> Getter:
    try:
        convert = model_reader(binding.annotation)
    except Exception as error:  # whatever msgspec or pydantic has against the type
        raise ConfigError(
            f"{place_of(route)}: {binding.parameter!r} cannot be read from a form as {binding.annotation!r}: {error}"
        ) from error

    def get(request: Request) -> Any:
        form = read(request)
        if binding.default is not MISSING and not len(form) and not len(form.files):
            return binding.default
        given: dict[str, list[Any]] = {name: form.get_all(name) for name in form}
        for name in form.files:
            given.setdefault(name, []).extend(form.files.get_all(name))
        try:
            return convert(given)
        except ModelError as error:
            raise Misfit(422, "body", error.field, error.detail) from error

    return get
