"""Runs a built artifact under Google's functions-framework, the one in its bundle, with the artifact's interpreter.

A process a function, as Cloud Run has a service a function; started on first use. Nothing enforces a timeout in there:
gunicorn's is off for threads, and in the cloud it is Cloud Run's front end that answers 504 while the handler goes on.
That front end is played here.

Events are posted without an OIDC token, which is Google's to sign; the processes take them from loopback alone
(``PORTABLE_EVENT_AUTH``, see ``portable_gcp.triggers.identity``).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock
from typing import Any

from portable.drivers import address_variable
from portable.manifest import Manifest
from portable.run import emulators, parts
from portable.run.bodies import Body, exchange
from portable.run.processes import LOOPBACK, StartError, accepts, free_port, running
from portable.run.processes import Running as Process
from portable.run.target import Artifact, InvocationError
from portable.samples.posted import body_of, with_body
from portable_gcp.capabilities import NAMES
from portable_gcp.limits import DEFAULT_TIMEOUT
from portable_gcp.provision import call, make_queue, make_topic
from portable_gcp.triggers.identity import UNVERIFIED
from portable_gcp.wire import read_event, write_event

__all__ = ["RUNNER", "FunctionsFramework", "GoogleRunner"]


class FunctionsFramework:
    """See ``portable.run.target.Running``."""

    def __init__(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> None:
        self._artifact = artifact
        self._environment = environment
        self._log = log
        python = parts.need("python", artifact.python)
        self._python = python.path
        self._lock = Lock()
        self._starting = {function.name: Lock() for function in artifact.manifest.functions}
        self._ports: dict[str, int] = {}
        self._processes: dict[str, Process] = {}
        self._blocks: list[AbstractContextManager[Process]] = []
        self.parts: Mapping[str, str] = {"python": python.version, **_vendored(artifact)}

    def invoke(self, function: str, native: Any, *, timeout: float | None = None) -> Any:
        """Send the request, and return its answer, whatever its status.

        Raises InvocationError: an import error's own type when the function does not start, ``Timeout``, and
        ``ConnectionError`` when the process ended meanwhile.
        """
        if self._artifact.sources[function] == "storage-eventarc":
            native = _with_physical_bucket(native, self._environment)
        if self._artifact.sources[function] == "firestore-eventarc":
            native = _with_physical_collection(native, self._environment)
        with self._exchanging(function, timeout) as (port, limit):
            head, body = _exchange(port, native, limit)
            return with_body(head, b"".join(body))

    def stream(self, function: str, native: Any, *, timeout: float | None = None) -> tuple[Any, Iterator[bytes]]:
        """See ``portable.run.target.Running``."""
        with self._exchanging(function, timeout) as (port, limit):
            head, body = _exchange(port, native, limit)
            return with_body(head, b""), body

    @contextlib.contextmanager
    def _exchanging(self, function: str, timeout: float | None) -> Iterator[tuple[int, float]]:
        """The port of a function and the instant its answer has to be there. Raises InvocationError."""
        record = self._artifact.manifest.function(function)
        seconds = timeout or record.timeout or DEFAULT_TIMEOUT.total_seconds()
        port = self._started(function)
        try:
            yield port, time.monotonic() + seconds
        except TimeoutError as error:
            raise InvocationError("Timeout", f"function {function} did not answer within {seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            trace = "".join(self.log().splitlines(keepends=True)[-30:])
            message = f"function {function} ended the connection: {type(error).__name__}: {error}"
            raise InvocationError("ConnectionError", message, trace) from error

    def log(self) -> str:
        """What the processes printed so far."""
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End every process, all at once: gunicorn takes a second to go."""
        with self._lock:
            blocks, self._blocks = self._blocks, []
            self._processes.clear()
        with ThreadPoolExecutor(len(blocks) or 1) as pool:
            for ended in [pool.submit(block.__exit__, None, None, None) for block in blocks]:
                ended.result()

    def _started(self, function: str) -> int:
        with self._starting[function]:
            process = self._processes.get(function)
            if process is None or not process.alive:  # Cloud Run starts another instance for one that ended
                self._start(function)
            return self._ports[function]

    def _start(self, function: str) -> None:
        port = free_port()
        bundle = self._artifact.bundle_of(function)
        target = function.replace("-", "_")
        signature = "cloudevent" if self._artifact.sources[function].endswith("-eventarc") else "http"
        # -S: the artifact has to do without what is installed beside the interpreter.
        command: list[str | Path] = [
            self._python,
            "-S",
            "-P",
            "-m",
            "functions_framework",
            "--source",
            bundle / "main.py",
        ]
        command += ["--target", target, "--signature-type", signature, "--host", LOOPBACK, "--port", str(port)]
        before = len(self.log())
        record = self._artifact.manifest.function(function)
        seconds = record.timeout or DEFAULT_TIMEOUT.total_seconds()
        environment = {
            **self._environment,
            "PYTHONPATH": str(bundle),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CLOUD_RUN_TIMEOUT_SECONDS": str(max(1, round(seconds))),
            "PORTABLE_EVENT_AUTH": UNVERIFIED,
        }
        block = running(
            f"functions-framework {function}",
            command,
            ready=lambda _: accepts(port),
            environment=environment,
            inherit=False,
            log=self._log,
            timeout=60.0,
        )
        try:
            self._processes[function] = block.__enter__()
        except StartError as error:
            raise _start_error(function, self.log()[before:] or str(error)) from error
        self._ports[function] = port
        with self._lock:
            self._blocks.append(block)


def _exchange(port: int, native: Mapping[str, Any], limit: float) -> tuple[dict[str, Any], Body]:
    return exchange(port, native["method"], native["path"], native["headers"], body_of(native), limit)


def _start_error(function: str, printed: str) -> InvocationError:
    """The Python error a process ended with, from what it printed."""
    found = re.findall(r"^([A-Za-z_][\w.]*): (.*)$", printed, re.MULTILINE)
    kind, text = found[-1] if found else ("StartError", printed)
    trace = printed[max(0, printed.rfind("Traceback (most recent call last)")) :]
    return InvocationError(kind.rpartition(".")[2], f"function {function} does not start: {text}", trace)


def _with_physical_bucket(native: Any, environment: Mapping[str, str]) -> Any:
    """A sample names a bucket as it is declared; the function knows it by its address."""
    try:
        document = json.loads(body_of(native))
        name = document["bucket"]
        address = environment[address_variable("bucket", name)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return native  # malformed, or physical already: as it is
    document["bucket"] = address.removeprefix("gs://")
    return with_body(native, json.dumps(document).encode())


def _with_physical_collection(native: Any, environment: Mapping[str, str]) -> Any:
    """Likewise of a table: its collection is in the names of the documents."""
    try:
        documents = read_event(body_of(native))
        moved: list[Any] = []
        for document in documents:
            if document is None:
                moved.append(None)
                continue
            collection, _, identity = document[0].rpartition("/")
            address = environment[address_variable("table", collection.rpartition("/")[2])]
            moved.append((f"{address}/{identity}", document[1]))
    except (ValueError, KeyError):
        return native  # malformed, or physical already: as it is
    return with_body(native, write_event(*moved))


def _vendored(artifact: Artifact) -> dict[str, str]:
    found = {}
    for bundle in artifact.bundles.values():
        for info in bundle.glob("functions_framework-*.dist-info"):
            found["functions-framework"] = info.name.removeprefix("functions_framework-").removesuffix(".dist-info")
    return found


class GoogleRunner:
    """See ``portable.run.target.Runner``. functions-framework itself comes with the artifact."""

    parts: Sequence[str] = ("python",)
    emulators: Sequence[str] = ("fake-gcs-server", "firestore-emulator", "java", "pubsub-emulator")

    def start(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> FunctionsFramework:
        """Nothing runs yet: a function's process starts with its first event."""
        return FunctionsFramework(artifact, environment, log)

    @contextlib.contextmanager
    def emulate(self, manifest: Manifest, folder: Path) -> Iterator[Mapping[str, str]]:
        """fake-gcs-server for buckets, Google's emulators for queues and tables; each only where the app has one."""
        environment: dict[str, str] = {"GOOGLE_CLOUD_PROJECT": emulators.PROJECT}
        with contextlib.ExitStack() as stack:
            if manifest.of_kind("bucket"):
                storage = stack.enter_context(emulators.fake_gcs(log=folder / "fake-gcs-server.log"))
                environment |= storage.environment
                for bucket in manifest.of_kind("bucket"):
                    name = NAMES["bucket"].physical(bucket.name)
                    call("POST", f"{storage.endpoint}/storage/v1/b", {"name": name})
                    environment[address_variable("bucket", bucket.name)] = f"gs://{name}"
            if manifest.of_kind("queue") or manifest.of_kind("topic"):
                pubsub = stack.enter_context(emulators.pubsub(log=folder / "pubsub-emulator.log"))
                environment |= pubsub.environment
                for queue in manifest.of_kind("queue"):
                    topic, dead = (
                        f"projects/{emulators.PROJECT}/topics/{name}" for name in NAMES["queue"].every(queue.name)
                    )
                    make_queue(pubsub.endpoint, topic, dead, queue.options)
                    environment[address_variable("queue", queue.name)] = topic
                    environment[address_variable("deadletter", queue.name)] = dead
                for one in manifest.of_kind("topic"):
                    name, subscriptions = NAMES["topic"].physical(one.name), manifest.subscriptions(one.name)
                    project = emulators.PROJECT
                    environment |= make_topic(pubsub.endpoint, project, one.name, name, one.options, subscriptions)
            if manifest.of_kind("table"):  # a collection is made by its first document
                firestore = stack.enter_context(emulators.firestore(log=folder / "firestore-emulator.log"))
                environment |= firestore.environment
                documents = f"projects/{emulators.PROJECT}/databases/(default)/documents"
                for table in manifest.of_kind("table"):
                    address = f"{documents}/{NAMES['table'].physical(table.name)}"
                    environment[address_variable("table", table.name)] = address
            if manifest.of_kind("secret"):
                vault = stack.enter_context(emulators.secret_manager())
                environment |= vault.environment
                for secret in manifest.of_kind("secret"):
                    name = NAMES["secret"].physical(secret.name)
                    vault.put(name, emulators.made_up_secret(secret.name).encode())
                    address = f"projects/{emulators.PROJECT}/secrets/{name}"
                    environment[address_variable("secret", secret.name)] = address
            environment |= stack.enter_context(emulators.cache_addresses(manifest, folder))
            yield environment | emulators.config_values(manifest)


RUNNER = GoogleRunner()
