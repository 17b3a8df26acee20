"""Making an answer the model a route declares: fields it does not have are left out, what does not fit is an error.

``-> User`` takes an object of exactly that class as it is, which costs one comparison; anything else (a dict, a
subclass, an object with the fields as attributes) is written as JSON and read back as the model. ``response_model=``
does that with every answer, so that a subclass somewhere inside cannot carry more fields out than were declared.
"""

from __future__ import annotations

from portable.errors import ConfigError
from portable.events import Response
from portable.signatures import MISSING, holds_model, resolve_alias, return_annotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.triggers import HTTPRoute

    Shape = Callable[[Any], Any]

__all__ = ["declared_answer", "shape_of", "without_responses"]

_UNIONS = ("UnionType", "_UnionGenericAlias", "Union")


def declared_answer(route: HTTPRoute) -> Any:
    """The type of a route's answers: ``response_model``, else what the handler's annotation says; MISSING without one.

    Raises ConfigError for an annotation that cannot be evaluated.
    """
    model = route.response_model
    return return_annotation(route.handler) if model is ... else model


def shape_of(route: HTTPRoute) -> Shape | None:
    """A function that makes a value the declared model, raising TypeError or ValueError where it does not fit.

    None where nothing is declared that has fields. Objects of the class ``route.exact`` need not go through it.
    """
    explicit = route.response_model is not ...
    annotation = without_responses(declared_answer(route))
    if annotation is None or annotation is MISSING or not holds_model(annotation):
        return None
    convert: list[Shape] = []

    def rebuild(value: Any) -> Any:
        if not convert:
            convert.append(_converter(route, annotation))
        return convert[0](value)

    if explicit:
        return rebuild
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        if hasattr(annotation, "__required_keys__"):  # a TypedDict: its values are dicts, with any keys
            return rebuild
        route.exact = annotation
        return rebuild
    if getattr(annotation, "__origin__", None) is list and _is_class(annotation.__args__[0]):
        element = annotation.__args__[0]
        only = {element}
        return lambda value: value if type(value) is list and only.issuperset(map(type, value)) else rebuild(value)
    return rebuild


def _is_class(annotation: Any) -> bool:
    return (
        isinstance(annotation, type)
        and not hasattr(annotation, "__origin__")
        and (not hasattr(annotation, "__required_keys__"))
    )


def without_responses(annotation: Any) -> Any:
    """A union without Response, which goes out as it says, and None, which is 204."""
    annotation = resolve_alias(annotation)
    if type(annotation).__name__ not in _UNIONS:
        return None if _is_response(annotation) else annotation
    rest = [one for one in annotation.__args__ if one is not type(None) and not _is_response(one)]
    if len(rest) == len(annotation.__args__):
        return annotation
    union: Any = None
    for one in rest:
        union = one if union is None else union | one
    return union


def _is_response(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Response)


def _converter(route: HTTPRoute, annotation: Any) -> Shape:
    from portable.jsontext import shaper_of

    try:
        convert = shaper_of(annotation)
    except Exception as error:  # whatever msgspec or pydantic has against the type
        raise ConfigError(
            f"{_at(route)}: an answer cannot be made {annotation!r}: {error}; response_model=None leaves answers as "
            "they are"
        ) from error

    def read(value: Any) -> Any:
        try:
            return convert(value)
        except ValueError as error:
            raise ValueError(f"{_at(route)}: the answer does not fit {annotation!r}: {error}") from error

    return read


def _at(route: HTTPRoute) -> str:
    return f"{route.method} {route.path} at {route.where[0]}:{route.where[1]}"
