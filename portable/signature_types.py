"""The shapes of handlers, for type checkers. Imported by nothing at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from portable.events import BlobEvent, Message, Tick

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Handler = Callable[..., Any]
BlobHandler = Callable[Concatenate[BlobEvent, ...], Any]
TickHandler = Callable[Concatenate[Tick, ...], Any] | Callable[[], Any]


class MessageDecorator(Protocol[T]):
    """Takes a handler of one message or of a batch, and returns it unchanged."""

    @overload
    def __call__(self, handler: Callable[Concatenate[Message[T], P], R]) -> Callable[Concatenate[Message[T], P], R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[list[Message[T]], P], R]
    ) -> Callable[Concatenate[list[Message[T]], P], R]: ...
