"""The calls that reach Google Cloud are those a function's roles allow, and these allow none that is not made."""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc  # type: ignore[import-untyped]
import pytest
import requests

from portable.drivers import address_variable
from portable.grants import VERBS
from portable.manifest import Manifest, describe_app
from portable.plugins import adapter
from portable.resources import use_platform
from portable_gcp.permissions import ACTIONS, CUSTOM, roles
from portable_gcp.runtime import platform

APP = """
    from contextlib import suppress
    from datetime import timedelta
    from portable import App, PreconditionFailedError, Reject

    app = App("permitted")
    uploads = app.bucket("uploads")
    thumbs = app.bucket("thumbs")
    emails = app.queue("emails")
    users = app.table("users", key="id", sort="at", indexes={"by-name": "name"})
    visits = app.table("visits", key="id", ttl="until")
    news = app.topic("news")
    key = app.secret("key")

    @app.function()
    def bucket_write():
        uploads.write("a", b"data")
        uploads.write("b", b"data", if_absent=True)
        uploads.write("parts", (b"x" * 300_000 for _ in range(3)))

    @app.function()
    def bucket_read():
        uploads.read("a")
        uploads.stat("a")
        uploads.exists("none")
        with uploads.open("a") as blob:
            blob.read()

    @app.function()
    def bucket_copy():
        uploads.copy("a", "c", to=thumbs)
        uploads.copy("a", "d")

    @app.function()
    def bucket_list():
        list(uploads.list())

    @app.function()
    def bucket_delete():
        uploads.delete("a")
        uploads.delete_many(["b", "none"])

    @app.function()
    def bucket_delete_nothing():
        uploads.delete_many(["none"])

    @app.function()
    def queue_send():
        emails.send("a")
        emails.send_many(["b", "c", "d"])

    @app.function()
    def queue_receive():
        for delivery in emails.receive(1):
            delivery.extend(timedelta(seconds=30))
            delivery.nack()
        emails.ack_many(emails.receive(1))
        for delivery in emails.receive(1):
            with delivery:
                raise Reject("no")

    @app.function()
    def queue_dead_letters():
        emails.dead_letters()

    @app.function()
    def queue_redrive():
        assert emails.redrive()

    @app.function()
    def queue_purge():
        emails.purge()

    @app.function()
    def topic_publish():
        news.publish("a")
        news.publish_many(["a", "b"])

    @app.function()
    def table_write():
        users.put({"id": "a", "at": "1", "name": "n"})
        users.put({"id": "c", "at": "1", "name": "n"}, if_absent=True)
        users.update("a", "1", set={"name": "m"})
        visits.put({"id": "a", "until": 4_000_000_000}, if_absent=True)

    @app.function()
    def table_read():
        users.get("a", "1")
        users.entry("a", "1")
        users.get_many([("a", "1"), ("b", "1")])

    @app.function()
    def table_query():
        list(users.query("a"))
        list(users.query("m", index="by-name"))
        list(users.scan())

    @app.function()
    def table_transaction():
        with users.transaction() as change:
            change.check("a", "1", exists=True)
            change.put({"id": "b", "at": "1", "name": "n"})

    @app.function()
    def table_delete():
        users.delete("a", "1")
        with suppress(PreconditionFailedError):
            visits.delete("a", if_match="1.000000000")
        with users.transaction() as change:
            change.delete("b", "1")

    @app.function()
    def secret_read():
        key.value()
"""

STORAGE = (
    # https://cloud.google.com/storage/docs/access-control/iam-json; to cancel an upload needs its URL alone
    ("POST", r"/upload/storage/v1/b/(?P<bucket>[^/]+)/o", "storage.objects.create"),
    ("PUT", r"/upload/(resumable/|storage/v1/b/)(?P<bucket>[^/]+).*", "storage.objects.create"),
    ("GET", r"/(download/)?storage/v1/b/(?P<bucket>[^/]+)/o/[^/]+", "storage.objects.get"),
    ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/o", "storage.objects.list"),
    ("DELETE", r"/storage/v1/b/(?P<bucket>[^/]+)/o/[^/]+", "storage.objects.delete"),
    (
        "POST",
        r"/storage/v1/b/(?P<source>[^/]+)/o/[^/]+/rewriteTo/b/(?P<bucket>[^/]+)/o/[^/]+",
        "storage.objects.create",
    ),
    # https://cloud.google.com/secret-manager/docs/access-control
    ("GET", r"/v1/(?P<secret>projects/[^/]+/secrets/[^/]+)/versions/[^/]+:access", "secretmanager.versions.access"),
)
"""Method, path, and the permission it needs on what the path names."""

MESSAGES = {
    # https://cloud.google.com/pubsub/docs/access-control, "Required permissions"
    "Publish": "pubsub.topics.publish",
    "Pull": "pubsub.subscriptions.consume",
    "Acknowledge": "pubsub.subscriptions.consume",
    "ModifyAckDeadline": "pubsub.subscriptions.consume",
    "Seek": "pubsub.subscriptions.consume",
}

DOCUMENTS = {
    # https://cloud.google.com/firestore/docs/security/iam, "Required permissions for API methods"
    "BatchGetDocuments": ("datastore.entities.get",),
    "BeginTransaction": ("datastore.databases.get",),
    "Rollback": ("datastore.databases.get",),
    "RunQuery": ("datastore.entities.get", "datastore.entities.list"),
}

GOOGLES = {
    "roles/pubsub.publisher": ("pubsub.topics.publish",),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
}
"""Google's own roles: what they allow that a call is made for."""

NO_CALL = {
    ("bucket", "read", "bucket", "storage.objects.list"),  # tells "not there" from "not allowed"
    # Signing by IAM takes credentials that no emulator hands out: test_bucket.py has a stand-in for that API.
    ("bucket", "read", "account", "iam.serviceAccounts.signBlob"),
    ("bucket", "write", "account", "iam.serviceAccounts.signBlob"),
    ("sockets", "send", "topic", "pubsub.topics.publish"),  # see test_sockets.py: the publisher is that of queues
    ("config", "read", "secret", "secretmanager.versions.access"),  # the driver is that of secrets
}

Need = tuple[str, str, str]  # kind:name, part, permission


class Calls(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """What goes out over HTTP and gRPC, as permissions on parts of resources."""

    def __init__(self) -> None:
        self.places: Mapping[str, tuple[str, str]] = {}
        self.needs: set[Need] = set()

    def add(self, place: str, *permissions: str) -> None:
        self.needs |= {(*self.places[place], one) for one in permissions}

    def sent(self, method: str, url: str) -> None:
        path, asked = urlsplit(url).path, parse_qs(urlsplit(url).query)
        for verb, pattern, permission in STORAGE:
            found = re.fullmatch(pattern, path) if verb == method else None
            if found is None:
                continue
            named = found.groupdict()
            self.add(named.get("bucket") or named["secret"], permission)
            if permission == "storage.objects.create" and asked.get("ifGenerationMatch") != ["0"]:
                self.add(named["bucket"], "storage.objects.delete")  # it may be written over
            if "source" in named:
                self.add(named["source"], "storage.objects.get")
            return
        raise AssertionError(f"which permission does {method} {path} need?")

    def intercept_unary_unary(self, go_on: Callable[..., Any], details: Any, request: Any) -> Any:
        self.called(details.method.rpartition("/")[2], request)
        return go_on(details, request)

    intercept_unary_stream = intercept_unary_unary

    def called(self, method: str, request: Any) -> None:
        if method in MESSAGES:
            self.add(request.topic if method == "Publish" else request.subscription, MESSAGES[method])
        elif method == "Commit":
            if request.transaction:
                self.add("database", "datastore.databases.get")
            for write in request.writes:
                self.add("database", *permissions_of(write))
        else:
            self.add("database", *DOCUMENTS[method])


def permissions_of(write: Any) -> Iterable[str]:
    """Of one write of a commit."""
    if write.delete:
        return ("datastore.entities.delete",)
    condition = write.current_document
    asked = (
        type(condition).pb(condition).WhichOneof("condition_type")
        if hasattr(type(condition), "pb")
        else (condition.WhichOneof("condition_type"))
    )
    if asked is None:
        return ("datastore.entities.create", "datastore.entities.update")
    absent = asked == "exists" and not condition.exists
    return ("datastore.entities.create",) if absent else ("datastore.entities.update",)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made, open_channel, send = Calls(), grpc.insecure_channel, requests.Session.request

    def noted(session: Any, method: str, url: str, *given: Any, **options: Any) -> Any:
        if made.places:
            made.sent(method.upper(), url)
        return send(session, method, url, *given, **options)

    def opened(*given: Any, **options: Any) -> Any:
        return grpc.intercept_channel(open_channel(*given, **options), made)

    monkeypatch.setattr(grpc, "insecure_channel", opened)
    monkeypatch.setattr(requests.Session, "request", noted)
    return made


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "permitted.py").write_text(textwrap.dedent(APP))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__("permitted")
    sys.modules.pop("permitted", None)


def test_what_is_called_is_allowed_and_what_is_allowed_is_called(
    module: Any, tmp_path: Path, calls: Calls, require_part: Callable[..., Any]
) -> None:
    for part in ("fake-gcs-server", "java", "pubsub-emulator", "firestore-emulator"):
        require_part(part)
    manifest = describe_app(module.app, "permitted:app", tmp_path)
    unused = set(table()) - NO_CALL
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(adapter("gcp").run.emulate(manifest, tmp_path / "emulated"))
        cloud = platform(environment)
        stack.callback(cloud.close)
        stack.enter_context(use_platform(cloud))
        for function in manifest.functions:
            calls.needs.clear()
            calls.places = addressed(manifest, environment, function.grants)
            assert function.unseen == [], function.name
            getattr(module, function.name.replace("-", "_"))()
            made = set(calls.needs)
            assert made <= allowed(function.grants), f"{function.name} makes calls that its roles do not allow"
            for key, verbs in function.grants.items():
                kind = key.partition(":")[0]
                unused -= {(kind, verb, part, need) for verb in verbs for of, part, need in made if of == key}
    assert unused == set(), "no call needs these"


def table() -> Iterator[tuple[str, str, str, str]]:
    for kind, verbs in ACTIONS.items():
        for verb, parts in verbs.items():
            for part, role in parts.items():
                for permission in CUSTOM.get(role) or GOOGLES[role]:
                    yield kind, verb, part, permission


def allowed(grants: Mapping[str, list[str]]) -> set[Need]:
    """What the roles of these grants allow."""
    return {(key, part, one) for key, part, role in roles(grants) for one in CUSTOM.get(role) or GOOGLES[role]}


def addressed(
    manifest: Manifest, environment: Mapping[str, str], grants: Mapping[str, list[str]]
) -> dict[str, tuple[str, str]]:
    """What each name in a call stands for. A call of Firestore's is on the database: on the function's one table."""
    places: dict[str, tuple[str, str]] = {}
    for one in manifest.resources:
        key, address = f"{one.kind}:{one.name}", environment[address_variable(one.kind, one.name)]
        if one.kind == "bucket":
            places[address.removeprefix("gs://")] = (key, "bucket")
        elif one.kind == "queue":
            dead = environment[address_variable("deadletter", one.name)]
            for topic, parts in ((address, ("topic", "subscription")), (dead, ("dead-topic", "dead-letters"))):
                places[topic] = (key, parts[0])
                places[topic.replace("/topics/", "/subscriptions/")] = (key, parts[1])
        elif one.kind in ("topic", "secret"):
            places[address] = (key, one.kind)
        elif key in grants:
            places.setdefault("database", (key, "database"))
    return places


def test_the_table_has_every_verb() -> None:
    assert {kind: tuple(verbs) for kind, verbs in ACTIONS.items()} == dict(VERBS)
