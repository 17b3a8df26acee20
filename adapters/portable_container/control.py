"""What is below ``/-/``: whether the process lives and is ready, events that are pushed, and calls by name.

    GET  /-/live                 200 as long as the event loop turns
    GET  /-/ready                200 once the app has started, 503 from the moment the process is to stop
    POST /-/events/FUNCTION      one event, as ``portable_container.events`` reads it; ``Authorization: Bearer TOKEN``
    POST /-/functions/FUNCTION   a direct function's payload as JSON; answered with its value; the same token

No route of an app is reached below it: the build refuses one.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from logging import getLogger
from typing import TYPE_CHECKING, Any

from portable.errors import DeadlineExceededError, HTTPError
from portable.events import Response
from portable.http.answers import problem
from portable.jsontext import encode_text, load_text
from portable_container.events import Decoder, Misfit

if TYPE_CHECKING:
    from portable.serving.invocations import Invoker
    from portable_container.functions import Function, Functions
    from portable_container.requests import ContainerRequest
    from portable_container.settings import Settings

__all__ = ["EVENTS", "FUNCTIONS", "PREFIX", "Control"]

PREFIX = "/-/"
EVENTS = f"{PREFIX}events/"
FUNCTIONS = f"{PREFIX}functions/"
_NO_STORE = {"cache-control": "no-store"}


class Control:
    """See the module. ``ready`` is set by the server.

    Args:
        check: raises HTTPError unless a WSGI environment's token is one the platform's own pushes bear; None where it
            has none. It may block.
    """

    def __init__(
        self,
        functions: Functions,
        invoker: Invoker,
        settings: Settings,
        decoder: Decoder,
        check: Callable[[dict[str, str]], None] | None = None,
    ) -> None:
        self._check = check
        self._functions = functions.by_name
        self._invoker = invoker
        self._token = settings.token.encode()
        self._decoder = decoder
        self.ready = False

    async def answer(self, request: ContainerRequest) -> Response:
        """The answer to a request below ``/-/``. Never raises."""
        path = request.raw_path
        if path in ("/-/live", "/-/ready"):
            if request.method not in ("GET", "HEAD"):
                return problem(405, f"{request.method} is not allowed here", headers={"allow": "GET, HEAD"})
            if path == "/-/live" or self.ready:
                return Response("ok\n", 200, _NO_STORE)
            return problem(503, "It does not take requests now", headers={"retry-after": "1"})
        for prefix, take in ((EVENTS, self._event), (FUNCTIONS, self._call)):
            if path.startswith(prefix):
                function = self._functions.get(path.removeprefix(prefix))
                try:
                    return await self._refusal(request, function) or await take(request, function)
                except HTTPError as error:
                    return problem(error.status, error.detail, headers=error.headers, errors=error.errors)
        return problem(404, "Nothing is here")

    async def _refusal(self, request: ContainerRequest, function: Function | None) -> Response | None:
        """Why a request is not even looked at. What functions there are is nobody's business who has no token."""
        if request.method == "OPTIONS" and (origin := request.headers.get("webhook-request-origin")) is not None:
            # https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection: who posts
            # still has to know the token.
            return Response(None, 200, {"webhook-allowed-origin": origin, "allow": "POST"})
        if request.method != "POST":
            return problem(405, f"{request.method} is not allowed here", headers={"allow": "POST"})
        if not self._token and self._check is None:
            return problem(403, "PORTABLE_EVENTS_TOKEN is not set: nobody may post events or call functions")
        authorization = request.headers.get("authorization", "")
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer" or not given:
            return problem(401, "The token is missing or wrong", headers={"www-authenticate": "Bearer"})
        known = bool(self._token) and compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        if not known:
            if self._check is None:
                return problem(401, "The token is missing or wrong", headers={"www-authenticate": "Bearer"})
            asked = {"HTTP_AUTHORIZATION": authorization, "REMOTE_ADDR": request.native.peer or ""}
            if (forwarded := request.headers.get("x-forwarded-for")) is not None:
                asked["HTTP_X_FORWARDED_FOR"] = forwarded
            await self._invoker.on_thread(self._check, asked)
        if function is None:
            return problem(404, f"This process serves no such function; it serves {', '.join(self._functions)}")
        return None

    async def _event(self, request: ContainerRequest, function: Any) -> Response:
        if function.kind in ("http", "direct"):
            return problem(404, f"Function {function.name} takes no events: it is called by {function.kind}")
        try:
            calls = self._decoder.decode(function, request)
        except Misfit as error:
            return problem(400, str(error))
        answers = []
        for events, encode in calls:
            found = await self._invoke(function, *events)
            if isinstance(found, Response) and function.kind != "socket":  # whoever pushes sends it again
                return found
            answers.append(await encode(found, self._invoker.on_thread))
        answer = next((one for one in answers if one is not None), None)
        return Response(None, 204) if answer is None else _json(answer)

    async def _call(self, request: ContainerRequest, function: Any) -> Response:
        if function.kind != "direct":
            return problem(404, f"Function {function.name} is not called by name: it is called by {function.kind}")
        try:
            payload = load_text(request.body) if request.body else None
        except ValueError as error:
            return problem(400, f"the payload is no JSON: {error}")
        found = await self._invoke(function, payload)
        return found if isinstance(found, Response) else _json(found)

    async def _invoke(self, function: Function, *events: Any) -> Any:
        """What the function gave, or the Response that says why not. Its callers are known: they are told."""
        context = self._invoker.context_of(function)
        try:
            return await self._invoker.invoke(function, context, function.call, function.call.is_async, *events)
        except HTTPError:
            raise
        except DeadlineExceededError as error:
            getLogger("portable").warning("%s: %s", function.name, error)
            return problem(504, str(error), request_id=context.request_id)
        except Exception as error:
            getLogger("portable").exception("%s failed", function.name)
            return problem(500, f"{type(error).__name__}: {error}", request_id=context.request_id)


def _json(value: Any) -> Response:
    return Response(encode_text(value), 200, {"content-type": "application/json"})
