"""What stands around a handler whose body has a bound, or is a form: imported by apps that have such a route."""

from __future__ import annotations

from contextlib import suppress

from portable.errors import HTTPError
from portable.http.binding import Misfit, check_size, refuse
from portable.http.parameters import flatten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.http.parameters import Binding
    from portable.triggers import HTTPRoute

    Plan = Callable[[Request], Any]

__all__ = ["around_body"]


def around_body(route: HTTPRoute, bindings: list[Binding], plan: Plan) -> Plan:
    """``plan`` with what its route says of the body: a bound for a handler that reads it by itself, files closed."""
    form = [one for one in flatten(bindings) if one.place in ("form", "file")]
    if form:
        if route.is_async:
            plan = _read_before(plan, route.max_body, form[0].file_bytes)
        if not route.stream:  # there the answer may be read from its files yet
            plan = _closing(plan)
    elif route.max_body is not None and all(one.place != "body" for one in flatten(bindings)):
        return _bounded(plan, route.max_body)
    return plan


def _read_before(plan: Plan, most: int | None, file_bytes: dict[str, int]) -> Plan:
    """Read the form in the thread of the request: a body that still arrives must not hold up the event loop."""

    def call(request: Request) -> Any:
        with suppress(Misfit, HTTPError):  # said again, with what else does not fit, when a parameter asks
            if most is not None:
                check_size(request, most)
            request._read_form(None, file_bytes)
        return plan(request)

    return call


def _bounded(plan: Plan, most: int) -> Plan:
    def call(request: Request) -> Any:
        try:
            check_size(request, most)
        except Misfit as misfit:
            raise refuse(misfit, request, []) from misfit
        return plan(request)

    return call


def _closing(plan: Plan) -> Plan:
    """Close the files of the form when the handler is done."""

    def call(request: Request) -> Any:
        try:
            value = plan(request)
        except BaseException:
            _close(request)
            raise
        if hasattr(value, "__await__"):
            return finish(request, value)
        _close(request)
        return value

    async def finish(request: Request, value: Any) -> Any:
        try:
            return await value
        finally:
            _close(request)

    return call


def _close(request: Request) -> None:
    close = getattr(request._form, "close", None)
    if close is not None:
        close()
