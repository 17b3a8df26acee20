"""An app in this process: its handlers are called directly, over a local platform in a temporary folder."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from portable.app import App
from portable.drivers import Platform
from portable.errors import ConfigError, Reject, Retry
from portable.events import Context, Request, Response, SocketEvent, current_context
from portable.http.answers import choose_encoder, problem
from portable.http.background import take_tasks
from portable.http.mounts import Mounts
from portable.http.pieces import BrokenStreamError, Pieces
from portable.http.streams import StreamResponse
from portable.invoke import make_function, run_shared
from portable.invoke.dependencies import replacements, waits
from portable.invoke.streams import first_failures
from portable.manifest import FunctionRecord, describe_app
from portable.plugins import adapter
from portable.resources import Resource, use_platform
from portable.run.delivery import Delivery, Settled, receiver
from portable.run.deployment import DEADLINE, choose_function, find_socket
from portable.run.storage import Storage
from portable.samples import Event, Outcome
from portable.testing.fixed import driver_of

__all__ = ["InProcess", "OverriddenPlatform"]


class InProcess:
    """The host of ``TestClient``. ``open``, then ``start`` with its platform in force, and ``close``."""

    platform: Platform

    def __init__(self, app: App, overrides: Mapping[Any, Any], raise_errors: bool) -> None:
        self.app = app
        self.manifest = describe_app(app, "app:app", _folder(app))
        drivers, self._replacements = _divide(overrides)
        self._overrides = {(named := _override_key(key)): driver_of(named[0], one) for key, one in drivers.items()}
        self._raise_errors = raise_errors
        functions = app.functions()
        if any(waits(one) for one in self._replacements.values()):
            for trigger in (trigger for triggers in functions.values() for trigger in triggers):
                trigger.is_async, trigger.plan = True, None  # where the real one was sync, nobody would await it
        self._functions = {name: make_function(triggers, app) for name, triggers in functions.items()}
        self._choose = choose_function(self.manifest)
        self._warm: set[str] = set()
        self._mounts: list[Mounts] = []

    def open(self) -> None:
        """Make the platform."""
        with contextlib.ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()

    def _open(self, stack: contextlib.ExitStack) -> None:
        local = adapter("local")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portable-", ignore_cleanup_errors=True))
        environment = stack.enter_context(local.run.emulate(self.manifest, Path(folder)))
        platform = local.platform(environment)
        stack.callback(platform.close)
        self.platform = OverriddenPlatform(platform, self._overrides)
        self._storage = Storage(self.manifest, self.platform)
        self._delivery = Delivery(self.manifest, self.platform, self._deliver, confirm=timedelta(0))

    def start(self) -> None:
        """Call the app's ``on_start`` hooks: every client is a new instance."""
        choose_encoder()
        self.app.life.start(run_shared)
        self._mounts = [
            one.routes.mounts
            for one in self._functions.values()
            if one.kind == "http" and one.routes.mounts is not None
        ]
        for mounts in self._mounts:
            mounts.start(run_shared)

    def close(self) -> None:
        """Stop what is mounted, let go of what was kept; close and delete the platform."""
        with self._stack, use_platform(self.platform):
            for mounts in self._mounts:
                mounts.stop(run_shared)
            self.app.life.stop(run_shared)

    def request(self, request: Request, chunks: int | None = None) -> Response:
        """Answer a request. A streamed answer's body is the list of its pieces, ``chunks`` at most.

        Raises what the handler raised when that was asked for, else ConnectionError for an answer that broke off.
        """
        function = self._choose(request)
        if function is None:
            return problem(404, "This app has no HTTP function")
        broken = None
        with _logged_errors() as errors:
            response: Response = self._invoke(function, request, finish=lambda given: _read(given, chunks))
            if response.streamed and isinstance(response.body, Exception):
                broken = response.body
        if errors and self._raise_errors:
            raise errors[0]
        if broken is not None:
            raise broken
        return response

    def deliver(self, function: str, event: Event) -> Outcome:
        """Give a function an event. Raises what the handler raised when that was asked for."""
        record = self.manifest.function(function)
        if isinstance(event, Request):
            return Outcome(response=self.request(event))
        with _logged_errors() as errors:
            outcome = self._deliver(record, event, self._raise_errors)
        if errors and self._raise_errors:
            raise errors[0]
        return outcome

    def socket(self, path: str) -> tuple[Callable[[SocketEvent], Response], bool]:
        """What answers the events of a websocket, and whether it carries bytes. Raises ConfigError."""
        function, binary = find_socket(self.manifest, path)

        def call(event: SocketEvent) -> Response:
            with _logged_errors() as errors:
                response: Response = self._invoke(function, event)
            if errors and self._raise_errors:
                raise errors[0]
            return response

        return call, binary

    def settle(self, timeout: float = 30.0) -> Settled:
        """Deliver until it is quiet. Raises NotSettledError."""
        with _logged_errors():
            return self._delivery.settle(timeout)

    def dead_letters(self, queue: str) -> list[str]:
        """Bodies of a queue's dead letters, as sent."""
        return self._storage.dead_letters(queue)

    def _deliver(self, function: FunctionRecord, event: Event, raise_errors: bool = False) -> Outcome:
        if function.kind == "message":
            return self._deliver_messages(function, event)
        try:
            value = self._invoke(function, event)
        except Exception as error:
            if raise_errors:
                raise
            return Outcome(error=f"{type(error).__name__}: {error}")
        if function.kind == "stream":
            batch: Any = event
            return Outcome(failed=[one.id for one in first_failures(batch, value)])
        return Outcome(value=value if function.kind == "direct" else None)

    def _deliver_messages(self, function: FunctionRecord, batch: Any) -> Outcome:
        ids = [message.id for message in batch]
        keys = [trigger.key for trigger in function.triggers]
        outcomes = self._invoke(function, batch, *(keys if len(keys) == 1 else []))
        failed = []
        after = {}
        for message, identity, outcome in zip(batch, ids, outcomes, strict=True):
            if isinstance(outcome, Reject):
                self._reject(function, message)
            elif outcome is not None:
                failed.append(identity)
                if isinstance(outcome, Retry) and outcome.after is not None:
                    after[identity] = outcome.after.total_seconds()
        return Outcome(failed=failed, after=after)

    def _reject(self, function: FunctionRecord, message: Any) -> None:
        """No further attempt: the body as it was received goes to the dead letters."""
        received = message.native
        if received is not None:
            record = self.manifest.resource(*function.triggers[0].source)
            receiver(self.platform, record, function.name).dead_letter(received.body, received.attributes)

    def _invoke(
        self, function: FunctionRecord, event: Any, *more: Any, finish: Callable[[Any], None] | None = None
    ) -> Any:
        context = Context(
            function.name,
            str(uuid4()),
            deadline_at=time.time() + (function.timeout or DEADLINE),
            cold_start=function.name not in self._warm,
            target="local",
        )
        self._warm.add(function.name)
        token = current_context.set(context)
        try:
            with use_platform(self.platform), _replaced(self._replacements):
                value = self._functions[function.name](event, *more)
                value = run_shared(value) if hasattr(value, "send") else value
                if finish is not None:
                    finish(value)
                    tasks = take_tasks(context)
                    if tasks is not None:
                        tasks.run(run_shared)
                return value
        finally:
            current_context.reset(token)


def _read(response: Response, most: int | None) -> None:
    """Put the pieces of a streamed answer in place of its body, or a ConnectionError where it broke off.

    Whoever wants no more than ``most`` of them goes away then, as a caller does who hangs up.
    """
    if not isinstance(response, StreamResponse):
        return
    pieces = Pieces(response, run_shared)
    try:
        response.body = list(islice(pieces, most))
    except BrokenStreamError as error:
        response.body = ConnectionError(f"the answer broke off: {error}")
    finally:
        pieces.close()


class OverriddenPlatform:
    """A platform with some drivers, by kind and name, put in place of its own."""

    def __init__(self, platform: Platform, drivers: Mapping[tuple[str, str], Any]) -> None:
        self.target = platform.target
        self._platform = platform
        self._drivers = dict(drivers)

    def open(self, resource: Resource) -> Any:
        """The driver put in, or the platform's own; opened once."""
        key = resource.kind, resource.name
        if key not in self._drivers:
            self._drivers[key] = self._platform.open(resource)
        return self._drivers[key]

    def close(self) -> None:
        """Close the platform under it."""
        self._platform.close()


def _divide(overrides: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Callable[..., Any]]]:
    """What stands for resources, and what for the functions that handlers depend on."""
    drivers: dict[Any, Any] = {}
    functions: dict[Any, Callable[..., Any]] = {}
    for key, one in overrides.items():
        if isinstance(key, (Resource, str)) or not callable(key):
            drivers[key] = one
        elif callable(one):
            functions[key] = one
        else:
            raise ConfigError(f"what replaces dependency {key!r} is a function like it, got {one!r}")
    return drivers, functions


@contextlib.contextmanager
def _replaced(functions: Mapping[Any, Callable[..., Any]]) -> Iterator[None]:
    token = replacements.set(functions or None)
    try:
        yield
    finally:
        replacements.reset(token)


def _override_key(key: Any) -> tuple[str, str]:
    if isinstance(key, Resource):
        return key.kind, key.name
    kind, colon, name = key.partition(":") if isinstance(key, str) else ("", "", "")
    if not colon:
        raise ConfigError(f"overrides are by resource or by 'kind:name' ('bucket:uploads'), got {key!r}")
    return kind, name


def _folder(app: App) -> Path:
    """The project's folder: where the first handler or resource was written."""
    places = [trigger.where[0] for trigger in app.triggers] + [one.where[0] for one in app.resources.values()]
    existing = (Path(place).parent for place in places if Path(place).is_file())
    return next(existing, Path.cwd())


@contextlib.contextmanager
def _logged_errors() -> Iterator[list[BaseException]]:
    """What handlers raise inside the block: the invoke seam logs it and answers for it, as it does in a cloud."""
    errors: list[BaseException] = []

    class Catch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                errors.append(record.exc_info[1])

    logger, catch = logging.getLogger("portable"), Catch()
    logger.addHandler(catch)
    try:
        yield errors
    finally:
        logger.removeHandler(catch)
