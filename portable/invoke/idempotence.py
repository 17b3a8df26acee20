"""Calling an ``@idempotent`` handler: its key claimed before, its result kept after. Imported where there is one."""

from __future__ import annotations

from portable.errors import HTTPError, Retry
from portable.events import Message, Response, Tick, current_context
from portable.http.answers import answer
from portable.idempotency import LOCK, Claim, claim, finish, release
from portable.invoke.loops import step
from portable.jsontext import encode_text, to_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portable.events import Request
    from portable.idempotency import Idempotence
    from portable.triggers import HTTPRoute, Trigger

__all__ = ["once_for_event", "once_for_request"]

HEADER = "idempotency-key"
_LONGEST = 255  # characters of a key in a header


def once_for_request(
    route: HTTPRoute, plan: Callable[[Request], Any], settings: Idempotence
) -> Callable[[Request], Any]:
    """The plan of a route, called once for each key. Raises HTTPError 400, 409, 422."""

    async def serve(request: Request) -> Response:
        awaits = route.is_async
        key = _key_of(request, settings)
        if key is None:
            return await _answered(route, plan, request)
        scope = f"{route.method} {route.path}"
        held = await _claimed(settings, scope, key, _fingerprint_of(request), awaits)
        if held.state == "done":
            return _replayed(held.result)
        try:
            response = await _answered(route, plan, request)
        except BaseException:
            await release(settings, held, awaits)
            raise
        if response.status >= 500 or response.streamed:
            await release(settings, held, awaits)
        else:
            await _keep(settings, held, _kept(response), awaits)
        return response

    def call(request: Request) -> Any:
        return serve(request) if route.is_async else step(serve(request))

    return call


async def _answered(route: HTTPRoute, plan: Callable[[Request], Any], request: Request) -> Response:
    value = plan(request)
    return answer(route, await value if hasattr(value, "__await__") else value)


def _key_of(request: Request, settings: Idempotence) -> str | None:
    if settings.key is not None:
        key = settings.key(request)
    else:
        key = request.headers.get(HEADER)
        if key is not None:
            key = key.strip()
            if len(key) > 1 and key[0] == key[-1] == '"':  # the draft has it as a structured field's string
                key = key[1:-1]
    if not key:
        if settings.required:
            raise HTTPError(400, "This request needs an Idempotency-Key header")
        return None
    if len(key) > _LONGEST:
        raise HTTPError(400, f"The idempotency key has more than {_LONGEST} characters")
    return key


def _fingerprint_of(request: Request) -> str:
    from hashlib import sha256

    digest = sha256()
    for part in (request.method, request.path, str(request.query.items()), request.content_type or ""):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(request.body)
    return digest.hexdigest()


def _identity(scope: str, key: str) -> str:
    from hashlib import sha256

    return sha256(f"{scope}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()


async def _claimed(settings: Idempotence, scope: str, key: str, fingerprint: str, awaits: bool) -> Claim:
    """The claim that is ours or done. Raises HTTPError for any other."""
    from time import time

    identity = _identity(scope, key)
    pause = 0.02
    while True:
        found = await claim(settings, identity, fingerprint, _held(settings), awaits)
        if found.state == "other":
            raise HTTPError(422, "This idempotency key was used with another request")
        if found.state != "busy":
            return found
        left = found.until - time()
        context = current_context.get()
        remaining = None if context is None or context.deadline_at is None else context.deadline_at - time()
        if settings.concurrent == "refuse" or (remaining is not None and remaining < pause + 1):
            headers = {"retry-after": str(max(int(left) + 1, 1))}
            raise HTTPError(409, "A request with this idempotency key is being worked on", headers=headers)
        await _sleep(pause, awaits)
        pause = min(pause * 2, 1.0)


def _held(settings: Idempotence) -> float:
    """Seconds that a claim holds: no longer than its process can live on with it."""
    if settings.lock is not None:
        return settings.lock
    context = current_context.get()
    if context is None or context.deadline_at is None:
        return LOCK
    from time import time

    return max(context.deadline_at - time(), 1.0)


async def _sleep(seconds: float, awaits: bool) -> None:
    if awaits:
        from asyncio import sleep

        await sleep(seconds)
    else:
        import time

        time.sleep(seconds)  # noqa: ASYNC251 - no loop runs here: the coroutine is stepped through


async def _keep(settings: Idempotence, held: Claim, result: Any, awaits: bool) -> None:
    """A result that cannot be kept is no reason to fail what is done; whoever asks again is told."""
    try:
        kept = await finish(settings, held, result, awaits)
    except Exception:
        from logging import getLogger

        getLogger("portable").exception("what was done under an idempotency key is not kept, and may be done again")
        return
    if not kept:
        from logging import getLogger

        getLogger("portable").error("a claim on an idempotency key ended before its work did: give it a longer lock")


def _kept(response: Response) -> dict[str, Any]:
    body = response.body
    kept: dict[str, Any] = {
        "status": response.status,
        "headers": [[name, value] for name, value in response.headers.items()],
        "media_type": response.media_type,
    }
    if isinstance(body, (bytes, bytearray)):
        from binascii import b2a_base64

        kept["base64"] = b2a_base64(body, newline=False).decode()
    elif body is not None:
        kept["text"] = body
    return kept


def _replayed(kept: dict[str, Any]) -> Response:
    body: str | bytes | None = kept.get("text")
    if "base64" in kept:
        from binascii import a2b_base64

        body = a2b_base64(kept["base64"])
    headers = [(name, value) for name, value in kept["headers"]]
    response = Response(body, int(kept["status"]), headers, kept["media_type"])
    response.headers["idempotent-replayed"] = "true"
    return response


# --- events


def once_for_event(trigger: Trigger, call: Callable[[Any], Any], settings: Idempotence) -> Callable[[Any], Any]:
    """The call of an event's handler, once for each key. Raises Retry while another works on it."""

    async def serve(event: Any) -> Any:
        awaits = trigger.is_async
        key = settings.key(event) if settings.key is not None else _id_of(event)
        if not key:
            return await _result(call, event)
        held = await claim(settings, _identity(trigger.function, key), _payload_of(event), _held(settings), awaits)
        if held.state == "done":
            return held.result
        if held.state == "other":
            raise HTTPError(422, f"idempotency key {key!r} was used with another payload")
        if held.state == "busy":
            raise _later(held)
        try:
            result = to_values(await _result(call, event))
        except BaseException:
            await release(settings, held, awaits)
            raise
        if isinstance(event, Message) and event._failed is not False:
            await release(settings, held, awaits)
        else:
            await _keep(settings, held, result, awaits)
        return result

    def once(event: Any) -> Any:
        return serve(event) if trigger.is_async else step(serve(event))

    return once


async def _result(call: Callable[[Any], Any], event: Any) -> Any:
    value = call(event)
    return await value if hasattr(value, "__await__") else value


def _id_of(event: Any) -> str:
    """What tells a message, a record or a tick from all others of its source."""
    found: str = event.scheduled_at.isoformat() if isinstance(event, Tick) else event.id
    return found


def _payload_of(event: Any) -> str:
    from hashlib import sha256

    payload = event.body if isinstance(event, Message) else event if type(event) in (dict, list, str, int) else None
    return sha256(encode_text(to_values(payload)).encode("utf-8", "surrogatepass")).hexdigest()


def _later(held: Claim) -> Retry:
    from datetime import timedelta
    from time import time

    after = timedelta(seconds=max(held.until - time(), 1.0))
    return Retry("another invocation works on this idempotency key", after=after)
