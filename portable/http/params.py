"""Markers for ``Annotated``: where a parameter comes from when its annotation alone does not say."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header", "Path", "Query"]


_LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")


class Marker:
    """``alias`` is the name in the request when it is not the parameter's own.

    Args:
        gt, ge, lt, le, multiple_of: limits of a number. min_length, max_length: of text, or of a list.
        pattern: a regular expression that is found in the text.
        description, examples, deprecated: for OpenAPI.
    """

    __slots__ = (*_LIMITS, "alias", "deprecated", "description", "examples")
    place = ""

    def __init__(
        self,
        alias: str | None = None,
        *,
        gt: float | None = None,
        ge: float | None = None,
        lt: float | None = None,
        le: float | None = None,
        multiple_of: float | None = None,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
        description: str = "",
        examples: Any = (),
        deprecated: bool = False,
    ) -> None:
        self.alias = alias
        self.gt = gt
        self.ge = ge
        self.lt = lt
        self.le = le
        self.multiple_of = multiple_of
        self.min_length = min_length
        self.max_length = max_length
        self.pattern = pattern
        self.description = description
        self.examples = examples
        self.deprecated = deprecated

    @property
    def is_free(self) -> bool:
        """Whether it says no limit."""
        return all(getattr(self, name) is None for name in _LIMITS)


class Path(Marker):
    """A path parameter."""

    __slots__ = ()
    place = "path"


class Query(Marker):
    """A query parameter."""

    __slots__ = ()
    place = "query"


class Header(Marker):
    """A header; ``x_request_id`` is read from ``x-request-id``."""

    __slots__ = ()
    place = "header"


class Cookie(Marker):
    """A cookie."""

    __slots__ = ()
    place = "cookie"


class Body(Marker):
    """The body: JSON, or as it came for ``bytes``. Its limits are said in its type."""

    __slots__ = ()
    place = "body"

    def __init__(self, alias: str | None = None, *, description: str = "", examples: Any = ()) -> None:
        super().__init__(alias, description=description, examples=examples)


class Form(Marker):
    """A field of a form, urlencoded or multipart; or the whole form, where the type is a model."""

    __slots__ = ()
    place = "form"


class File(Marker):
    """A file of a multipart form: an ``Upload``, ``list[Upload]``, or ``bytes``.

    Args:
        max_bytes: of each file; more is a 413, given while the rest is unread.
    """

    __slots__ = ("max_bytes",)
    place = "file"

    def __init__(
        self, alias: str | None = None, *, max_bytes: int | None = None, description: str = "", examples: Any = ()
    ) -> None:
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            from portable.errors import ConfigError

            raise ConfigError(f"File: max_bytes is a whole number of bytes above 0, got {max_bytes!r}")
        super().__init__(alias, description=description, examples=examples)
        self.max_bytes = max_bytes


class Depends:
    """What a function gives: ``Annotated[User, Depends(current_user)]``.

    Its own parameters are bound as a handler's are, those with ``Depends`` among them. It is called once an
    invocation, however many ask for it. A generator yields the value, and goes on when the answer is made: what the
    handler raised is raised at its ``yield``, and what it raises itself becomes the answer.

    Args:
        function: a function, sync or async, a generator, or any callable.
        scope: ``"instance"`` calls it once an instance. It then takes nothing of a request, and goes on when the
            instance stops.
    """

    __slots__ = ("function", "scope")
    place = "depends"

    def __init__(self, function: Callable[..., Any], *, scope: Literal["request", "instance"] = "request") -> None:
        if not callable(function):
            from portable.errors import ConfigError

            raise ConfigError(f"Depends takes a callable, got {function!r}")
        if scope not in ("request", "instance"):
            from portable.errors import ConfigError

            raise ConfigError(f"Depends: scope is 'request' or 'instance', got {scope!r}")
        self.function = function
        self.scope = scope
