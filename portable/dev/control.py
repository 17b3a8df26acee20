"""This server's own pages and their interface, ``/_portable/…``: FastAPI, with an OpenAPI document.

What changes something is a POST, PUT or DELETE, and refused from another site (``guard``). A browser's form is answered
with a redirect back to the page, a program with JSON.
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from portable import __version__
from portable.dev.application import CONTROL, SIGNED, Application, DevFunction
from portable.dev.delivery import Desk
from portable.dev.documents import add_documents
from portable.dev.page import render
from portable.dev.reports import (
    blob_document,
    bucket_reports,
    entry_document,
    function_reports,
    message_document,
    parked_documents,
    queue_reports,
    schedule_reports,
    stream_reports,
    topic_reports,
)
from portable.dev.schedules import ScheduleDelivery
from portable.dev.serving import Session
from portable.dev.signed import add_signed
from portable.errors import (
    ConfigError,
    DeadlineExceededError,
    HTTPError,
    NotFoundError,
    PortableError,
    PreconditionFailedError,
)
from portable.events import Response as PortableResponse
from portable.http.answers import problem
from portable.jsontext import to_values
from portable.resources.bucket import Bucket
from portable.samples.neutral import event_of

__all__ = ["make_control"]

_SAFE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_BLOB_HEADERS = {
    # Whatever somebody uploaded is shown from this origin: it runs nothing, and may not act as these pages.
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_PAGE = 1000


def make_control(session: Session) -> FastAPI:
    """The application. Its endpoints that touch a disk are sync, and run on FastAPI's threads."""
    api = FastAPI(
        title="portable dev",
        version=__version__,
        description="The app this server runs: what it has, what it holds, and what happened.",
        openapi_url=f"{CONTROL}/openapi.json",
        docs_url=None,  # those pages load scripts from elsewhere
        redoc_url=None,
    )
    api.add_exception_handler(PortableError, _refuse)
    _add_pages(api, session)
    _add_functions(api, session)
    _add_queues(api, session)
    _add_topics(api, session)
    _add_streams(api, session)
    _add_buckets(api, session)
    _add_blob_events(api, session)
    add_documents(api, session)
    return api


async def _refuse(request: Request, error: Exception) -> Response:  # noqa: ARG001 - FastAPI's signature
    status = 500
    for kind, known in ((NotFoundError, 404), (PreconditionFailedError, 412), (ConfigError, 400)):
        if isinstance(error, kind):
            status = known
    if isinstance(error, HTTPError):
        return _native(problem(error.status, error.detail, errors=error.errors))
    return _native(problem(status, str(error)))


def _native(response: PortableResponse) -> Response:
    answer = Response(response.body, response.status)
    for name, value in response.header_pairs():
        answer.headers.append(name, value)
    return answer


def _desk(session: Session) -> Desk:
    if session.desk is None:
        raise HTTPException(503, f"The app does not start: {session.failure}")
    return session.desk


def _done(request: Request, document: dict[str, Any]) -> Any:
    """The answer to something that was changed: back to the page, for a form of it."""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return RedirectResponse(f"{CONTROL}/", 303)
    return document


def _function(application: Application, name: str) -> DevFunction:
    function = application.functions.get(name)
    if function is None:
        raise HTTPException(404, f"There is no function {name!r}; there are {', '.join(application.functions)}")
    return function


def _add_pages(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}", include_in_schema=False)
    def to_page() -> RedirectResponse:
        return RedirectResponse(f"{CONTROL}/", 307)

    @api.get(f"{CONTROL}/", response_class=HTMLResponse, summary="The page for people")
    def page() -> HTMLResponse:
        return HTMLResponse(render(session, status()), headers=_SAFE_HEADERS)

    @api.get(f"{CONTROL}/status", summary="Everything the page shows, but the keys in buckets")
    def status() -> dict[str, Any]:
        found: dict[str, Any] = {
            "version": __version__,
            "process": os.getpid(),
            "started_at": session.started_at.isoformat(timespec="milliseconds"),
            "project": str(session.root),
            "failure": session.failure or None,
            "invocations": [entry_document(entry) for entry in reversed(session.journal.entries)],
        }
        if session.application is not None:
            found["app"] = session.application.app.name
            found["functions"] = function_reports(session)
            found["queues"] = queue_reports(session)
            found["topics"] = topic_reports(session)
            found["buckets"] = bucket_reports(session)
            found["schedules"] = schedule_reports(session)
            found["parked"] = parked_documents(session)
        return found

    @api.get(f"{CONTROL}/invocations", summary="The last invocations, the newest first")
    async def invocations() -> list[dict[str, Any]]:
        return [entry_document(entry) for entry in reversed(session.journal.entries)]


def _add_functions(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}/functions", summary="The functions, what calls them, and their last invocation")
    async def functions() -> list[dict[str, Any]]:
        _desk(session)
        return function_reports(session)

    @api.post(
        f"{CONTROL}/functions/{{name}}",
        summary="Invoke a function: a direct one with its payload, another with an event document",
        response_model=None,
    )
    async def invoke(name: str, payload: Annotated[Any, Body()] = None) -> dict[str, Any] | Response:
        desk = _desk(session)
        function = _function(desk.application, name)
        return await _invoke(desk, function, event_of(function.record, payload))

    @api.get(f"{CONTROL}/schedules", summary="The schedules, and when they are due")
    def schedules() -> list[dict[str, Any]]:
        _desk(session)
        return schedule_reports(session)

    @api.post(f"{CONTROL}/schedules/{{name}}/run", summary="Call the handler of a schedule now", response_model=None)
    async def run_schedule(name: str, request: Request) -> Any:
        _desk(session)
        for part in session.parts:
            if isinstance(part, ScheduleDelivery) and part.name == name:
                invocation = await part.fire(_now())
                error = None if invocation.error is None else f"{type(invocation.error).__name__}: {invocation.error}"
                return _done(request, {"request_id": invocation.request_id, "error": error})
        raise HTTPException(404, f"There is no schedule {name!r}")


async def _invoke(desk: Desk, function: DevFunction, event: Any) -> dict[str, Any] | Response:
    """What a function makes of an event, and a line in the journal."""
    if function.kind == "http":
        hit = desk.application.http.routes.find(event.method, event.raw_path)
        if hit is None or hit[0].function != function.name:
            return _native(problem(404, f"Function {function.name} has no route for {event.method} {event.raw_path}"))
        invocation = await desk.invoke(function, desk.application.http, hit[0].is_async, event)
        if invocation.error is None:
            desk.note(invocation, f"{event.method:<7}{event.raw_path}", str(invocation.value.status))
            return _native(invocation.value)
    elif function.kind == "message":
        events = (event, function.record.triggers[0].key)
        invocation = await desk.invoke(function, function.call, function.call.is_async, *events)
    else:
        invocation = await desk.invoke(function, function.call, function.call.is_async, event)
    outcomes = invocation.value if function.kind == "message" and invocation.error is None else []
    failed = [one.id for one, outcome in zip(event, outcomes, strict=True) if outcome is not None] if outcomes else []
    desk.note(invocation, "invoked by hand", "failed" if invocation.error or failed else "ok")
    if invocation.error is not None:
        return _failure(invocation)
    found: dict[str, Any] = {"request_id": invocation.request_id}
    if function.kind == "message":
        found["failed"] = failed
    elif function.kind == "direct":
        found["value"] = to_values(invocation.value)
    return found


def _failure(invocation: Any) -> Response:
    error = invocation.error
    if isinstance(error, HTTPError):
        return _native(problem(error.status, error.detail, errors=error.errors, request_id=invocation.request_id))
    status = 504 if isinstance(error, DeadlineExceededError) else 500
    return _native(problem(status, f"{type(error).__name__}: {error}", request_id=invocation.request_id))


def _add_queues(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}/queues", summary="The queues, how many messages wait, and how many are dead letters")
    def queues() -> list[dict[str, Any]]:
        _desk(session)
        return queue_reports(session)

    @api.post(f"{CONTROL}/queues/{{name}}/messages", summary="Send a message; the body is its JSON", status_code=201)
    def send(name: str, payload: Annotated[Any, Body()] = None) -> dict[str, Any]:
        from portable.jsontext import encode_text

        driver = _driver(session, "queue", name)
        return {"id": driver.send(encode_text(payload), attributes={}, delay=None, group=None, dedup=None)}

    @api.get(f"{CONTROL}/queues/{{name}}/dead-letters", summary="The oldest dead letters")
    def dead_letters(name: str, limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100) -> list[dict[str, Any]]:
        return [message_document(one) for one in _driver(session, "queue", name).dead_letters(limit)]

    @api.post(
        f"{CONTROL}/queues/{{name}}/redrive",
        summary="Move every dead letter back into the queue, for its attempts anew",
        response_model=None,
    )
    def redrive(name: str, request: Request) -> Any:
        return _done(request, {"moved": _driver(session, "queue", name).redrive()})


def _add_topics(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}/topics", summary="The topics, and what waits for each function that handles one")
    def topics() -> list[dict[str, Any]]:
        _desk(session)
        return topic_reports(session)

    @api.post(f"{CONTROL}/topics/{{name}}/messages", summary="Publish a message; the body is its JSON", status_code=201)
    def publish(name: str, payload: Annotated[Any, Body()] = None) -> dict[str, Any]:
        from portable.jsontext import encode_text

        return {"id": _driver(session, "topic", name).publish(encode_text(payload), attributes={}, group=None)}

    @api.get(f"{CONTROL}/topics/{{name}}/{{function}}/dead-letters", summary="A function's oldest dead letters")
    def dead_letters(name: str, function: str, limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100) -> list[Any]:
        letters = _driver(session, "topic", name).subscription(function).dead_letters(limit)
        return [message_document(one) for one in letters]

    @api.post(
        f"{CONTROL}/topics/{{name}}/{{function}}/redrive",
        summary="Deliver a function's dead letters to it anew",
        response_model=None,
    )
    def redrive(name: str, function: str, request: Request) -> Any:
        return _done(request, {"moved": _driver(session, "topic", name).subscription(function).redrive()})


def _add_streams(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}/streams", summary="The streams, and how far each function has read their partitions")
    def streams() -> list[dict[str, Any]]:
        _desk(session)
        return stream_reports(session)

    @api.post(f"{CONTROL}/streams/{{name}}/records", summary="Send a record; the body is its JSON", status_code=201)
    def send(name: str, key: Annotated[str, Query()], payload: Annotated[Any, Body()] = None) -> dict[str, Any]:
        from portable.jsontext import encode_text

        for refused in _driver(session, "stream", name).send_many([(key, encode_text(payload).encode())]):
            raise HTTPException(413, str(refused.error))
        return {}


def _driver(session: Session, kind: str, name: str) -> Any:
    desk = _desk(session)
    if not any(one.name == name for one in desk.application.manifest.of_kind(kind)):
        raise HTTPException(404, f"There is no {kind} {name!r}")
    return desk.application.driver(desk.platform, kind, name)


def _add_buckets(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}/buckets", summary="The buckets")
    def buckets() -> list[dict[str, Any]]:
        _desk(session)
        return bucket_reports(session)

    @api.get(
        f"{CONTROL}/buckets/{{name}}/blobs", summary="Keys, in order; `after` the last one of a page comes the next"
    )
    def blobs(
        name: str, prefix: str = "", after: str = "", limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100
    ) -> list[dict[str, Any]]:
        found = []
        for info in _driver(session, "bucket", name).list(prefix, None):
            if not after or info.key.encode() > after.encode():
                found.append(blob_document(info))
            if len(found) == limit:
                break
        return found

    @api.get(f"{CONTROL}/buckets/{{name}}/blob", summary="The bytes of a blob", response_class=Response)
    def read(name: str, key: str) -> Response:
        driver = _driver(session, "bucket", name)
        info = driver.stat(key)
        headers = {**_BLOB_HEADERS, "etag": f'"{info.etag}"'}
        return Response(driver.read(key, None, None), 200, headers, info.content_type)

    _add_blob_writes(api, session)
    add_signed(api, SIGNED, lambda name: _driver(session, "bucket", name))


def _add_blob_writes(api: FastAPI, session: Session) -> None:
    @api.put(f"{CONTROL}/buckets/{{name}}/blob", summary="Write a blob; the body is its bytes")
    async def write(name: str, key: str, request: Request) -> dict[str, Any]:
        _driver(session, "bucket", name)
        body = await request.body()
        kind = request.headers.get("content-type")
        try:
            # Through the portable type: the key is checked, as it is for a handler.
            info = await asyncio.to_thread(Bucket(name).write, key, body, content_type=kind)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return blob_document(info)

    @api.delete(f"{CONTROL}/buckets/{{name}}/blob", summary="Delete a blob")
    def delete(name: str, key: str) -> dict[str, Any]:
        _driver(session, "bucket", name).delete(key)
        return {"deleted": key}

    @api.post(f"{CONTROL}/buckets/{{name}}/delete", include_in_schema=False, response_model=None)
    def delete_from_page(name: str, key: str) -> RedirectResponse:
        _driver(session, "bucket", name).delete(key)
        return RedirectResponse(f"{CONTROL}/", 303)


def _add_blob_events(api: FastAPI, session: Session) -> None:
    @api.get(f"{CONTROL}/parked", summary="Blob events that were given up after their last attempt")
    def parked() -> list[dict[str, Any]]:
        _desk(session)
        return parked_documents(session)

    @api.post(f"{CONTROL}/parked/{{event}}/retry", summary="Deliver one of them again", response_model=None)
    def retry(event: int, request: Request) -> Any:
        _desk(session)
        if not session.state.unpark(event):
            raise HTTPException(404, f"There is no parked event {event}")
        return _done(request, {"retried": 1})

    @api.post(f"{CONTROL}/parked/retry", summary="Deliver all of them again", response_model=None)
    def retry_all(request: Request) -> Any:
        _desk(session)
        return _done(request, {"retried": session.state.unpark()})


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
