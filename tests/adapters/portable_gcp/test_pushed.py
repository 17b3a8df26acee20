"""An example's bundle under functions-framework, as its infrastructure files describe it: the subscriptions are made
from ``deployment.json`` on Google's own emulator, which pushes by them; blob events go where its Eventarc triggers say.
"""

from __future__ import annotations

import json
import shutil
import struct
import threading
import time
import urllib.request
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Wanted, build
from portable.build.deployment import describe_deployment
from portable.build.infrastructure import infrastructure_files
from portable.build.project import find_project
from portable.deploy import Place
from portable.plugins import adapter
from portable.run import emulators
from portable.run.emulators import PROJECT
from portable.run.target import open_artifact
from portable_gcp.deploy.api import Api
from portable_gcp.deploy.resources import Resource
from portable_gcp.deploy.site import Site
from portable_gcp.run import RUNNER
from portable_gcp.triggers.storage import KINDS

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[3] / "examples" / "thumbnails"
TYPES = {"OBJECT_FINALIZE": "created", "OBJECT_DELETE": "deleted"}


def picture() -> bytes:
    """A PNG of one colour, 64 pixels square."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress((b"\x00" + b"\x20\x90\xd0" * 64) * 64)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class App:
    """The example, running: what was built, what was made of its plan, and where each function is."""

    def __init__(self, folder: Path, call_json: Callable[..., Any]) -> None:
        project = folder / "project"
        shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("dist", "__pycache__", ".portable", "test_*"))
        found = find_project(project)
        target = adapter("gcp").build
        self.artifact = open_artifact(build(found, target, Wanted(for_here=True)).folder)
        manifest = self.artifact.manifest
        bundles = target.bundles(manifest, found.settings("gcp"))
        described = describe_deployment(found, target, manifest, bundles, python="3.13", arch="x86_64")
        for path, content in infrastructure_files(target, described, project).items():
            # An artifact for this machine has none.
            (self.artifact.folder / path).parent.mkdir(exist_ok=True)
            (self.artifact.folder / path).write_bytes(content)
        self.call_json = call_json
        self.folder = folder
        self.relayed: list[tuple[str, int]] = []

    def serve(self, storage: emulators.Emulator, pubsub: emulators.Emulator) -> Iterator[App]:
        self.storage = storage.endpoint
        endpoints = {"STORAGE": storage.endpoint, "PUBSUB": pubsub.endpoint}
        found = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{url}/" for name, url in endpoints.items()}
        place = Place("dev", {"project": PROJECT}, found)
        with Api(place) as api:
            site = self.site = Site(self.artifact, place, api)
            environment = {**storage.environment, **pubsub.environment}
            for entry in site.plan["functions"].values():
                environment |= site.resolve(entry["body"]["serviceConfig"]["environmentVariables"])
            running = RUNNER.start(self.artifact, environment, self.folder / "run.log")
            try:
                ports = {name: running._started(name) for name in site.plan["functions"]}
                site.uris = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
                for entry in site.plan["subscriptions"].values():  # the emulator knows of a week's retention alone
                    entry["body"]["messageRetentionDuration"] = "604800s"
                for kind in ("buckets", "topics", "subscriptions"):
                    for entry in site.plan[kind].values():
                        Resource(api, site, kind, entry).apply()
                yield self
            finally:
                running.close()

    def relay(self, endpoint: str, subscription: str, ended: threading.Event) -> None:
        """What Eventarc does: notifications of Cloud Storage, to the functions whose triggers match."""
        while not ended.is_set():
            url = f"{endpoint}/v1/{subscription}"
            answer = self.call_json("POST", f"{url}:pull", {"maxMessages": 10, "returnImmediately": True})
            for one in answer.get("receivedMessages", ()):
                self.deliver(one["message"])
                self.call_json("POST", f"{url}:acknowledge", {"ackIds": [one["ackId"]]})
            ended.wait(0.1)

    def deliver(self, message: Any) -> None:
        attributes = message["attributes"]
        kind = TYPES[attributes["eventType"]]
        event = {"type": next(name for name, known in KINDS.items() if known == kind), "bucket": attributes["bucketId"]}
        for entry in self.site.plan["triggers"].values():
            body = self.site.resolve(entry["body"])
            wanted = {one["attribute"]: one["value"] for one in body["eventFilters"]}
            if wanted != event:
                continue
            functions = self.site.plan["functions"]
            [function] = [
                name for name, one in functions.items() if one["id"] == body["destination"]["cloudRun"]["service"]
            ]
            headers = {
                "ce-specversion": "1.0",
                "ce-id": message["messageId"],
                "ce-type": event["type"],
                "ce-source": f"//storage.googleapis.com/projects/_/buckets/{event['bucket']}",
                "ce-time": message["publishTime"],
                "content-type": "application/json",
            }
            request = urllib.request.Request(self.site.uris[function], b64decode(message["data"]), headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.relayed.append((function, answer.status))

    def request(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self.site.uris["http"] + path, body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory, require_part: Callable[..., Any], call_json: Callable[..., Any]
) -> Iterator[App]:
    for part in ("java", "pubsub-emulator", "fake-gcs-server"):
        require_part(part)
    require_part("python", "3.13")
    made = App(tmp_path_factory.mktemp("pushed"), call_json)
    with emulators.pubsub() as pubsub:
        notifications = f"projects/{PROJECT}/topics/storage-events"
        subscription = f"projects/{PROJECT}/subscriptions/eventarc"
        call_json("PUT", f"{pubsub.endpoint}/v1/{notifications}", {})
        call_json("PUT", f"{pubsub.endpoint}/v1/{subscription}", {"topic": notifications})
        ended = threading.Event()
        with emulators.fake_gcs(events=pubsub) as storage:
            for served in made.serve(storage, pubsub):
                thread = threading.Thread(target=served.relay, args=(pubsub.endpoint, subscription, ended))
                thread.start()
                yield served
                ended.set()
                thread.join()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    limit = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < limit, what
        time.sleep(0.1)
    return found


def test_a_blob_reaches_its_function_and_a_message_its_own(app: App, call_json: Callable[..., Any]) -> None:
    made = app.request("POST", "/images?notify=ada@example.com", picture())
    wait_for(lambda: all(one["thumbnail"] for one in app.request("GET", "/images")), "there is no thumbnail")
    assert [one["key"] for one in app.request("GET", "/images")] == [made["key"]]
    assert ("make-thumbnail", 200) in app.relayed
    outbox = f"{app.storage}/storage/v1/b/{app.site.resolve('${bucket.bucket_outbox}')}/o"
    sent = wait_for(lambda: call_json("GET", outbox).get("items"), "no e-mail was sent")
    assert [one["name"] for one in sent] == [f"ada@example.com/{made['key']}.json"]
