"""Runs a built container's process here, without an image: the bundle, the artifact's interpreter, a loopback port.

Events are pushed to it as `portable run` and `portable verify` play a cloud's deliveries, so it does not poll by
itself; what it is reached through is its own HTTP server. The resources are those of the platform it was built for, on
that platform's emulators.
"""

from __future__ import annotations

import contextlib
import http.client
import runpy
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from portable.drivers import address_variable
from portable.errors import ConfigError
from portable.manifest import Manifest
from portable.run import emulators, parts
from portable.run.bodies import Body, exchange
from portable.run.delivery import resource_of
from portable.run.processes import LOOPBACK, StartError, answers, free_port, running, tail
from portable.run.processes import Running as Process
from portable.run.target import Artifact, InvocationError
from portable.samples.posted import body_of, with_body
from portable_container.build import ENTRY
from portable_container.control import PREFIX
from portable_container.runtime import PLATFORM, PLATFORMS

__all__ = ["RUNNER", "ContainerRunner", "ContainerRunning"]

DEADLINE = 30.0
"""Seconds an invocation has where nobody says otherwise."""

START = 60.0


class ContainerRunning:
    """See ``portable.run.target.Running``. One process serves all functions; one that ended is started anew."""

    def __init__(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> None:
        python = parts.need("python", artifact.python)
        self.parts: Mapping[str, str] = {"python": python.version}
        self._artifact = artifact
        self._python = python.path
        self._environment = dict(environment)
        self._log = log
        self._token = secrets.token_urlsafe(32)
        self._lock = Lock()
        self._process: Process | None = None
        self._port = 0
        self._blocks: list[AbstractContextManager[Process]] = []

    def invoke(self, function: str, native: Any, *, timeout: float | None = None) -> Any:
        """Send the request, and return its answer, whatever its status. Raises InvocationError."""
        with self._exchanging(function, timeout) as (port, limit):
            head, body = self._ask(port, native, limit)
            return with_body(head, b"".join(body))

    def stream(self, function: str, native: Any, *, timeout: float | None = None) -> tuple[Any, Iterator[bytes]]:
        """See ``portable.run.target.Streaming``."""
        with self._exchanging(function, timeout) as (port, limit):
            head, body = self._ask(port, native, limit)
            return with_body(head, b""), body

    def holder(self, function: str) -> int | None:
        """See ``portable.run.target.Holding``."""
        return self._started() if self._artifact.sources[function] == "websocket" else None

    def _ask(self, port: int, native: Any, limit: float) -> tuple[dict[str, Any], Body]:
        headers = [(name, value) for name, value in native["headers"]]
        if native["path"].startswith(PREFIX):
            headers.append(("authorization", f"Bearer {self._token}"))
        return exchange(port, native["method"], native["path"], headers, body_of(native), limit)

    @contextlib.contextmanager
    def _exchanging(self, function: str, timeout: float | None) -> Iterator[tuple[int, float]]:
        seconds = timeout or DEADLINE
        port = self._started()
        try:
            yield port, time.monotonic() + seconds
        except TimeoutError as error:
            raise InvocationError("Timeout", f"function {function} did not answer within {seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            message = f"function {function} ended the connection: {type(error).__name__}: {error}"
            raise InvocationError("ConnectionError", message, tail(self._log)) from error

    def _started(self) -> int:
        with self._lock:
            if self._process is None or not self._process.alive:
                self._start()
            return self._port

    def _start(self) -> None:
        port = free_port()
        [bundle] = self._artifact.bundles.values()
        environment = {
            "PORTABLE_POLL": "0",
            "PORTABLE_PROXIES": "1",
            "PORTABLE_EVENTS_TOKEN": self._token,
            **self._environment,
            "HOST": LOOPBACK,
            "PORT": str(port),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if "PORTABLE_EVENTS_TOKEN" in self._environment:
            self._token = self._environment["PORTABLE_EVENTS_TOKEN"]
        block = running(
            "container",
            # -S: the artifact has to do without what is installed beside the interpreter.
            [self._python, "-S", "-m", "portable_container"],
            ready=lambda _: answers(port, "/-/ready"),
            environment=environment,
            inherit=False,
            directory=bundle,
            log=self._log,
            timeout=START,
        )
        try:
            self._process = block.__enter__()
        except StartError as error:
            raise InvocationError("StartError", str(error), tail(self._log)) from error
        self._port = port
        self._blocks.append(block)

    def log(self) -> str:
        """What the process printed so far."""
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End the process."""
        with self._lock:
            blocks, self._blocks = self._blocks, []
            self._process = None
        for block in blocks:
            block.__exit__(None, None, None)


class ContainerRunner:
    """See ``portable.run.target.Runner``. ``platform``: whose emulators the resources are on."""

    def __init__(self, platform: str = PLATFORMS[0]) -> None:
        self.platform = platform

    def chosen(self, artifact: Artifact) -> ContainerRunner:
        """The runner of an artifact: of the platform it was built for. Raises ConfigError."""
        [bundle] = artifact.bundles.values()
        platform = runpy.run_path(str(bundle / ENTRY)).get("PLATFORM")
        if platform not in PLATFORMS:
            raise ConfigError(f"{bundle / ENTRY} names no platform: build it again")
        return ContainerRunner(platform)

    @property
    def variables(self) -> Mapping[str, str]:
        """What the drivers of whoever looks on are chosen by."""
        return {PLATFORM: self.platform}

    @property
    def _platforms(self) -> Any:
        return import_module(f"portable_{self.platform}.run").RUNNER

    @property
    def parts(self) -> Sequence[str]:
        """The interpreter."""
        return ("python",)

    @property
    def emulators(self) -> Sequence[str]:
        """Those of the platform."""
        if self.platform == "nats":
            return ("nats-server",)
        found: Sequence[str] = self._platforms.emulators
        return found

    def start(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> ContainerRunning:
        """The process is started on first use. Raises ConfigError when there is no such interpreter."""
        return ContainerRunning(artifact, environment, log)

    @contextlib.contextmanager
    def emulate(self, manifest: Manifest, folder: Path) -> Iterator[Mapping[str, str]]:
        """The platform's emulators, with what the app's resources need; NATS itself, which needs none."""
        if self.platform == "nats":
            with _nats(manifest, folder) as environment:
                yield {**environment, **self.variables}
            return
        with self._platforms.emulate(manifest, folder) as environment:
            yield {**environment, **self.variables}


@contextlib.contextmanager
def _nats(manifest: Manifest, folder: Path) -> Iterator[Mapping[str, str]]:
    """A server with the app's queues, topics, tables and buckets, and Redis for its caches."""
    made = import_module("portable_nats.provision")
    with (
        emulators.nats_server(log=folder / "nats-server.log") as server,
        emulators.cache_addresses(manifest, folder) as caches,
    ):
        environment = {**server.environment, **caches}
        records = [one for one in manifest.resources if one.kind in ("bucket", "queue", "table", "topic")]
        for one in records:
            address = f"{server.environment['NATS_URL']}/{one.kind}-{one.name}"
            environment[address_variable(one.kind, one.name)] = address
            if one.kind == "queue":
                environment[address_variable("deadletter", one.name)] = f"{address}-dead"
        made.provision([resource_of(one) for one in records], environment)
        for topic in manifest.of_kind("topic"):
            made.subscribe(resource_of(topic), manifest.subscriptions(topic.name), environment)
        yield environment


RUNNER = ContainerRunner()
