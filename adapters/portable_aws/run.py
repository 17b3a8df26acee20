"""Runs a built AWS artifact here: AWS's Runtime Interface Emulator and ``awslambdaric``, one pair a function."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from portable.drivers import address_variable
from portable.manifest import FunctionRecord, Manifest
from portable.run import emulators, parts, supervisor
from portable.run.processes import LOOPBACK, accepts, free_port, tail
from portable.run.target import Artifact, InvocationError, Running
from portable_aws._sdk import Client
from portable_aws.build import handler_name
from portable_aws.lambda_api import BrokenAnswerError, Instance
from portable_aws.provision import make_queue, make_secret, make_stream, make_table, make_topic
from portable_aws.samples import physical_name

__all__ = ["RUNNER", "AWSRunner"]

START = 30.0
"""Seconds the emulator has to listen."""

GRACE = 3.0
"""Seconds the emulator may take to end an invocation and to say so."""

_PATH = "/2015-03-31/functions/function/invocations"
_ERROR_KEYS = {"errorMessage", "errorType", "requestId", "stackTrace"}
_TIMED_OUT = b"Task timed out"
_LOOP = "from portable_aws.runtime_loop import main; main()"
_KEPT = ("HOME", "PATH", "TMPDIR")


class AWSRunner:
    """See ``portable.run.target.Runner``."""

    parts: Sequence[str] = ("python", "aws-lambda-rie", "awslambdaric")
    emulators: Sequence[str] = ("moto",)

    def start(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> Running:
        """Processes are started on first use. Raises ConfigError naming a missing part."""
        return AWSRunning(artifact, environment, log)

    @contextlib.contextmanager
    def emulate(self, manifest: Manifest, folder: Path) -> Iterator[Mapping[str, str]]:
        """S3, SQS, SNS, Kinesis and DynamoDB by moto. Nothing is started for an app without resources."""
        if not manifest.resources:
            yield {"AWS_REGION": emulators.REGION}
            return
        folder.mkdir(parents=True, exist_ok=True)
        with emulators.moto_server(log=folder / "moto.log") as moto:
            environment = dict(moto.environment)
            made = _create(manifest, environment) | emulators.config_values(manifest)
            with emulators.cache_addresses(manifest, folder) as caches, _gateway(manifest) as sockets:
                yield environment | made | caches | sockets


RUNNER = AWSRunner()


@contextlib.contextmanager
def _gateway(manifest: Manifest) -> Iterator[dict[str, str]]:
    """The addresses of the app's sockets, at a stand-in for the connections of its WebSocket APIs."""
    named = [address_variable("sockets", sockets.name) for sockets in manifest.of_kind("sockets")]
    if not named:
        yield {}
        return
    with emulators.connections_api() as gateway:
        yield dict.fromkeys(named, f"{gateway.endpoint}/live")


def _create(manifest: Manifest, environment: Mapping[str, str]) -> dict[str, str]:
    """Make the app's resources, and give their addresses."""
    addresses: dict[str, str] = {}
    s3, sqs, sns = (Client(service, environment) for service in ("s3", "sqs", "sns"))
    for bucket in manifest.of_kind("bucket"):
        name = physical_name("bucket", bucket.name)
        s3.get().create_bucket(Bucket=name)
        addresses[address_variable("bucket", bucket.name)] = f"s3://{name}"
    for queue in manifest.of_kind("queue"):
        name = physical_name("queue", queue.name)
        fifo = bool(queue.options.get("ordered") or queue.options.get("dedup"))
        made, dead = make_queue(sqs.get(), name, queue.options["max_attempts"], fifo=fifo)
        addresses[address_variable("queue", queue.name)] = made
        addresses[address_variable("deadletter", queue.name)] = dead
    for topic in manifest.of_kind("topic"):
        name, subscriptions = physical_name("topic", topic.name), manifest.subscriptions(topic.name)
        addresses |= make_topic(sns.get(), sqs.get(), topic.name, name, topic.options, subscriptions)
    kinesis = Client("kinesis", environment)
    for stream in manifest.of_kind("stream"):
        address = make_stream(kinesis.get(), physical_name("stream", stream.name), stream.options)
        addresses[address_variable("stream", stream.name)] = address
    dynamodb = Client("dynamodb", environment)
    for table in manifest.of_kind("table"):
        name = physical_name("table", table.name)
        address = make_table(dynamodb.get(), name, table.options, old=manifest.wants_changes(table.name))
        addresses[address_variable("table", table.name)] = address
    secretsmanager = Client("secretsmanager", environment)
    for secret in manifest.of_kind("secret"):
        address = make_secret(secretsmanager.get(), physical_name("secret", secret.name), secret.name)
        addresses[address_variable("secret", secret.name)] = address
    for client in (dynamodb, kinesis, secretsmanager, s3, sqs, sns):
        client.close()
    return addresses


class AWSRunning:
    """See ``portable.run.target.Running``. A function takes one invocation at a time, as an instance of Lambda does.

    An invocation over its function's timeout is ended by the emulator, which counts the start of a cold instance in.
    """

    def __init__(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> None:
        self._artifact = artifact
        self._environment = dict(environment)
        self._log = log
        self._python = parts.need("python", artifact.python)
        self._emulator = parts.need("aws-lambda-rie")
        self._own = any((bundle / "bootstrap").is_file() for bundle in artifact.bundles.values())
        self._client = None if self._own else parts.need("awslambdaric", artifact.python)
        found = (self._emulator, self._client, self._python)
        self.parts: Mapping[str, str] = {part.name: part.version for part in found if part is not None}
        self._guard = Lock()
        self._instances: dict[str, _Instance] = {}
        self._streams: dict[str, Instance] = {}
        self._closed = False
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()

    def invoke(self, function: str, native: Any, *, timeout: float | None = None) -> Any:
        """One at a time a function; several functions at a time. ``timeout`` counts from when its turn comes."""
        record = self._artifact.manifest.function(function)
        if self._is_streamed(record):
            head, body = self.stream(function, native, timeout=timeout)
            try:
                return _joined(head, b"".join(body))
            except BrokenAnswerError as error:
                raise InvocationError("BrokenAnswer", str(error), tail(self._log)) from error
        with self._guard:
            if self._closed:
                raise InvocationError("Closed", "the artifact runs no more")
            instance = self._instances.get(function)
            if instance is None:
                instance = self._instances[function] = _Instance(function, self._command(record), self._log)
        if timeout is not None and record.timeout is not None and record.timeout <= timeout:
            timeout = math.ceil(record.timeout) + GRACE  # the emulator ends it, as Lambda does, and starts anew
        return instance.invoke(native, timeout)

    def stream(self, function: str, native: Any, *, timeout: float | None = None) -> tuple[Any, Iterator[bytes]]:
        """See ``portable.run.target.Streaming``: under a server of ours that plays Lambda's API, see ``lambda_api``."""
        record = self._artifact.manifest.function(function)
        with self._guard:
            if self._closed:
                raise InvocationError("Closed", "the artifact runs no more")
            instance = self._streams.get(function)
            if instance is None:
                (_, *program), environment, bundle = self._command(record)
                instance = self._streams[function] = Instance(program, environment, bundle, self._log)
        seconds = min(filter(None, (timeout, record.timeout)), default=None)
        return instance.stream(native, seconds)

    def _is_streamed(self, record: FunctionRecord) -> bool:
        return self._own and record.kind == "http" and any(record.asks("stream"))

    def _command(self, record: FunctionRecord) -> tuple[list[str], dict[str, str], Path]:
        bundle = self._artifact.bundle_of(record.name)
        # -S: what this machine has installed is not in Lambda, where the bundle has to hold all.
        program = [str(self._python.path), "-S", "-m", "awslambdaric", f"portable_entry.{handler_name(record.name)}"]
        libraries = [str(bundle)]
        if self._client is None:
            program[2:] = ["-c", _LOOP]
        else:
            libraries.append(str(self._client.path))
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {
            "AWS_LAMBDA_FUNCTION_NAME": record.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(record.memory or 128),
            "LAMBDA_TASK_ROOT": str(bundle),
            "LANG": "en_US.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",  # the artifact stays as it was built
            "PYTHONPATH": os.pathsep.join(libraries),
            "_HANDLER": f"portable_entry.{handler_name(record.name)}",
            "TZ": ":UTC",
        }
        if record.timeout is not None:
            environment["AWS_LAMBDA_FUNCTION_TIMEOUT"] = str(math.ceil(record.timeout))
        return [str(self._emulator.path), *program], environment | self._environment, bundle

    def log(self) -> str:
        """What the emulators and the functions printed so far."""
        return self._log.read_text("utf-8", errors="replace")

    def close(self) -> None:
        """End every process."""
        with self._guard:
            self._closed = True
            instances: list[Any] = [*self._instances.values(), *self._streams.values()]
        for instance in instances:
            instance.stop()


def _is_error(answer: Any) -> bool:
    """Whether this is the emulator's document of an error, and no answer of a function's."""
    if not isinstance(answer, dict):
        return False
    own = set(answer) == {"errorMessage", "errorType"} and str(answer["errorType"]).startswith("Function.")
    return own or set(answer) == _ERROR_KEYS


def _joined(head: dict[str, Any], body: bytes) -> dict[str, Any]:
    """A streamed answer as one that is there at once."""
    text = base64.b64encode(body).decode()
    return {**head, "body": text, "isBase64Encoded": True}


class _Instance:
    """One function's emulator, started on first use and again after it had to be ended."""

    def __init__(self, function: str, command: tuple[list[str], dict[str, str], Path], log: Path) -> None:
        self._function = function
        self._command, self._environment, self._bundle = command
        self._log = log
        self._turn = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def invoke(self, native: Any, timeout: float | None) -> Any:
        payload = json.dumps(native, ensure_ascii=False).encode()
        with self._turn:
            if self._process is None or self._process.poll() is not None:
                self._start()
            try:
                status, text = self._post(payload, timeout)
            except TimeoutError as error:
                self.stop()
                message = f"function {self._function} took longer than {timeout:g} s"
                raise InvocationError("Timeout", message) from error
            except (OSError, http.client.HTTPException) as error:
                self.stop()
                raise InvocationError("Runtime.ExitError", f"the emulator ended: {error}", tail(self._log)) from error
            if text.startswith(_TIMED_OUT):
                self.stop()  # the emulator answers before it has reset, and fails what comes meanwhile
        return self._read(status, text)

    def _post(self, payload: bytes, timeout: float | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=timeout)
        try:
            connection.request("POST", _PATH, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _read(self, status: int, text: bytes) -> Any:
        """The function's answer. The emulator gives an error 200 as well, and a timeout as bare text."""
        try:
            answer = json.loads(text)
        except ValueError as error:
            words = text.decode("utf-8", "replace")
            kind = "Timeout" if text.startswith(_TIMED_OUT) else "InvalidAnswer"
            raise InvocationError(kind, words or f"an empty answer with status {status}", tail(self._log)) from error
        if status == 200 and not _is_error(answer):
            return answer
        failed = answer if isinstance(answer, dict) else {}
        trace = "".join(failed.get("stackTrace") or ()) or tail(self._log)
        raise InvocationError(failed.get("errorType") or f"HTTP {status}", failed.get("errorMessage") or "", trace)

    def _start(self) -> None:
        for last in (False, False, True):
            self._port = free_port()
            runtime = free_port()
            emulator, *program = self._command
            places = ["--runtime-interface-emulator-address", f"{LOOPBACK}:{self._port}"]
            places += ["--runtime-api-address", f"{LOOPBACK}:{runtime}"]
            with self._log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", supervisor.__file__, emulator, *places, *program],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    cwd=self._bundle,
                    start_new_session=True,
                )
            if self._listens():
                return
            self.stop()
            if last:
                raise InvocationError("NotStarted", "AWS's emulator does not listen", tail(self._log))

    def _listens(self) -> bool:
        assert self._process is not None
        limit = time.monotonic() + START
        while time.monotonic() < limit and self._process.poll() is None:
            if accepts(self._port):
                return True
            time.sleep(0.01)
        return False

    def stop(self) -> None:
        """End the processes. Whoever waits for an answer gets an error."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()  # the supervisor takes it from here
        try:
            process.wait(supervisor.GRACE + 3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
