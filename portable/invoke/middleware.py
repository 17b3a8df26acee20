"""What an app puts around its handlers: middleware, and answers to what is raised.

Imported by a function whose app has either. A function that only looks at requests and answers needs no event loop
and no thread, so the ready-made ones are objects with ``before`` and ``after``.
"""

from __future__ import annotations

from portable.errors import HTTPError
from portable.events import Response
from portable.http.answers import answer_error, as_response, without_body
from portable.invoke.http import HTTPFunction
from portable.invoke.loops import call_apart, needs_thread, running_loop, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from typing import Any

    from portable.events import Request
    from portable.triggers import HTTPRoute

    Answering = Response | Coroutine[Any, Any, Response]
    Call = Callable[[Any], Any]

__all__ = ["GuardedHTTPFunction", "around_event"]

_COROUTINE = 0x80


def _is_async(function: Any) -> bool:
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return code is not None and bool(code.co_flags & _COROUTINE)


class GuardedHTTPFunction(HTTPFunction):
    """Answers requests through the middleware of its app, and lets it answer what is raised. Never raises.

    Middleware sees what a HEAD request asks about whole, so that its tag and length are those of a GET.
    """

    _bare = staticmethod(lambda response: response)

    def __init__(
        self,
        routes: Sequence[HTTPRoute],
        middleware: Iterable[Any],
        handlers: Mapping[type[BaseException], Callable[..., Any]],
    ) -> None:
        super().__init__(routes)
        self._handlers = handlers
        self._blocks = not all(route.is_async for route in routes)
        self._call: Callable[[Request], Answering] = super().__call__
        for one in reversed(list(middleware)):
            self._call = self._around(one, self._call)

    def __call__(self, request: Request) -> Answering:
        answering = self._call(request)
        if request.method != "HEAD":
            return answering
        return without_body(answering) if isinstance(answering, Response) else _without_body(answering)

    def _unmatched(self, request: Request) -> Answering:
        """As ever, unless the app answers HTTPErrors itself."""
        response = super()._unmatched(request)
        if isinstance(response, Response) and response.status >= 400 and self._handler_of(HTTPError) is not None:
            detail = "Nothing is here" if response.status == 404 else f"{request.method} is not allowed here"
            return self._failed(request, HTTPError(response.status, detail, headers=dict(response.header_pairs())))
        return response

    def _handler_of(self, kind: type[BaseException]) -> Callable[..., Any] | None:
        return next((self._handlers[one] for one in kind.__mro__ if one in self._handlers), None)

    def _failed(self, request: Request, error: Exception) -> Answering:
        handler = self._handler_of(type(error))
        if handler is None:
            return answer_error(request, error)
        status = error.status if isinstance(error, HTTPError) else 500
        try:
            value = handler(request, error)
            if hasattr(value, "__await__"):
                return self._await_answer(request, status, value)
            return as_response(value, status)
        except Exception as mistake:
            return answer_error(request, mistake)

    async def _await_answer(self, request: Request, status: int, value: Any) -> Response:
        try:
            response = as_response(await value, status)
        except Exception as mistake:
            response = answer_error(request, mistake)
        return response

    # --- one middleware around what is inside of it

    def _around(self, middleware: Any, inner: Callable[[Request], Answering]) -> Callable[[Request], Answering]:
        if hasattr(middleware, "before") or hasattr(middleware, "after"):
            before = getattr(middleware, "before", None)
            after = getattr(middleware, "after", None)
            if before is not None and getattr(middleware, "blocks", False):
                return lambda request: (
                    self._looked_at_apart(request, before, after, inner)
                    if running_loop() is not None and needs_thread()
                    else self._looked_at(request, before, after, inner)
                )
            return lambda request: self._looked_at(request, before, after, inner)
        if _is_async(middleware):
            return lambda request: self._awaited(request, middleware, inner)
        return lambda request: self._called(request, middleware, inner)

    def _looked_at(
        self,
        request: Request,
        before: Callable[[Request], Response | None] | None,
        after: Callable[[Request, Response], Response] | None,
        inner: Callable[[Request], Answering],
    ) -> Answering:
        try:
            early = None if before is None else before(request)
            if early is not None:
                return _complete(early)
            response = inner(request)
            if after is None:
                return response
            if isinstance(response, Response):
                return _complete(after(request, response))
            return self._look_after(request, after, response)
        except Exception as error:
            return self._failed(request, error)

    async def _looked_at_apart(
        self,
        request: Request,
        before: Callable[[Request], Response | None],
        after: Callable[[Request, Response], Response] | None,
        inner: Callable[[Request], Answering],
    ) -> Response:
        """One that says it ``blocks``, where others share the loop: it asks a cache, or fetches keys."""
        try:
            early = await call_apart(before, request)
            if early is not None:
                return _complete(early)
            response = await _settled(inner(request))
            return response if after is None else _complete(after(request, response))
        except Exception as error:
            return await _settled(self._failed(request, error))

    async def _look_after(self, request: Request, after: Callable[..., Response], answering: Any) -> Response:
        try:
            return _complete(after(request, await answering))
        except Exception as error:
            return await _settled(self._failed(request, error))

    def _called(self, request: Request, middleware: Any, inner: Callable[[Request], Answering]) -> Answering:
        """A sync one: it waits for an async handler in its own thread, which is never a loop's."""
        loop = running_loop()
        if loop is not None:
            return self._called_apart(request, middleware, inner, loop)

        def call_next(request: Request) -> Response:
            response = inner(request)
            return response if isinstance(response, Response) else wait(response)

        try:
            return _complete(middleware(request, call_next))
        except Exception as error:
            return self._failed(request, error)

    async def _called_apart(
        self, request: Request, middleware: Any, inner: Callable[[Request], Answering], loop: Any
    ) -> Response:
        def call_next(request: Request) -> Response:
            response = inner(request)
            return response if isinstance(response, Response) else wait(response, loop)

        try:
            return _complete(await call_apart(middleware, request, call_next))
        except Exception as error:
            return await _settled(self._failed(request, error))

    async def _awaited(self, request: Request, middleware: Any, inner: Callable[[Request], Answering]) -> Response:
        async def call_next(request: Request) -> Response:
            apart = self._blocks and needs_thread()
            return await _settled(await call_apart(inner, request) if apart else inner(request))

        try:
            return _complete(await middleware(request, call_next))
        except Exception as error:
            return await _settled(self._failed(request, error))


async def _without_body(answering: Coroutine[Any, Any, Response]) -> Response:
    return without_body(await answering)


async def _settled(answering: Answering) -> Response:
    return answering if isinstance(answering, Response) else await answering


def _complete(given: Any) -> Response:
    """A middleware's answer, encoded and checked like a handler's."""
    if not isinstance(given, Response):
        raise TypeError(f"a middleware gave {type(given).__name__}, which is no Response; return call_next(request)")
    return as_response(given, 200)


# --- events


def around_event(middleware: Any, call: Call, awaits: bool) -> tuple[Call, bool]:
    """``call`` with a middleware around it, and whether that gives a coroutine. ``awaits``: whether ``call`` does."""
    if _is_async(middleware):

        async def awaited(event: Any) -> Any:
            async def call_next(event: Any) -> Any:
                value = call(event) if awaits or not needs_thread() else await call_apart(call, event)
                return await value if hasattr(value, "__await__") else value

            return await middleware(event, call_next)

        return awaited, True
    if not awaits:
        return lambda event: middleware(event, call), False

    async def called_apart(event: Any) -> Any:
        loop = running_loop()

        def call_next(event: Any) -> Any:
            value = call(event)
            return wait(value, loop) if hasattr(value, "__await__") else value

        return await call_apart(middleware, event, call_next)

    return called_apart, True
