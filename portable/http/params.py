"""Markers for ``Annotated``: where a parameter comes from when its annotation alone does not say."""

from __future__ import annotations

__all__ = ["Body", "Cookie", "Header", "Path", "Query"]


class Marker:
    """``alias`` is the name in the request when it is not the parameter's own."""

    __slots__ = ("alias",)
    place = ""

    def __init__(self, alias: str | None = None) -> None:
        self.alias = alias


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
    """The body: JSON, or as it came for ``bytes``."""

    __slots__ = ()
    place = "body"
