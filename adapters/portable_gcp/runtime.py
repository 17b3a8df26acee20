"""What functions-framework calls: one target a function, each holding one function of the app.

functions-framework serves with gunicorn: one process, threads. A coroutine runs on the process's one event loop; its
request's thread waits. Cloud Run ends a request that exceeds the service's timeout with a 504 while the handler goes
on; ``Context.deadline`` comes from ``CLOUD_RUN_TIMEOUT_SECONDS``, which a deployment sets to the same number.
"""

from __future__ import annotations

import os
from sys import modules

from portable.errors import HTTPError, Reject
from portable.events import Context, current_context
from portable.http.answers import answer_error, problem
from portable.instance import Instance
from portable.invoke import run_shared
from portable.resources import set_platform
from portable.watchdog import enter as watch
from portable.watchdog import leave as unwatch
from portable_gcp import _sdk
from portable_gcp.limits import REQUEST_BYTES
from portable_gcp.platform import GoogleCloud
from portable_gcp.triggers import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from portable.events import Response

__all__ = ["Entry", "entry", "platform"]


def platform(environment: Mapping[str, str] | None = None) -> GoogleCloud:
    """The drivers of Google Cloud. Addresses and endpoints are read from ``environment``, else the process's."""
    return GoogleCloud(environment)


def entry(spec: str, function: str, modules: Iterable[str] | None, source: str, drops: str = "") -> Any:
    """A functions-framework target: a plain function named as the function, dashes as underscores.

    Args:
        spec: ``module:variable`` of the App. modules: routers included by name that it imports; None imports all.
        source: the event source that calls it here, see ``portable_gcp.triggers.SOURCES``.
        drops: of a schedule, what is left out because its job runs more often; see ``portable.schedules.due.gate``.

    Raises ConfigError; what the app's own import raises passes through, but for an AttributeError, which
    functions-framework would take for a target that does not exist.
    """
    try:
        instance = Instance(spec, function, modules)
        instance.stop_at_exit(run_shared)
        serve = Entry(instance, source, drops=drops)
    except AttributeError as error:
        raise ImportError(f"the app of function {function!r} cannot be imported: AttributeError: {error}") from error
    set_platform(platform())
    name = function.replace("-", "_")
    if serve.codec.signature == "http":

        def respond(request: Any) -> Any:  # functions-framework takes functions, and no methods
            return serve.respond(request)

        return _sdk.http_target(respond, name)

    def take(event: Any) -> None:
        response = serve(_sdk.current_request(), event)
        if response.status >= 400:
            _sdk.refuse(response)

    return _sdk.cloud_event_target(take, name)


def _fitting(response: Response) -> Response:
    """The answer, or a 500 that says it was too large: Google's front end would cut it off without a word."""
    body = response.body
    size = len(body.encode() if isinstance(body, str) else body)
    if size <= REQUEST_BYTES:
        return response
    from logging import getLogger

    getLogger("portable").error(
        "an answer of %d bytes is more than Cloud Run carries unless it is streamed (%d bytes); put it into a bucket "
        "and answer with a URL, or answer with a StreamResponse",
        size,
        REQUEST_BYTES,
    )
    return problem(500, f"The answer is larger than the {REQUEST_BYTES} bytes that can be sent")


def _request_id(context: Context) -> str:
    environ = context.native.environ
    found: str = (
        environ.get("HTTP_FUNCTION_EXECUTION_ID") or environ.get("HTTP_X_CLOUD_TRACE_CONTEXT", "").partition("/")[0]
    )
    if not found:
        from uuid import uuid4

        found = str(uuid4())
    return found


class _FunctionsContext(Context):
    __slots__ = ()
    _lazy = {**Context._lazy, "request_id": _request_id}

    def __init__(self, function: str, timeout: float | None, cold: bool, stage: str, native: Any) -> None:
        self.function = function
        self.deadline_at = None
        if timeout is not None:
            from time import time

            self.deadline_at = time() + timeout
        self.cold_start = cold
        self.target = "gcp"
        self.stage = stage
        self.native = native


class Entry:
    """One function of an instance, called with Flask requests."""

    def __init__(
        self, instance: Instance, source: str, environment: Mapping[str, str] = os.environ, *, drops: str = ""
    ) -> None:
        self.instance = instance
        self.codec = codec(source)
        self.guard = None
        if self.codec.guarded:
            from portable_gcp.triggers.identity import Guard

            self.guard = Guard(environment)
        timeout = environment.get("CLOUD_RUN_TIMEOUT_SECONDS", "")
        self._timeout = float(timeout) if timeout.isdigit() and int(timeout) else None
        self._buckets = _buckets(instance, environment) if instance.kind == "blob" else {}
        self._tables = _tables(instance, environment) if instance.kind == "change" else {}
        self._is_due = None
        if drops:
            from portable.schedules.due import gate

            self._is_due = gate(instance.call.triggers[0], drops)
        self._serve = getattr(self, f"_{instance.kind}")

    def __call__(self, native: Any, event: Any = None) -> Response:
        """Answer a request. ``event`` is the CloudEvent in it, where functions-framework read one. Never raises."""
        return self._answer(self._context(native), native, event)

    def respond(self, native: Any) -> Any:
        """Flask's answer to a request: a streamed one is read while it is sent; what is left to be done is done when
        the server closes it, the last byte sent.
        """
        context = self._context(native)
        response = self._answer(context, native, None)
        if not response.streamed and len(response.body or "") > REQUEST_BYTES // 4:
            response = _fitting(response)
        made = _sdk.native_response(response, _pieces(response) if response.streamed else response.body)
        if "portable.http.background" in modules:
            from portable.http.background import take_tasks

            if (tasks := take_tasks(context)) is not None:
                made.call_on_close(lambda: tasks.run(run_shared))
        return made

    def _context(self, native: Any) -> Context:
        instance = self.instance
        return _FunctionsContext(instance.function, self._timeout, instance.take_cold_start(), instance.stage, native)

    def _answer(self, context: Context, native: Any, event: Any) -> Response:
        instance = self.instance
        token = current_context.set(context)
        watch(context)
        try:
            if self.guard is not None:
                self.guard.check(native.environ)
            instance.start(run_shared)
            response: Response = self._serve(native if event is None else event)
        except Exception as error:
            response = self._failed(native, error)
        finally:
            unwatch(context)
            current_context.reset(token)
        return response

    def _failed(self, native: Any, error: Exception) -> Response:
        """Callers of events and of direct functions are known, so they are told what was raised; the public is not."""
        if self.instance.kind == "http":
            return answer_error(self.codec.decode(native), error)
        if isinstance(error, HTTPError):
            return problem(error.status, error.detail, headers=error.headers, errors=error.errors)
        from logging import getLogger

        getLogger("portable").error("%s failed", self.instance.function, exc_info=error)
        return problem(500, f"{type(error).__name__}: {error}")

    def _http(self, native: Any) -> Response:
        found = self.instance.call(self.codec.decode(native))
        response: Response = run_shared(found) if hasattr(found, "send") else found
        return response

    def _message(self, native: Any) -> Response:
        message, key = self.codec.decode(native)
        triggers = {trigger.key: trigger for trigger in self.instance.call.triggers}
        if key is None and len(triggers) == 1:
            key = next(iter(triggers))
        if key not in triggers:
            raise HTTPError(404, f"{key!r} is none of this function's: {', '.join(triggers)}")
        text = message.body
        found = self.instance.call([message], key)
        (outcome,) = run_shared(found) if hasattr(found, "send") else found
        if isinstance(outcome, Reject):
            # Its dead-letter topic is ours to fill: Pub/Sub moves a message there only after its attempts are over.
            triggers[key].driver().dead_letter(text, message.attributes)
            outcome = None
        response: Response = self.codec.encode(message, outcome)
        return response

    def _blob(self, native: Any) -> Response:
        return self._event(self.codec.decode(native, self._buckets))

    def _change(self, native: Any) -> Response:
        return self._event(self.codec.decode(native, self._tables))

    def _schedule(self, native: Any) -> Response:
        tick = self.codec.decode(native)
        if self._is_due is not None and not self._is_due(tick.scheduled_at):
            done: Response = self.codec.encode(None)
            return done
        return self._event(tick)

    def _direct(self, native: Any) -> Response:
        return self._event(self.codec.decode(native))

    def _event(self, event: Any) -> Response:
        found = self.instance.call(event)
        response: Response = self.codec.encode(run_shared(found) if hasattr(found, "send") else found)
        return response


def _pieces(response: Any) -> Any:
    from portable.http.pieces import Pieces

    pieces = Pieces(response, run_shared)
    if response.bare:  # Flask reads no body for HEAD, nor closes it
        pieces.close()
        return None
    return pieces


def _buckets(instance: Instance, environment: Mapping[str, str]) -> dict[str, str]:
    """The declared name of each bucket that sends events here, by its physical name."""
    from portable.drivers import read_address
    from portable_gcp.bucket import parse_address

    names = {trigger.bucket.name for trigger in instance.call.triggers}
    return {parse_address(read_address("bucket", name, environment)): name for name in names}


def _tables(instance: Instance, environment: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Name and schema of each table whose changes come here, by its address."""
    from portable.drivers import read_address
    from portable.drivers.table import Schema

    tables = {trigger.table.name: trigger.table for trigger in instance.call.triggers}
    return {read_address("table", name, environment): (name, Schema(table.options)) for name, table in tables.items()}
