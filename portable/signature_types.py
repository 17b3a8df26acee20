"""The shapes of handlers, for type checkers. Imported by nothing at run time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypedDict, TypeVar, overload

from portable.events import BlobEvent, Change, Message, Tick

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Handler = Callable[..., Any]
BlobHandler = Callable[Concatenate[BlobEvent, ...], Any]
TickHandler = Callable[Concatenate[Tick, ...], Any] | Callable[[], Any]


class RouteOptions(TypedDict, total=False):
    """What ``get``, ``post`` … take besides the path: see ``Router.route``."""

    status: int | None
    memory: int | None
    timeout: timedelta | None
    function: str | None
    auth: Literal["public", "cloud"]
    max_body: int | None


class MessageDecorator(Protocol[T]):
    """Takes a handler of one message or of a batch, and returns it unchanged."""

    @overload
    def __call__(self, handler: Callable[Concatenate[Message[T], P], R]) -> Callable[Concatenate[Message[T], P], R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[list[Message[T]], P], R]
    ) -> Callable[Concatenate[list[Message[T]], P], R]: ...


class ChangeDecorator(Protocol[T]):
    """Takes a handler of one change, and returns it unchanged."""

    def __call__(self, handler: Callable[Concatenate[Change[T], P], R]) -> Callable[Concatenate[Change[T], P], R]: ...
