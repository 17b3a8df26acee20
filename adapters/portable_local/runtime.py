"""What the worker of a built local artifact calls, and the platform of this machine."""

from __future__ import annotations

from sys import modules

from portable.errors import Reject
from portable.events import Context, Response, current_context
from portable.instance import Instance
from portable.invoke import run_shared
from portable.resources import set_platform
from portable.watchdog import enter as watch
from portable.watchdog import leave as unwatch
from portable_local.platform import LocalPlatform
from portable_local.triggers import codec_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from portable.drivers import Platform

__all__ = ["LocalFunction", "entry", "platform"]


def platform(environment: Mapping[str, str] | None = None) -> Platform:
    """This machine's drivers. ``environment``: addresses and state folder; None reads the process's own."""
    return LocalPlatform(environment)


def entry(spec: str, function: str, modules: Iterable[str] | None = None, source: str | None = None) -> LocalFunction:
    """One function of an app, ready to be called from several threads at once.

    Args:
        spec: ``module:variable`` of the App. function: its name. modules: routers included by name that it needs.
        source: the event source, which is the trigger's kind.

    Raises ConfigError for an unknown function or source; what the app's own import raises passes through.
    """
    set_platform(platform())
    instance = Instance(spec, function, modules)
    instance.stop_at_exit(run_shared)
    return LocalFunction(instance, source)


def _whole(response: Any) -> Response:
    """A streamed answer once all of it is there: the line to whoever runs this takes no part of one.

    Raises BrokenStreamError where its body failed.
    """
    from portable.http.pieces import Pieces

    pieces = Pieces(response, run_shared)
    body = b"".join(pieces)
    return Response(None if response.bare else body, response.status, response.header_pairs())


class LocalFunction:
    """Takes local events, gives local answers. Raises ValueError for a malformed event, and what a handler raised."""

    def __init__(self, instance: Instance, source: str | None = None) -> None:
        self._instance = instance
        self._codec = codec_of(instance.kind, source)
        self._serve = getattr(self, f"_serve_{instance.kind}")

    def __call__(self, event: Any, request_id: str, deadline_at: float | None = None) -> Any:
        """Answer one event. ``deadline_at`` is seconds since the epoch."""
        instance = self._instance
        context = Context(
            instance.function,
            request_id,
            deadline_at=deadline_at,
            cold_start=instance.take_cold_start(),
            stage=instance.stage,
            native=event,
        )
        token = current_context.set(context)
        watch(context)
        try:
            instance.start(run_shared)
            return self._serve(event)
        finally:
            unwatch(context)
            current_context.reset(token)

    def _decode(self, event: Any) -> Any:
        try:
            return self._codec.decode(event)
        except (AttributeError, LookupError, TypeError) as error:
            kind = self._instance.kind
            raise ValueError(f"not a local {kind} event: {type(error).__name__}: {error}") from error

    def _serve_http(self, event: Any) -> Any:
        response = self._instance.call(self._decode(event))
        if not isinstance(response, Response):
            response = run_shared(response)
        answer = self._codec.encode(_whole(response) if response.streamed else response)
        if "portable.http.background" in modules:
            from portable.http.background import take_tasks

            if (tasks := take_tasks(current_context.get())) is not None:
                tasks.run(run_shared)
        return answer

    def _serve_message(self, event: Any) -> Any:
        key, messages = self._decode(event)
        triggers = {trigger.key: trigger for trigger in self._instance.call.triggers}
        if key not in triggers:
            raise ValueError(f"function {self._instance.function} takes {', '.join(triggers)}, not {key!r}")
        outcomes = self._instance.call(messages, key)
        if triggers[key].is_async:
            outcomes = run_shared(outcomes)
        for position, outcome in enumerate(outcomes):
            if isinstance(outcome, Reject):
                received = messages[position].native
                triggers[key].driver().dead_letter(received["body"], messages[position].attributes)
                outcomes[position] = None
        return self._codec.encode(messages, outcomes)

    def _serve_stream(self, event: Any) -> Any:
        records = self._decode(event)
        call = self._instance.call
        outcomes = call(records)
        return self._codec.encode(records, run_shared(outcomes) if call.is_async else outcomes)

    def _serve_socket(self, event: Any) -> Any:
        call = self._instance.call
        response = call(self._decode(event))
        return self._codec.encode(run_shared(response) if call.is_async else response)

    def _serve_direct(self, event: Any) -> Any:
        call = self._instance.call
        value = call(self._decode(event))
        return run_shared(value) if call.is_async else value

    def _serve_blob(self, event: Any) -> None:
        self._serve_direct(event)

    def _serve_change(self, event: Any) -> None:
        self._serve_direct(event)

    def _serve_schedule(self, event: Any) -> None:
        self._serve_direct(event)
