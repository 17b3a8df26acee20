"""The function of an app's routes."""

from __future__ import annotations

from portable.events import Response
from portable.http.answers import answer, answer_error, choose_shape, problem, without_body
from portable.http.binding import bind
from portable.http.parameters import describe, has_form
from portable.http.routing import Routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from portable.events import Request
    from portable.triggers import HTTPRoute

__all__ = ["HTTPFunction"]


class HTTPFunction:
    """Answers requests. Never raises: a request that fits no route is a 404, a handler's mistake a 500."""

    kind = "http"
    _bare = staticmethod(without_body)

    def __init__(self, routes: Sequence[HTTPRoute]) -> None:
        self.routes = Routes(routes)
        self._find = self.routes.find

    def __call__(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        try:
            hit = self._find(request.method, request.raw_path)
            if hit is None:
                return self._unmatched(request)
            route, request.params = hit
            plan = route.plan
            if plan is None:
                plan = route.plan = self._plan(route)
            value = plan(request)
            if route.is_async and hasattr(value, "__await__"):
                return self._finish(route, request, value)
            response = answer(route, value)
        except Exception as error:
            failed = self._failed(request, error)
            if not isinstance(failed, Response):
                return failed
            response = failed
        return self._bare(response) if request.method == "HEAD" else response

    @staticmethod
    def _plan(route: HTTPRoute) -> Callable[[Request], Any]:
        bindings = describe(route)
        route.shape = choose_shape(route)
        if any(binding.place == "depends" for binding in bindings):
            from portable.invoke.dependencies import bind_with_dependencies

            plan = bind_with_dependencies(route, bindings)
        else:
            plan = bind(route, bindings)
        if route.max_body is not None or has_form(bindings):
            from portable.http.bodies import around_body

            plan = around_body(route, bindings, plan)
        settings = getattr(route.handler, "__portable_idempotence__", None)
        if settings is not None:
            from portable.invoke.idempotence import once_for_request

            return once_for_request(route, plan, settings)
        return plan

    async def _finish(self, route: HTTPRoute, request: Request, value: Any) -> Response:
        from portable.watchdog import before_deadline

        try:
            response = answer(route, await before_deadline(value))
        except Exception as error:
            failed = self._failed(request, error)
            response = failed if isinstance(failed, Response) else await failed
        return self._bare(response) if request.method == "HEAD" else response

    def _failed(self, request: Request, error: Exception) -> Response | Coroutine[Any, Any, Response]:
        """The answer to what was raised. It raises nothing."""
        return answer_error(request, error)

    def _unmatched(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        methods = self.routes.methods(request.raw_path)
        if request.method == "OPTIONS" and methods:
            return Response(None, 204, {"allow": ", ".join(methods)})
        if methods:
            response = problem(405, f"{request.method} is not allowed here", headers={"allow": ", ".join(methods)})
        else:
            response = problem(404, "Nothing is here")
        return self._bare(response) if request.method == "HEAD" else response
