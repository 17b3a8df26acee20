"""Where a handler's parameters come from, by their annotations.

A name in the path is a path parameter; a scalar is a query parameter; ``Request`` and ``Context`` are given; anything
else is the body.
"""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Context, Request
from portable.http.routing import parse_path
from portable.http.scalars import is_scalar, scalar_needs_msgspec
from portable.jsontext import needs_msgspec
from portable.signatures import (
    MISSING,
    Parameter,
    holds_model,
    parameters_of,
    resolve_alias,
    split_annotated,
    split_optional,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from portable.http.params import Depends
    from portable.triggers import HTTPRoute

__all__ = ["Binding", "callable_of", "describe", "describe_dependency", "flatten", "has_form", "place_of"]

_PLACES = ("path", "query", "header", "cookie", "body", "form", "file")
_FORM = ("form", "file")
_MARKED = (*_PLACES, "depends")


class Binding:
    """Where one parameter of a handler comes from. ``place`` is one of path, query, header, cookie, body, request,
    form, file, context, tasks, depends; ``name`` its name there; ``annotation`` without Annotated and ``| None``;
    ``many`` for list[scalar] and list[Upload].

    Of a ``form`` or ``query``, an ``annotation`` that is no scalar is a model of the whole. ``file_bytes`` are the
    bounds of the route's files, by name.

    Of a dependency, ``dependency`` is what was declared and ``bindings`` are its own parameters. One that a router or a
    route asks for, and no parameter takes, has the ``parameter`` "".

    ``metadata`` is what stood in the Annotated; ``limits`` are those of a value, ``many_limits`` those of the list of
    them: see ``portable.http.constraints``. A body's stay in its ``annotation``.
    """

    __slots__ = (
        "annotation",
        "bindings",
        "default",
        "dependency",
        "file_bytes",
        "keyword_only",
        "limits",
        "many",
        "many_limits",
        "metadata",
        "name",
        "parameter",
        "place",
    )

    def __init__(self, parameter: Parameter, place: str, name: str, annotation: Any, many: bool, default: Any) -> None:
        self.parameter = parameter.name
        self.keyword_only = parameter.keyword_only
        self.place = place
        self.name = name
        self.annotation = annotation
        self.many = many
        self.default = default
        self.dependency: Depends | None = None
        self.bindings: list[Binding] = []
        self.file_bytes: dict[str, int] = {}
        self.metadata: tuple[Any, ...] = ()
        self.limits: dict[str, Any] = {}
        self.many_limits: dict[str, Any] = {}

    @property
    def needs_msgspec(self) -> bool:
        """Whether reading it takes msgspec."""
        if self.place == "body" or self.is_whole_form or self.is_whole_query:
            return self.annotation is not bytes and needs_msgspec(self.annotation)
        return self.place in _PLACES and scalar_needs_msgspec(self.annotation)

    @property
    def is_whole_query(self) -> bool:
        """Whether it is a model that the query is read as."""
        return self.place == "query" and not is_scalar(self.annotation)

    @property
    def is_whole_form(self) -> bool:
        """Whether it is a model that a form is read as."""
        return self.place == "form" and not is_scalar(self.annotation)


def describe(route: HTTPRoute) -> list[Binding]:
    """Where each parameter of a route's handler comes from, dependencies no parameter takes first.

    Raises ConfigError for what cannot be bound.
    """
    at = place_of(route)
    try:
        in_path = {name for converter, name in parse_path(route.path) if converter}
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}") from error
    bindings = [describe_dependency(at, dependency, in_path) for dependency in route.dependencies]
    bindings += [_describe_one(at, parameter, in_path, ()) for parameter in parameters_of(route.handler)]
    for called in (bindings, *(one.bindings for one in flatten(bindings))):
        both = [one.parameter for one in called if one.place == "body"]
        if len(both) > 1:
            raise ConfigError(f"{at}: {' and '.join(both)} would both be the body; make them one model")
    bodies = {id(one.annotation): one.parameter for one in flatten(bindings) if one.place == "body"}
    if len(bodies) > 1:
        raise ConfigError(f"{at}: {' and '.join(bodies.values())} would both be the body; make them one model")
    form = [one for one in flatten(bindings) if one.place in _FORM]
    if form:
        _check_form(at, form, bodies)
    return bindings


def _check_form(at: str, form: list[Binding], bodies: dict[int, str]) -> None:
    """Raise ConfigError for what cannot be read from one form; tell each of all bounds: who reads first, reads all."""
    if bodies:
        raise ConfigError(
            f"{at}: {next(iter(bodies.values()))!r} would be the body, which is a form for {form[0].parameter!r}; "
            "write Annotated[…, Form()]"
        )
    fields = [one for one in form if one.place == "form"]
    if len(fields) > 1 and any(one.is_whole_form for one in fields):
        names = " and ".join(one.parameter for one in fields)
        raise ConfigError(f"{at}: {names} would both be the form; make them fields of one model")
    bounds = {one.name: most for one in form for most in (_file_bound(one),) if most is not None}
    for one in form:
        one.file_bytes = bounds


def _file_bound(binding: Binding) -> int | None:
    bounds = [getattr(one, "max_bytes", None) for one in binding.metadata]
    return next((most for most in bounds if most is not None), None)


def flatten(bindings: Iterable[Binding]) -> Iterator[Binding]:
    """The bindings, and those of their dependencies, all the way down."""
    for binding in bindings:
        yield binding
        yield from flatten(binding.bindings)


def has_form(bindings: Iterable[Binding]) -> bool:
    """Whether any of them, or of their dependencies, is read from a form."""
    return any(one.place in _FORM for one in flatten(bindings))


def describe_dependency(
    at: str, dependency: Depends, in_path: set[str], parameter: Parameter | None = None, around: tuple[Any, ...] = ()
) -> Binding:
    """The binding of a dependency, with those of its own parameters. Raises ConfigError for one that needs itself."""
    function = dependency.function
    name = getattr(function, "__name__", type(function).__name__)
    if function in around:
        raise ConfigError(f"{at}: dependency {name} depends on itself")
    if parameter is None:
        parameter = Parameter("", MISSING, MISSING, False)
    binding = Binding(parameter, "depends", name, parameter.annotation, False, MISSING)
    binding.dependency = dependency
    around = (*around, function)
    binding.bindings = [
        _describe_one(f"{at}, dependency {name}", one, in_path, around) for one in parameters_of(callable_of(function))
    ]
    if dependency.scope == "instance":
        for one in flatten(binding.bindings):
            if one.place not in ("depends", "context") or (one.dependency and one.dependency.scope != "instance"):
                raise ConfigError(
                    f"{at}: dependency {name} is made once an instance, so {one.parameter!r} cannot come from a request"
                )
    return binding


def callable_of(function: Any) -> Any:
    """What has the parameters of a dependency: a function or a class itself, of any other object its ``__call__``."""
    if hasattr(function, "__code__") or isinstance(function, type):
        return function
    return type(function).__call__.__get__(function)


def place_of(route: HTTPRoute) -> str:
    """What an error calls a route: method, path, file and line."""
    return f"{route.method} {route.path} at {route.where[0]}:{route.where[1]}"


def _describe_one(at: str, parameter: Parameter, in_path: set[str], around: tuple[Any, ...]) -> Binding:
    annotation, marker, optional, metadata = _read_annotation(parameter.annotation)
    if getattr(parameter.default, "place", None) in _MARKED:
        raise ConfigError(
            f"{at}: {parameter.name} = {type(parameter.default).__name__}(…) is no default here; "
            f"write {parameter.name}: Annotated[…, {type(parameter.default).__name__}()]"
        )
    if marker is not None and marker.place == "depends":
        return describe_dependency(at, marker, in_path, parameter, around)
    default = parameter.default
    if annotation is MISSING:
        text = parameter.name in in_path or default is MISSING or default is None
        annotation = str if text else type(default)
    if getattr(annotation, "__module__", None) == "portable.http.params":
        raise ConfigError(
            f"{at}: {parameter.name}: {annotation.__name__} says a place and no type; "
            f"write {parameter.name}: Annotated[str, {annotation.__name__}()]"
        )
    if optional and default is MISSING:
        default = None
    for given, place in ((Request, "request"), (Context, "context")):
        if annotation is given:
            return Binding(parameter, place, parameter.name, annotation, False, default)
    if getattr(annotation, "__module__", None) == "portable.http.background":
        return Binding(parameter, "tasks", parameter.name, annotation, False, default)
    if _is_upload(annotation) or (marker is not None and marker.place == "file"):
        return _describe_file(at, parameter, annotation, marker, default, metadata)
    place = marker.place if marker else _place_of(parameter.name, annotation, in_path)
    name = (marker.alias if marker else None) or (
        parameter.name.replace("_", "-") if place == "header" else parameter.name
    )
    if place == "path" and name not in in_path:
        raise ConfigError(f"{at}: {parameter.name!r} is a path parameter, but {{{name}}} is not in the path")
    many = place in ("query", "header", "form") and _element(annotation) is not None
    element = _element(annotation) if many else annotation
    whole_query = place == "query" and marker is not None and holds_model(annotation) and not many
    if place not in ("body", "form") and not whole_query and not is_scalar(element):
        raise ConfigError(
            f"{at}: {parameter.name!r} cannot be a {place} parameter: {annotation!r} is no scalar, "
            "which is str, int, float, bool, an Enum, Literal, a date or time, UUID or Decimal"
        )
    binding = Binding(parameter, place, name, element, many, default)
    if metadata or many:
        _limit(at, binding, parameter, metadata, annotation)
    return binding


def _is_upload(annotation: Any) -> bool:
    """Whether a type is ``Upload`` or a list of it. Their module is not imported to find out."""
    element = _element_of_list(annotation) or annotation
    return (getattr(element, "__module__", ""), getattr(element, "__name__", "")) == ("portable.forms", "Upload")


def _describe_file(
    at: str, parameter: Parameter, annotation: Any, marker: Any, default: Any, metadata: tuple[Any, ...]
) -> Binding:
    many = _element_of_list(annotation) is not None
    if (marker is not None and marker.place != "file") or not (_is_upload(annotation) or annotation is bytes):
        raise ConfigError(
            f"{at}: {parameter.name!r}: a file is Annotated[Upload, File()], of list[Upload] or bytes, "
            f"not {annotation!r}" + (f" from the {marker.place}" if marker is not None else "")
        )
    name = (marker.alias if marker is not None else None) or parameter.name
    element = _element_of_list(annotation) if many else annotation
    binding = Binding(parameter, "file", name, element, many, default)
    binding.metadata = metadata
    return binding


def _limit(at: str, binding: Binding, parameter: Parameter, metadata: tuple[Any, ...], annotation: Any) -> None:
    """Give a binding the limits that its Annotated says. Only an app that has some imports what reads them."""
    binding.metadata = metadata
    inner = split_annotated(resolve_alias(annotation.__args__[0]))[1] if binding.many else ()
    if all(getattr(one, "is_free", False) for one in (*metadata, *inner)):
        return
    from portable.http.constraints import check_body_limits, limits_of

    try:
        if (binding.place == "body" and annotation is not bytes) or binding.is_whole_form or binding.is_whole_query:
            check_body_limits(metadata, annotation)
            binding.annotation = resolve_alias(parameter.annotation)  # whoever decodes it reads its limits
        elif binding.many:
            binding.limits = limits_of(inner, binding.annotation)
            binding.many_limits = limits_of(metadata, binding.annotation, many=True)
        else:
            binding.limits = limits_of(metadata, binding.annotation)
    except ConfigError as error:
        raise ConfigError(f"{at}: {parameter.name}: {error}") from error


def _read_annotation(annotation: Any) -> tuple[Any, Any, bool, tuple[Any, ...]]:
    """The type without Annotated, aliases and ``| None``; the marker of a place, or None; whether None is allowed; and
    all that stood in the Annotated.
    """
    annotation, extra = split_annotated(resolve_alias(annotation))
    annotation, optional = split_optional(resolve_alias(annotation))
    annotation, more = split_annotated(resolve_alias(annotation))
    marker = next((found for found in (*extra, *more) if getattr(found, "place", None) in _MARKED), None)
    metadata = (*extra, *more)
    return resolve_alias(annotation), marker() if isinstance(marker, type) else marker, optional, metadata


def _element(annotation: Any) -> Any:
    """The scalar in ``list[scalar]``, else None."""
    element = _element_of_list(annotation)
    return element if element is not None and is_scalar(element) else None


def _element_of_list(annotation: Any) -> Any:
    arguments: tuple[Any, ...] = getattr(annotation, "__args__", ())
    if getattr(annotation, "__origin__", None) is not list or len(arguments) != 1:
        return None
    return resolve_alias(split_annotated(resolve_alias(arguments[0]))[0])


def _place_of(name: str, annotation: Any, in_path: set[str]) -> str:
    if name in in_path:
        return "path"
    return "query" if is_scalar(annotation) or _element(annotation) is not None else "body"
