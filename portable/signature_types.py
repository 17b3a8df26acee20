"""The shapes of handlers, for type checkers. Imported by nothing at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypedDict, TypeVar, overload

from portable.events import BlobEvent, Change, Message, Request, SocketEvent, Tick
from portable.events.records import StreamRecord
from portable.http.params import Depends

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Handler = Callable[..., Any]
BlobHandler = Callable[Concatenate[BlobEvent, ...], Any]
SocketHandler = Callable[Concatenate[SocketEvent, ...], Any]
TickHandler = Callable[Concatenate[Tick, ...], Any] | Callable[[], Any]


EventKind = Literal["message", "stream", "blob", "change", "schedule", "direct", "socket"]
EventMiddleware = Callable[[Any, Callable[[Any], Any]], Any]
E = TypeVar("E", bound=Exception, contravariant=True)
ErrorHandler = Callable[[Request, E], Any]


class Documentation(TypedDict, total=False):
    """What OpenAPI says of a route, and nothing else reads.

    ``responses`` by status: a model, a description, or ``{"model": …, "description": …, "examples": …}``; ``examples``
    of the body; ``openapi`` is laid over the operation last.
    """

    summary: str
    description: str
    operation_id: str
    tags: Iterable[str]
    deprecated: bool
    examples: Mapping[str, Any] | Sequence[Any]
    responses: Mapping[int | str, Any]
    include_in_schema: bool
    openapi: Mapping[str, Any]


class RouteOptions(Documentation, total=False):
    """What ``get``, ``post`` … take besides the path: see ``Router.route``."""

    status: int | None
    memory: int | None
    timeout: timedelta | None
    function: str | None
    auth: Literal["public", "cloud"]
    max_body: int | None
    dependencies: Iterable[Depends]
    stream: bool
    response_model: Any


class MessageDecorator(Protocol[T]):
    """Takes a handler of one message or of a batch, and returns it unchanged."""

    @overload
    def __call__(self, handler: Callable[Concatenate[Message[T], P], R]) -> Callable[Concatenate[Message[T], P], R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[list[Message[T]], P], R]
    ) -> Callable[Concatenate[list[Message[T]], P], R]: ...


class StreamDecorator(Protocol[T]):
    """Takes a handler of one record or of a batch, and returns it unchanged."""

    @overload
    def __call__(
        self, handler: Callable[Concatenate[StreamRecord[T], P], R]
    ) -> Callable[Concatenate[StreamRecord[T], P], R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[list[StreamRecord[T]], P], R]
    ) -> Callable[Concatenate[list[StreamRecord[T]], P], R]: ...


class ChangeDecorator(Protocol[T]):
    """Takes a handler of one change, and returns it unchanged."""

    def __call__(self, handler: Callable[Concatenate[Change[T], P], R]) -> Callable[Concatenate[Change[T], P], R]: ...
