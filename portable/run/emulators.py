"""The clouds' storage and messaging on this machine, each on a free loopback port for as long as a block runs.

    with azurite() as storage:
        client = QueueServiceClient.from_connection_string(storage.environment["AzureWebJobsStorage"])

``environment`` holds what the vendor's SDK reads to find the emulator, made-up credentials included. Every emulator
keeps its data in memory.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portable.errors import UnsupportedError
from portable.run.parts import Found, need
from portable.run.processes import LOOPBACK, Running, StartError, answers, free_port, running

__all__ = ["PROJECT", "REGION", "Emulator", "azurite", "fake_gcs", "moto_server", "pubsub"]

REGION = "us-east-1"
"""The AWS region of ``moto_server``."""

PROJECT = "portable-local"
"""The Google Cloud project of ``fake_gcs`` and ``pubsub``."""

# Azurite's one account. Name and key are Microsoft's, published, and the same for everyone.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    Attributes:
        endpoint: its address, ``http://127.0.0.1:PORT``; of ``azurite`` the one for blobs.
        environment: variables for the process that uses it.
        part: what is running, with its version.
        log: what it prints.
    """

    endpoint: str
    environment: Mapping[str, str]
    part: Found
    log: Path
    pid: int
    _forget: Callable[[str], None] | None = field(default=None, repr=False)

    @property
    def port(self) -> int:
        """The port of ``endpoint``."""
        return int(self.endpoint.rpartition(":")[2].partition("/")[0])

    def reset(self) -> None:
        """Delete everything in it.

        Raises:
            UnsupportedError: it cannot, short of a restart (Azurite); use names of your own in each test.
        """
        if self._forget is None:
            raise UnsupportedError(f"{self.part.name} cannot be emptied without a restart")
        self._forget(self.endpoint)


@contextlib.contextmanager
def moto_server(*, log: Path | None = None) -> Iterator[Emulator]:
    """S3 and SQS, among others, by moto."""
    part = need("moto")

    def command(port: int) -> list[str | Path]:
        return [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]

    with _on_free_port(part, command, "/moto-api/data.json", {"PYTHONPATH": str(part.path)}, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_moto)


@contextlib.contextmanager
def fake_gcs(
    *, events: Emulator | None = None, topic: str = "storage-events", log: Path | None = None
) -> Iterator[Emulator]:
    """Cloud Storage, by fake-gcs-server.

    Args:
        events: a running ``pubsub()`` that gets a message on ``topic``, which has to exist there, for each object
            finalized or deleted.
    """
    part = need("fake-gcs-server")
    publishing = {"PUBSUB_EMULATOR_HOST": events.environment["PUBSUB_EMULATOR_HOST"]} if events else {}
    event_flags = ["-event.pubsub-project-id", PROJECT, "-event.pubsub-topic", topic, "-event.list", "finalize,delete"]

    def command(port: int) -> list[str | Path]:
        url = f"http://{LOOPBACK}:{port}"
        address = ["-scheme", "http", "-host", LOOPBACK, "-port", str(port), "-external-url", url]
        return [part.path, "-backend", "memory", *address, "-public-host", LOOPBACK, *(event_flags if events else [])]

    with _on_free_port(part, command, "/_internal/healthcheck", publishing, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {"STORAGE_EMULATOR_HOST": endpoint, "GOOGLE_CLOUD_PROJECT": PROJECT}
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_gcs)


@contextlib.contextmanager
def pubsub(*, log: Path | None = None) -> Iterator[Emulator]:
    """Pub/Sub, by Google's own emulator."""
    part, java = need("pubsub-emulator"), need("java")

    def command(port: int) -> list[str | Path]:
        return [java.path, "-jar", part.path, f"--host={LOOPBACK}", f"--port={port}"]

    with _on_free_port(part, command, "/v1/projects/p/topics", {}, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {
            "PUBSUB_EMULATOR_HOST": f"{LOOPBACK}:{port}",
            "PUBSUB_PROJECT_ID": PROJECT,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_pubsub)


@contextlib.contextmanager
def azurite(*, log: Path | None = None) -> Iterator[Emulator]:
    """Blob, queue and table storage, by Azurite. The connection string is in ``AzureWebJobsStorage``."""
    part, node = need("azurite"), need("node")
    flags = ["--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]  # it sends telemetry unasked
    kinds = ("blob", "queue", "table")
    # Port 0: it picks three free ports itself, and its log tells which.
    places = [word for kind in kinds for word in (f"--{kind}Host", LOOPBACK, f"--{kind}Port", "0")]
    command: list[str | Path] = [node.path, part.path, "--silent", *flags, *places]
    with running(
        part.name, command, ready=lambda started: len(_azurite_ports(started)) == len(kinds), log=log
    ) as process:
        urls = {kind: f"http://{LOOPBACK}:{port}/{_ACCOUNT}" for kind, port in _azurite_ports(process).items()}
        places = [f"{kind.title()}Endpoint={urls[kind]}" for kind in kinds]
        account = ["DefaultEndpointsProtocol=http", f"AccountName={_ACCOUNT}", f"AccountKey={_ACCOUNT_KEY}"]
        connection = ";".join([*account, *places])
        environment = {"AzureWebJobsStorage": connection, "AZURE_STORAGE_CONNECTION_STRING": connection}
        yield Emulator(urls["blob"].removesuffix(f"/{_ACCOUNT}"), environment, part, process.log, process.pid)


@contextlib.contextmanager
def _on_free_port(
    part: Found,
    command: Callable[[int], list[str | Path]],
    sign: str,
    environment: Mapping[str, str],
    log: Path | None,
) -> Iterator[tuple[Running, int]]:
    """Run ``command`` for a free port; on another one when somebody took it in the meantime.

    ``sign`` is a path that only this emulator answers: what listens on a taken port must not pass for it.
    """
    with contextlib.ExitStack() as stack:
        for attempt in itertools.count(1):
            port = free_port()
            ready = functools.partial(_shows, port, sign)
            block = running(part.name, command(port), ready=ready, environment=environment, log=log)
            try:
                process = stack.enter_context(block)
            except StartError as error:
                if attempt == 3 or "in use" not in str(error):
                    raise
            else:
                yield process, port
                return


def _shows(port: int, sign: str, _: Running) -> bool:
    return answers(port, sign)


def _azurite_ports(started: Running) -> dict[str, int]:
    listening = r"Azurite (Blob|Queue|Table) service is successfully listening at http://[\d.]+:(\d+)"
    found = re.findall(listening, started.log.read_text("utf-8", errors="replace"))
    return {kind.lower(): int(port) for kind, port in found}


def _forget_moto(endpoint: str) -> None:
    _call("POST", f"{endpoint}/moto-api/reset")


def _forget_gcs(endpoint: str) -> None:
    buckets = f"{endpoint}/storage/v1/b"
    for bucket in _call("GET", buckets).get("items", []):
        objects = f"{buckets}/{bucket['name']}/o"
        for item in _call("GET", objects).get("items", []):
            _call("DELETE", f"{objects}/{urllib.parse.quote(item['name'], safe='')}")
        _call("DELETE", f"{buckets}/{bucket['name']}")


def _forget_pubsub(endpoint: str) -> None:
    for kind in ("subscriptions", "topics"):
        for item in _call("GET", f"{endpoint}/v1/projects/{PROJECT}/{kind}").get(kind, []):
            _call("DELETE", f"{endpoint}/v1/{item['name']}")


def _call(method: str, url: str) -> dict[str, Any]:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else {}
