"""What stands for Google Cloud."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from portable.run.emulators.emulator import LOOPBACK, Emulator, call, on_free_port
from portable.run.parts import need

__all__ = ["PROJECT", "fake_gcs", "firestore", "pubsub"]

PROJECT = "portable-local"
"""The Google Cloud project of every emulator here."""

_DOCUMENTS = f"/emulator/v1/projects/{PROJECT}/databases/(default)/documents"


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

    with on_free_port(part, command, "/_internal/healthcheck", publishing, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {"STORAGE_EMULATOR_HOST": endpoint, "GOOGLE_CLOUD_PROJECT": PROJECT}
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_gcs)


@contextlib.contextmanager
def pubsub(*, log: Path | None = None) -> Iterator[Emulator]:
    """Pub/Sub, by Google's own emulator."""
    part, java = need("pubsub-emulator"), need("java")

    def command(port: int) -> list[str | Path]:
        return [java.path, "-jar", part.path, f"--host={LOOPBACK}", f"--port={port}"]

    with on_free_port(part, command, "/v1/projects/p/topics", {}, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {
            "PUBSUB_EMULATOR_HOST": f"{LOOPBACK}:{port}",
            "PUBSUB_PROJECT_ID": PROJECT,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_pubsub)


@contextlib.contextmanager
def firestore(*, log: Path | None = None) -> Iterator[Emulator]:
    """Firestore, by Google's own emulator; its one database is ``(default)``, and needs no index declared."""
    part, java = need("firestore-emulator"), need("java")
    main = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"

    def command(port: int) -> list[str | Path]:
        address = [f"--host={LOOPBACK}", f"--port={port}"]
        return [java.path, "-Duser.language=en", "-cp", part.path, main, "start", *address]

    with on_free_port(part, command, f"{_DOCUMENTS.removeprefix('/emulator')}/none", {}, log) as (process, port):
        environment = {"FIRESTORE_EMULATOR_HOST": f"{LOOPBACK}:{port}", "GOOGLE_CLOUD_PROJECT": PROJECT}
        yield Emulator(f"http://{LOOPBACK}:{port}", environment, part, process.log, process.pid, _forget_firestore)


def _forget_firestore(endpoint: str) -> None:
    call("DELETE", f"{endpoint}{_DOCUMENTS}")


def _forget_gcs(endpoint: str) -> None:
    buckets = f"{endpoint}/storage/v1/b"
    for bucket in call("GET", buckets).get("items", []):
        objects = f"{buckets}/{bucket['name']}/o"
        for item in call("GET", objects).get("items", []):
            call("DELETE", f"{objects}/{urllib.parse.quote(item['name'], safe='')}")
        call("DELETE", f"{buckets}/{bucket['name']}")


def _forget_pubsub(endpoint: str) -> None:
    for kind in ("subscriptions", "topics"):
        for item in call("GET", f"{endpoint}/v1/projects/{PROJECT}/{kind}").get(kind, []):
            call("DELETE", f"{endpoint}/v1/{item['name']}")
