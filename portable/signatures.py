"""Reading a handler's parameters and their annotations without ``inspect`` and ``typing``, which cost 20 ms at a
cold start. A callable that is not a plain function goes through ``inspect`` after all.
"""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "MISSING",
    "Parameter",
    "holds_model",
    "parameters_of",
    "resolve_alias",
    "return_annotation",
    "split_annotated",
    "split_optional",
]

MISSING: Any = object()

_MODELS = (
    "__struct_fields__",
    "__dataclass_fields__",
    "__pydantic_validator__",
    "__attrs_attrs__",
    "__required_keys__",
)


class Parameter:
    """One parameter of a handler. ``annotation`` and ``default`` are MISSING where there is none."""

    __slots__ = ("annotation", "default", "keyword_only", "name")

    def __init__(self, name: str, annotation: Any, default: Any, keyword_only: bool) -> None:
        self.name = name
        self.annotation = annotation
        self.default = default
        self.keyword_only = keyword_only


def parameters_of(handler: Callable[..., Any]) -> list[Parameter]:
    """The parameters a handler is called with, annotations evaluated. Raises ConfigError where that fails."""
    function: Any = handler
    bound = False
    while hasattr(function, "__func__") or hasattr(function, "__wrapped__"):
        if hasattr(function, "__func__"):
            bound = bound or hasattr(function, "__self__")  # a method; a staticmethod binds nothing
            function = function.__func__
        else:
            function = function.__wrapped__
    code = getattr(function, "__code__", None)
    # *args, **kwargs, and a decorator that says another signature: let inspect say it
    if code is None or code.co_flags & 0x0C or hasattr(handler, "__signature__"):
        return _inspected(handler)
    positional = code.co_varnames[: code.co_argcount]
    if positional[:1] == ("self",) and not bound:
        raise ConfigError(
            f"{function.__qualname__} at {code.co_filename}:{code.co_firstlineno} is a method of no object yet; "
            "hand over the method of one: app.get('/')(Shop().home)"
        )
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False))
    defaults.update(function.__kwdefaults__ or {})
    annotations = function.__annotations__
    return [
        Parameter(name, _evaluate(annotations, name, function), defaults.get(name, MISSING), name in keyword_only)
        for name in (*positional[bound:], *keyword_only)
    ]


def return_annotation(handler: Callable[..., Any]) -> Any:
    """What a handler says it returns, evaluated; MISSING where it says nothing. Raises ConfigError where that fails."""
    function: Any = handler
    while True:
        inner = getattr(function, "__func__", None) or getattr(function, "__wrapped__", None)
        if inner is None and hasattr(function, "keywords"):  # a partial
            inner = function.func
        if inner is None and not hasattr(function, "__code__") and not isinstance(function, type):
            inner = getattr(type(function).__call__, "__wrapped__", None) or type(function).__call__
            if not hasattr(inner, "__code__"):
                return MISSING
        if inner is None:
            break
        function = inner
    return _evaluate(getattr(function, "__annotations__", {}), "return", function)


def _inspected(handler: Callable[..., Any]) -> list[Parameter]:
    import inspect

    try:
        signature = inspect.signature(handler, eval_str=True)
    except Exception as error:  # annotations are evaluated: anything may come out
        raise ConfigError(f"the parameters of {handler!r} cannot be read: {error}") from error
    given = getattr(handler, "keywords", {})  # of a partial: no longer a parameter, least of all the caller's
    found = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name in given:
            continue
        empty = inspect.Parameter.empty
        found.append(
            Parameter(
                parameter.name,
                MISSING if parameter.annotation is empty else parameter.annotation,
                MISSING if parameter.default is empty else parameter.default,
                parameter.kind is parameter.KEYWORD_ONLY,
            )
        )
    return found


def _evaluate(annotations: dict[str, Any], name: str, function: Any) -> Any:
    annotation = annotations.get(name, MISSING)
    if not isinstance(annotation, str):
        return annotation
    try:
        scope = function.__globals__
        if function.__closure__:
            scope = {**scope, **_enclosing(function)}
        return eval(annotation, scope)  # noqa: S307 - the user's own source, as typing.get_type_hints evaluates it
    except Exception as error:
        code = function.__code__
        raise ConfigError(
            f"{function.__name__} at {code.co_filename}:{code.co_firstlineno}: the annotation {annotation!r} of "
            f"{name!r} cannot be evaluated ({error}); its names must be importable at run time, at module level"
        ) from error


def _enclosing(function: Any) -> dict[str, Any]:
    """Variables of the functions around this one, those that have a value yet."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def resolve_alias(annotation: Any) -> Any:
    """What a ``NewType`` or a ``type X = …`` stands for; anything else as it is."""
    while True:
        if hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def split_annotated(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """``Annotated[X, a, b]`` as ``(X, (a, b))``; anything else as ``(annotation, ())``."""
    extra = getattr(annotation, "__metadata__", None)
    if extra is None:
        return annotation, ()
    return annotation.__origin__, extra


def holds_model(annotation: Any) -> bool:
    """Whether a type is, or holds, a class with fields: a Struct, dataclass, TypedDict, pydantic or attrs model."""
    annotation = resolve_alias(split_annotated(resolve_alias(annotation))[0])
    if any(hasattr(annotation, mark) for mark in _MODELS):
        return True
    return any(holds_model(argument) for argument in getattr(annotation, "__args__", None) or ())


def split_optional(annotation: Any) -> tuple[Any, bool]:
    """``X | None`` as ``(X, True)``, ``X | Y | None`` as ``(X | Y | None, True)``, else ``(annotation, False)``."""
    if type(annotation).__name__ not in ("UnionType", "_UnionGenericAlias", "Union"):
        return annotation, False
    rest = [argument for argument in annotation.__args__ if argument is not type(None)]
    optional = len(rest) < len(annotation.__args__)
    return rest[0] if optional and len(rest) == 1 else annotation, optional
