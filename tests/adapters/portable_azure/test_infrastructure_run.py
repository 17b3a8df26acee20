"""A built app under Microsoft's worker, with the settings that its own infrastructure files say, against Azurite."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Wanted, build
from portable.build.deployment import describe_deployment
from portable.build.infrastructure import infrastructure_files
from portable.build.project import find_project
from portable.events import Request
from portable.run import emulators
from portable.run.deployment import Deployment, deployed
from portable.run.parts import Found
from portable.run.target import open_artifact
from portable_azure import _sdk
from portable_azure.build import TARGET
from portable_azure.build.infrastructure.expressions import Call, Member, parse

APP = """
from typing import Any

import msgspec

from portable import App, BlobEvent, Context, Message

app = App("shop-test")
uploads = app.bucket("uploads")
thumbs = app.bucket("thumbs")
emails = app.queue("emails", max_attempts=2)

@app.post("/emails", status=202)
def accept(body: dict[str, Any], context: Context) -> dict[str, Any]:
    emails.send(body)
    return {"stage": context.stage}

@app.on_message(emails)
def send_email(message: Message[Any]) -> None:
    if "address" not in message.body:
        raise ValueError("no address")
    uploads.write(f"in/{message.body['address']}.png", msgspec.json.encode(message.body))

@app.on_blob(uploads, prefix="in/", memory=4096)
def make_thumbnail(event: BlobEvent) -> None:
    thumbs.write(event.key, uploads.read(event.key)[:9])
"""


class Cloud:
    """What ARM would know of the resources of a template that are on Azurite, and the values of its expressions."""

    def __init__(self, template: Mapping[str, Any], ends: Mapping[str, str]) -> None:
        self._template = template
        self._ends = ends

    def value(self, text: Any) -> str:
        """What Azure makes of a text of the template."""
        return str(self._tree(parse(text)))

    def _tree(self, tree: Any) -> Any:
        if isinstance(tree, Member):
            of = self._tree(tree.of)
            return of[tree.name]
        if not isinstance(tree, Call):
            return tree
        if tree.name == "format":
            form, *values = (self._tree(one) for one in tree.arguments)
            return form.format(*values)
        if tree.name == "variables":
            return self._tree(parse(self._template["variables"][tree.arguments[0]]))
        if tree.name == "uniqueString":
            return "abcdefghijklm"
        if tree.name == "resourceGroup":
            return {"id": "/subscriptions/s/resourceGroups/shop"}
        if tree.name == "reference":
            return {
                "primaryEndpoints": self._ends,
                "clientId": "client",
                "ConnectionString": "InstrumentationKey=0",
            }
        raise AssertionError(f"a function of ARM's that settings do not need: {tree.name}")


def made_of(template: Mapping[str, Any], kind: str) -> Iterator[str]:
    """The last names of the resources of a type in the account of data."""
    for one in template["resources"].values():
        if one["type"] == kind and "'default'" in one["name"] and "shoptestd{0}" in one["name"]:
            name = parse(one["name"]).arguments[-1]
            yield name


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, require_part: Callable[..., Found]) -> Iterator[Deployment]:
    for part, version in (("azure-functions-runtime", "3.13"), ("python", "3.13"), ("node", None), ("azurite", None)):
        require_part(part, version)
    folder = tmp_path_factory.mktemp("azure")
    (folder / "app.py").write_text(APP)
    (folder / "pyproject.toml").write_text('[project]\nname = "shop-test"\nversion = "0"\ndependencies = []\n')
    here = Path.cwd()
    try:
        project = find_project(folder).at_stage("prod")
        built = build(project, TARGET, Wanted(for_here=True))
    finally:
        os.chdir(here)
    # A build for this machine is not deployed, so it has no infrastructure of its own.
    manifest = open_artifact(built.folder).manifest
    described = describe_deployment(
        project, TARGET, manifest, TARGET.bundles(manifest, {}), python="3.13", arch="x86_64"
    )
    template = json.loads(infrastructure_files(TARGET, described, folder)["infra/main.json"])
    with emulators.azurite(log=folder / "azurite.log") as azurite:
        connection = azurite.environment["AzureWebJobsStorage"]
        parts = dict(part.partition("=")[::2] for part in connection.split(";"))
        ends = {kind: f"{parts[f'{kind.title()}Endpoint']}/" for kind in ("blob", "queue", "table")}
        cloud = Cloud(template, ends)
        # Azurite knows no identity, so its key takes the place of the app's.
        environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
        for name in made_of(template, "Microsoft.Storage/storageAccounts/blobServices/containers"):
            with _sdk.container_client(f"{ends['blob']}{name}", environment) as container:
                container.create_container()
        for name in made_of(template, "Microsoft.Storage/storageAccounts/queueServices/queues"):
            with _sdk.queue_client(f"{ends['queue']}{name}", environment) as queue:
                queue.create_queue()
        for symbol, one in template["resources"].items():
            if symbol.startswith("settings_"):
                environment |= {key: cloud.value(value) for key, value in one["properties"].items()}
        with deployed(built.folder, addresses=environment) as deployment:
            yield deployment


def test_a_request_reaches_the_queue_the_bucket_and_its_handler(running: Deployment) -> None:
    body = b'{"address": "ann@example.com"}'
    response = running.request(Request("POST", "/emails", headers=[("content-type", "application/json")], body=body))
    assert (response.status, json.loads(response.body)) == (202, {"stage": "prod"})
    running.settle()
    found = running.snapshot()
    assert list(found.buckets["uploads"]) == ["in/ann@example.com.png"]
    assert list(found.buckets["thumbs"]) == ["in/ann@example.com.png"]


def test_what_fails_too_often_is_a_dead_letter(running: Deployment) -> None:
    running.request(Request("POST", "/emails", headers=[("content-type", "application/json")], body=b'{"name": "ann"}'))
    running.settle()
    assert len(running.snapshot().queues["emails"].dead_letters) == 1


def test_settings_name_what_the_host_binds(running: Deployment) -> None:
    names = running.environment
    assert names["PORTABLE_QUEUENAME_EMAILS"] == "emails-queue"
    assert names["PORTABLE_QUEUE_EMAILS"].endswith("/emails-queue")
    assert (
        names["PORTABLE_QUEUEACCOUNT_EMAILS__queueServiceUri"] == names["PORTABLE_QUEUE_EMAILS"][: -len("emails-queue")]
    )
    assert names["PORTABLE_BUCKETNAME_UPLOADS"] == "uploads-bucket"
