"""A built artifact running here: its functions under the cloud's own runtime client, its resources on emulators, and
its events delivered.

    with deployed(Path("dist/aws")) as deployment:
        deployment.request(make_request("POST", "/images", body=png))
        deployment.settle()
        deployment.snapshot()
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.drivers import Platform, address_variable
from portable.errors import ConfigError
from portable.events import Request, Response, SocketEvent
from portable.http.answers import problem
from portable.http.routing import Routes
from portable.http.streams import StreamResponse
from portable.manifest import FunctionRecord, Manifest
from portable.plugins import adapter
from portable.run import parts
from portable.run.delivery import Delivery, Settled
from portable.run.storage import Contents, Storage
from portable.run.target import Artifact, InvocationError, Runner, Running, open_artifact
from portable.samples import Event, Outcome, Samples
from portable.triggers import HTTPRoute, Settings

__all__ = ["DEADLINE", "Deployment", "choose_function", "deployed", "find_socket", "given_addresses"]

DEADLINE = 30.0
"""Seconds a function has that asks for no timeout: the longest API Gateway's HTTP API waits."""


class Deployment:
    """See the module. Requests and events may come from several threads; ``settle`` runs in one at a time.

    Attributes:
        artifact: what runs. manifest: of its app. parts: the real parts in use, and their versions.
        platform: opens the same resources for whoever drives it. environment: what the functions run with.
    """

    def __init__(
        self, artifact: Artifact, running: Running, samples: Samples, platform: Platform, environment: Mapping[str, str]
    ) -> None:
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.parts: Mapping[str, str] = running.parts
        self.platform = platform
        self.environment = environment
        self._running = running
        self._samples = samples
        self._storage = Storage(self.manifest, platform)
        self._delivery = Delivery(self.manifest, platform, self._deliver, batch_limit=samples.batch_limit)
        self._choose = choose_function(self.manifest)

    def request(self, request: Request, chunks: int | None = None) -> Response:
        """Answer a request as the cloud's gateway does: 504 for a function past its deadline, 502 for one that failed
        as a whole, 404 where the app has no HTTP function. Both bodies are problems naming the function.

        Raises ConfigError for ``chunks``: the answer of an artifact comes whole here, however it was sent.
        """
        if chunks is not None:
            raise ConfigError("an artifact's answer comes whole: chunks= is for an app in this process")
        function = self._choose(request)
        if function is None:
            return problem(404, "This app has no HTTP function")
        try:
            outcome = self._invoke(function, request)
        except InvocationError as error:
            return _failed(function, error)
        if outcome.response is None:
            return problem(502, f"Function {function.name} gave no HTTP answer: {outcome.error}")
        return outcome.response

    def stream(self, request: Request) -> Response:
        """:meth:`request`, but where a route is declared to stream and the running artifact can hand it over so, with a
        StreamResponse, whose body is read as it comes.
        """
        function = self._choose(request)
        open_stream = getattr(self._running, "stream", None)
        if function is None or open_stream is None or not any(function.asks("stream")):
            return self.request(request)
        source = self.artifact.sources[function.name]
        native = self._samples.native(function, request, source=source)
        try:
            head, body = open_stream(function.name, native, timeout=_deadline(function))
        except InvocationError as error:
            return _failed(function, error)
        response = self._samples.outcome(function, request, head, source=source).response
        if response is None:
            body.close()
            return problem(502, f"Function {function.name} gave no HTTP answer")
        if "content-length" in response.headers or request.method == "HEAD":  # it is there already
            response.body = b"".join(body)
            return response
        streamed = StreamResponse(body, response.status, response.header_pairs())
        streamed.media_type = None
        return streamed

    def deliver(self, function: str, event: Event) -> Outcome:
        """Give a function an event, natively. A failed invocation is the outcome's ``error``.

        A batch larger than this cloud's events are is delivered one after the other; the outcome is of all of it.
        Raises ConfigError for an unknown function.
        """
        record, most = self.manifest.function(function), self._samples.batch_limit
        if record.kind != "message" or most is None or not isinstance(event, list) or len(event) <= most:
            return self._deliver(record, event)
        whole = Outcome()
        for start in range(0, len(event), most):
            part = event[start : start + most]
            outcome = self._deliver(record, part)
            whole.failed += [one.id for one in part] if outcome.error is not None else outcome.failed
            whole.after |= outcome.after
        return whole

    def socket(self, path: str) -> tuple[Callable[[SocketEvent], Response], bool]:
        """What answers the events of a websocket as the cloud's gateway asks it, and whether it carries bytes.

        Raises ConfigError.
        """
        function, binary = find_socket(self.manifest, path)

        def call(event: SocketEvent) -> Response:
            try:
                outcome = self._invoke(function, event)
            except InvocationError as error:
                return _failed(function, error)
            return outcome.response or problem(502, f"Function {function.name} gave no answer: {outcome.error}")

        return call, binary

    def socket_holder(self, path: str) -> int | None:
        """The port where the artifact's own process takes the websocket at a path; None where a gateway holds it.

        Raises ConfigError, and InvocationError for a process that does not start.
        """
        function, _ = find_socket(self.manifest, path)
        holds: Callable[[str], int | None] | None = getattr(self._running, "holder", None)
        return None if holds is None else holds(function.name)

    def invoke_native(self, function: str, native: Any) -> Any:
        """Give a function this cloud's own event, and return its own answer. Raises InvocationError and ConfigError."""
        record = self.manifest.function(function)
        return self._running.invoke(record.name, native, timeout=_deadline(record))

    def settle(self, timeout: float = 30.0) -> Settled:
        """Play the cloud's delivery until nothing is left to deliver: an imitation, see ``portable.run.delivery``.

        ``timeout`` is seconds. Raises NotSettledError for a loop.
        """
        return self._delivery.settle(timeout)

    def pump(self) -> Settled:
        """Deliver what is there now, once."""
        result = Settled()
        self._delivery.round(result)
        return result

    def snapshot(self) -> Contents:
        """What the buckets and queues hold."""
        return self._storage.contents()

    def dead_letters(self, queue: str) -> list[str]:
        """Bodies of a queue's dead letters, as sent."""
        return self._storage.dead_letters(queue)

    def reset(self) -> None:
        """Empty the buckets and queues, and forget the events of that."""
        self._storage.clear()
        self._delivery.forget()

    def log(self) -> str:
        """What the functions' processes printed."""
        return self._running.log()

    def _deliver(self, function: FunctionRecord, event: Event) -> Outcome:
        try:
            return self._invoke(function, event)
        except InvocationError as error:
            return Outcome(error=str(error))

    def _too_large(self, native: Any, source: str) -> int | None:
        """As the cloud's gateway refuses it, before the function: see ``Samples``."""
        check = getattr(self._samples, "too_large", None)
        return None if check is None else check(native, source=source)

    def _invoke(self, function: FunctionRecord, event: Event) -> Outcome:
        source = self.artifact.sources[function.name]
        native = self._samples.native(function, event, source=source)
        if isinstance(event, Request) and (most := self._too_large(native, source)) is not None:
            return Outcome(response=problem(413, f"{self.artifact.target} hands a function {most} bytes at most"))
        answer = self._running.invoke(function.name, native, timeout=_deadline(function))
        return self._samples.outcome(function, event, answer, source=source)


@contextlib.contextmanager
def deployed(
    folder: Path,
    *,
    log: Path | None = None,
    addresses: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Deployment]:
    """Run ``dist/<target>`` until the block is left.

    Args:
        log: where the functions' processes print; left out, a file that goes with the block.
        addresses: the environment the resources are reached with (see :func:`given_addresses`); left out, emulators
            are started for the block.
        variables: laid over those that the artifact's settings give its functions.

    Raises:
        ConfigError: it is no artifact, its files are not those of its manifest, no adapter of this name is installed,
            or a part is missing (the message says how to get it).
    """
    artifact = open_artifact(folder)
    check_complete(artifact)
    found = adapter(artifact.target)
    runner = chosen_runner(found.run, artifact)
    parts.need("python", artifact.python)
    for part in () if addresses is not None else runner.emulators:
        parts.need(part)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portable-", ignore_cleanup_errors=True)))
        environment: Mapping[str, str] = {**getattr(runner, "variables", {}), **(addresses or {})}
        if addresses is None:
            environment = stack.enter_context(runner.emulate(artifact.manifest, scratch))
        environment = {**artifact.variables, **environment, **(variables or {})}
        running = runner.start(artifact, environment, log or scratch / "functions.log")
        stack.callback(running.close)
        platform = found.platform(environment)
        stack.callback(platform.close)
        deployment = Deployment(artifact, running, found.samples, platform, environment)
        if addresses is None:
            deployment.parts = {**_versions(runner.emulators), **running.parts}
        yield deployment


def chosen_runner(runner: Runner, artifact: Artifact) -> Runner:
    """The runner of an artifact, see ``Runner``. Raises ConfigError."""
    choose: Callable[[Artifact], Runner] | None = getattr(runner, "chosen", None)
    return runner if choose is None else choose(artifact)


def given_addresses(manifest: Manifest, environment: Mapping[str, str] = os.environ) -> Mapping[str, str] | None:
    """The environment to reach the app's resources with, when it holds their addresses; None when it holds none.

    What belongs to this interpreter (``PYTHONPATH`` …) is left out. Raises ConfigError when some are there and some are
    not: half the app on emulators would be a surprise.
    """
    wanted = [address_variable(one.kind, one.name) for one in manifest.resources if not one.options.get("optional")]
    missing = [variable for variable in wanted if not environment.get(variable)]
    if len(missing) == len(wanted):
        return None
    if missing:
        raise ConfigError(
            f"the environment has addresses for some resources, but not {', '.join(missing)}; set all of them to run "
            "on resources of your own, or none to run on emulators"
        )
    return {
        name: value for name, value in environment.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }


def choose_function(manifest: Manifest) -> Any:
    """A function of a Request that gives the HTTP function it belongs to, as the cloud's gateway routes it.

    A path no function knows goes to ``http``, or to the first, whose app answers 404.
    """
    functions = [function for function in manifest.functions if function.kind == "http"]
    if len(functions) <= 1:
        return lambda request: functions[0] if functions else None
    by_name = {function.name: function for function in functions}
    fallback = by_name.get("http", functions[0])
    own = {function.name: Routes(_routes(function)) for function in functions}
    every = Routes(route for function in functions for route in _routes(function))

    def choose(request: Request) -> FunctionRecord:
        hit = every.find(request.method, request.raw_path)
        if hit is not None:
            return by_name[hit[0].function]
        knows = (name for name, routes in own.items() if routes.methods(request.raw_path))
        return by_name.get(next(knows, ""), fallback)

    return choose


def find_socket(manifest: Manifest, path: str) -> tuple[FunctionRecord, bool]:
    """The function of the websocket at a path, and whether it carries bytes. Raises ConfigError."""
    for function in manifest.functions:
        if function.kind == "socket" and function.asks("path") == [path]:
            sockets = manifest.resource("sockets", function.asks("sockets")[0])
            return function, sockets.options["binary"]
    paths = [one.asks("path")[0] for one in manifest.functions if one.kind == "socket"]
    raise ConfigError(f"app {manifest.app!r} has no websocket {path!r}; it has {', '.join(paths) or 'none'}")


def check_complete(artifact: Artifact) -> None:
    """Raise ConfigError unless every bundle is there, and its files are those the manifest lists."""
    for path in artifact.bundles.values():
        if not path.is_dir():
            missing = path.relative_to(artifact.folder)
            raise ConfigError(f"{artifact.folder} is incomplete: {missing} is not there; build it again")
    document = msgspec.json.decode((artifact.folder / "manifest.json").read_bytes())
    for name, recorded in document.get("files", {}).items():
        if name.endswith(".zip") and "/" not in name:  # what runs here is the folder
            continue
        try:
            digest = hashlib.sha256((artifact.folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"{artifact.folder} is incomplete: {name}: {error.strerror}; build it again") from error
        if digest != recorded["sha256"]:
            raise ConfigError(f"{artifact.folder}: {name} was changed after the build; build it again")


def _versions(names: Sequence[str]) -> dict[str, str]:
    return {name: part.version for name in names if (part := parts.find(name)) is not None}


def _routes(function: FunctionRecord) -> list[HTTPRoute]:
    settings = Settings(function=function.name)
    return [HTTPRoute(one.options["method"], one.options["path"], _no_handler, settings) for one in function.triggers]


def _no_handler() -> None:
    """Routes are looked up here, never called."""


def _deadline(function: FunctionRecord) -> float:
    return function.timeout or DEADLINE


def _failed(function: FunctionRecord, error: InvocationError) -> Response:
    if error.kind == "Timeout":
        return problem(504, f"Function {function.name} did not answer within {_deadline(function):g} s")
    return problem(502, f"Function {function.name} failed: {error.kind}")
