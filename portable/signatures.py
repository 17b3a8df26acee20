"""Reading a handler's parameters and their annotations without ``inspect`` and ``typing``, which cost 20 ms at a
cold start. A callable that is not a plain function goes through ``inspect`` after all.
"""

from __future__ import annotations

from portable.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["MISSING", "Parameter", "parameters_of", "split_annotated", "split_optional"]

MISSING: Any = object()


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
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    bound = hasattr(function, "__func__")
    if bound:
        function = function.__func__
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x0C:  # *args or **kwargs: let inspect say it
        return _inspected(handler)
    positional = code.co_varnames[: code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False))
    defaults.update(function.__kwdefaults__ or {})
    annotations = function.__annotations__
    return [
        Parameter(name, _evaluate(annotations, name, function), defaults.get(name, MISSING), name in keyword_only)
        for name in (*positional[bound:], *keyword_only)
    ]


def _inspected(handler: Callable[..., Any]) -> list[Parameter]:
    import inspect

    try:
        signature = inspect.signature(handler, eval_str=True)
    except (TypeError, ValueError, NameError) as error:
        raise ConfigError(f"the parameters of {handler!r} cannot be read: {error}") from error
    found = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
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
            cells = zip(function.__code__.co_freevars, function.__closure__, strict=True)
            scope = {**scope, **{free: cell.cell_contents for free, cell in cells}}
        return eval(annotation, scope)  # noqa: S307 - the user's own source, as typing.get_type_hints evaluates it
    except Exception as error:
        code = function.__code__
        raise ConfigError(
            f"{function.__name__} at {code.co_filename}:{code.co_firstlineno}: the annotation {annotation!r} of "
            f"{name!r} cannot be evaluated ({error}); its names must be importable at run time, at module level"
        ) from error


def split_annotated(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """``Annotated[X, a, b]`` as ``(X, (a, b))``; anything else as ``(annotation, ())``."""
    extra = getattr(annotation, "__metadata__", None)
    if extra is None:
        return annotation, ()
    return annotation.__origin__, extra


def split_optional(annotation: Any) -> tuple[Any, bool]:
    """``X | None`` as ``(X, True)``; anything else, unions of more among them, as ``(annotation, False)``."""
    if type(annotation).__name__ not in ("UnionType", "_UnionGenericAlias", "Union"):
        return annotation, False
    rest = [argument for argument in annotation.__args__ if argument is not type(None)]
    if len(rest) == 1 and len(annotation.__args__) == 2:
        return rest[0], True
    return annotation, False
