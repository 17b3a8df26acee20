"""Runs Azure artifacts under Microsoft's own worker code, ``azure-functions-runtime``, one process a Function App.

The worker is the one Azure runs from Python 3.13 on: it indexes ``function_app.py``, decodes bindings and executes.
The Functions host is not here (it is a .NET program with tools of its own). What it does is imitated: choosing the
function of a request, the shape of what it sends the worker, messages out of base64, physical names, cookies and the
content type of an answer, ending the worker when an invocation exceeds its timeout. Retries and poison messages are
played by ``portable.run.delivery``. There is no event hub either: a stream's function gets the records that are posted
to it.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Lock
from typing import Any

from portable.drivers import address_variable
from portable.manifest import Manifest
from portable.resources.topic import subscription_name
from portable.run import emulators, parts
from portable.run.target import Artifact, InvocationError
from portable_azure import _sdk
from portable_azure.build.plan import bus_queues
from portable_azure.capabilities import NAMES
from portable_azure.queue import poison_address
from portable_azure.run.process import AppProcess
from portable_azure.samples import PUBSUB_KEY
from portable_azure.sockets import CONNECTION
from portable_azure.table import parse_address

__all__ = ["RUNNER", "AzureRunner", "AzureRunning"]

_START_SECONDS = 60.0  # an import of a large app on a busy machine
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT")


class AzureRunning:
    """See ``portable.run.target.Running``. A process starts with the first invocation of its app."""

    def __init__(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> None:
        self._worker = parts.need("azure-functions-runtime", artifact.python)
        self._python = parts.need("python", artifact.python)
        self._artifact = artifact
        self._environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "TZ": "UTC",
            **environment,
        }
        self._log = log
        self._apps: dict[str, AppProcess] = {}
        self._starting = Lock()
        self.parts: Mapping[str, str] = {
            "azure-functions-runtime": self._worker.version,
            "python": self._python.version,
        }

    def invoke(self, function: str, native: Any, *, timeout: float | None = None) -> Any:
        if (found := self._proxied(function, native)) is not None:
            try:
                head, body = self.stream(function, native, timeout=timeout)
                head["return"]["http"]["body"] = {"bytes": b64encode(b"".join(body)).decode()}
            except (OSError, HTTPException) as error:
                raise InvocationError("ConnectionError", f"{found.http} hung up: {error}") from error
            return head
        app = self._app(self._artifact.functions[function])
        resource = native.get("resource") if isinstance(native, dict) else None
        if not isinstance(native, dict) or not isinstance(native.get("data"), dict):
            raise InvocationError(
                "BadEvent", 'an event for Azure is {"data": {…}, "metadata": {…}}, see portable events'
            )
        names = [f"{function}_{resource.replace(':', '_')}", function] if resource else [function]
        try:
            return app.invoke(names, self._with_physical_names(native), timeout)
        except InvocationError as error:
            if error.kind in ("Timeout", "WorkerExited"):
                self._forget(app)
            raise

    def stream(self, function: str, native: Any, *, timeout: float | None = None) -> tuple[Any, Iterator[bytes]]:
        """See ``portable.run.target.Streaming``: of an app that streams, which says so when it is indexed."""
        app = self._app(self._artifact.functions[function])
        try:
            return app.proxy([function], native, timeout)
        except InvocationError as error:
            if error.kind in ("Timeout", "WorkerExited"):
                self._forget(app)
            raise

    def _proxied(self, function: str, native: Any) -> AppProcess | None:
        """The app of a function whose HTTP the host passes on; None for any other event."""
        if not isinstance(native, dict) or not isinstance(native.get("data"), dict) or "http" not in native["data"]:
            return None
        app = self._app(self._artifact.functions[function])
        return app if app.http else None

    def _app(self, bundle: str) -> AppProcess:
        with self._starting:
            app = self._apps.get(bundle)
            if app is None:
                app = self._apps[bundle] = AppProcess(
                    self._python.path,
                    self._artifact.bundles[bundle],
                    self._worker.path,
                    self._environment,
                    self._log,
                    _START_SECONDS,
                )
            return app

    def _forget(self, app: AppProcess) -> None:
        with self._starting:
            for name, known in list(self._apps.items()):
                if known is app:
                    del self._apps[name]
        app.close()

    def _with_physical_names(self, native: dict[str, Any]) -> dict[str, Any]:
        """Event Grid's events name the container, which a sample does not know."""
        text, resource = native["data"].get("json"), native.get("resource")
        address = self._environment.get(address_variable("bucket", resource)) if resource else None
        if not text or not address:
            return native
        container = address.partition("?")[0].rstrip("/").rpartition("/")[2]
        return {**native, "data": {"json": text.replace(f"/containers/{resource}/", f"/containers/{container}/")}}

    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        with self._starting:
            apps, self._apps = self._apps, {}
        for app in apps.values():
            app.close()


class AzureRunner:
    """See ``portable.run.target.Runner``."""

    parts: Sequence[str] = ("azure-functions-runtime", "python")
    emulators: Sequence[str] = ("azurite", "cosmosdb-server", "node")

    def start(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> AzureRunning:
        return AzureRunning(artifact, environment, log)

    @contextmanager
    def emulate(self, manifest: Manifest, folder: Path) -> Iterator[Mapping[str, str]]:
        environment: dict[str, str] = {}
        with ExitStack() as stack:
            if manifest.of_kind("bucket") or manifest.of_kind("queue"):
                azurite = stack.enter_context(emulators.azurite(log=folder / "azurite.log"))
                environment |= _make_storage(azurite, manifest)
            if queues := _bus_rules(manifest):
                bus = stack.enter_context(emulators.service_bus(queues, log=folder / "service-bus.log"))
                environment |= {**bus.environment, **_topic_addresses(bus.endpoint, manifest)}
                for queue in bus_queues(manifest):
                    for kind, name in zip(("queue", "deadletter"), NAMES["queue"].every(queue), strict=True):
                        environment[address_variable(kind, queue)] = f"{bus.endpoint}/{name}"
            if manifest.of_kind("table"):
                cosmos = stack.enter_context(emulators.cosmos(log=folder / "cosmosdb-server.log"))
                environment |= _make_tables(cosmos, manifest)
            if manifest.of_kind("sockets"):
                environment |= _hubs(stack.enter_context(emulators.web_pubsub(PUBSUB_KEY)), manifest)
            if manifest.of_kind("secret"):
                environment |= _make_secrets(stack.enter_context(emulators.key_vault()), manifest)
            for stream in manifest.of_kind("stream"):  # no emulator: records are those that are posted to the function
                name = NAMES["stream"].physical(stream.name)
                environment[address_variable("stream", stream.name)] = f"sb://no-emulator/{name}"
            environment |= stack.enter_context(emulators.cache_addresses(manifest, folder))
            yield environment | emulators.config_values(manifest)


def _hubs(service: emulators.Gateway, manifest: Manifest) -> dict[str, str]:
    """The addresses of sockets."""
    environment = {CONNECTION: f"Endpoint={service.endpoint};AccessKey={PUBSUB_KEY};Version=1.0;"}
    for sockets in manifest.of_kind("sockets"):
        hub = NAMES["sockets"].physical(sockets.name)
        environment[address_variable("sockets", sockets.name)] = f"{service.endpoint}/hubs/{hub}"
    return environment


def _make_secrets(vault: emulators.Vault, manifest: Manifest) -> dict[str, str]:
    environment = dict(vault.environment)
    for secret in manifest.of_kind("secret"):
        name = NAMES["secret"].physical(secret.name)
        vault.put(name, emulators.made_up_secret(secret.name).encode())
        environment[address_variable("secret", secret.name)] = f"{emulators.KEY_VAULT}/secrets/{name}"
    return environment


def _make_storage(azurite: emulators.Emulator, manifest: Manifest) -> dict[str, str]:
    storage = dict(part.partition("=")[::2] for part in azurite.environment["AzureWebJobsStorage"].split(";"))
    environment = {"AzureWebJobsStorage": azurite.environment["AzureWebJobsStorage"]}
    for kind, endpoint in (("bucket", "BlobEndpoint"), ("queue", "QueueEndpoint")):
        for resource in manifest.of_kind(kind):
            address = f"{storage[endpoint]}/{NAMES[kind].physical(resource.name)}"
            environment[address_variable(kind, resource.name)] = address
            _create(kind, address, environment)
    return environment


def _bus_rules(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """What the stand-in has to know of each queue, and of the one that its dead letters go to: by name, that first."""
    rules: dict[str, dict[str, Any]] = {}
    for name, ordered in bus_queues(manifest).items():
        options = manifest.resource("queue", name).options
        queue, dead = NAMES["queue"].every(name)
        rules[dead] = {}
        rules[queue] = {
            "max_delivery": options["max_attempts"],
            "sessions": ordered,
            "dedup": bool(options.get("dedup")),
            "forward": dead,
        }
    for topic in manifest.of_kind("topic"):
        name = NAMES["topic"].physical(topic.name)
        rules[f"dead-{name}"] = {}
        rules[name] = {
            "max_delivery": topic.options["max_attempts"],
            "sessions": topic.options["ordered"],
            "forward": f"dead-{name}",
            "subscriptions": list(manifest.subscriptions(topic.name)),
        }
    return rules


def _topic_addresses(endpoint: str, manifest: Manifest) -> dict[str, str]:
    """Of each topic, and of each function's subscription and its dead letters."""
    environment = {}
    for topic in manifest.of_kind("topic"):
        name = NAMES["topic"].physical(topic.name)
        environment[address_variable("topic", topic.name)] = f"{endpoint}/{name}"
        for function in manifest.subscriptions(topic.name):
            full, own = subscription_name(topic.name, function), f"{name}/Subscriptions/{function}"
            environment[address_variable("subscription", full)] = f"{endpoint}/{own}"
            environment[address_variable("subscriptiondeadletter", full)] = f"{endpoint}/dead-{own}"
    return environment


def _make_tables(cosmos: emulators.Emulator, manifest: Manifest) -> dict[str, str]:
    environment = dict(cosmos.environment)
    for table in manifest.of_kind("table"):
        address = f"{cosmos.endpoint}/dbs/portable/colls/{NAMES['table'].physical(table.name)}"
        environment[address_variable("table", table.name)] = address
        _sdk.make_cosmos_container(*parse_address(address), environment)
    return environment


def _create(kind: str, address: str, environment: Mapping[str, str]) -> None:
    if kind == "bucket":
        with _sdk.container_client(address, environment) as container:
            container.create_container()
        return
    for place in (address, poison_address(address)):
        with _sdk.queue_client(place, environment) as queue:
            queue.create_queue()


RUNNER = AzureRunner()
