"""The calls that reach Google Cloud are those a function's roles allow, and these allow none that is not made."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth.compute_engine
import grpc  # type: ignore[import-untyped]
import pytest
from google.cloud.storage.blob import Blob

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
    shown = app.secret("shown")
    flag = app.config("flag")

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
    def bucket_sign():
        uploads.url("a", expires=timedelta(hours=1))
        thumbs.url("a", method="PUT", expires=timedelta(hours=1))

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

    @app.function()
    def config_read():
        flag.value()
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

_SIGNED = {
    # https://cloud.google.com/storage/docs/access-control/signed-urls: what the signer itself may
    "GET": ("storage.objects.get",),
    "PUT": ("storage.objects.create", "storage.objects.delete"),
}

GOOGLES = {
    "roles/pubsub.publisher": ("pubsub.topics.publish",),
    "roles/secretmanager.secretAccessor": ("secretmanager.versions.access",),
}
"""Google's own roles: what they allow that a call is made for."""

NO_CALL = {
    ("bucket", "read", "bucket", "storage.objects.list"),  # tells "not there" from "not allowed"
    ("sockets", "send", "topic", "pubsub.topics.publish"),  # see test_sockets.py: the publisher is that of queues
}

SIGNER = "signer@p.iam.gserviceaccount.com"
SIGN = r"https://iamcredentials\.googleapis\.com/v1/projects/-/serviceAccounts/([^/]+):signBlob"

Need = tuple[str, str, str]  # kind:name, part, permission


class Calls(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]
    """What goes out over HTTP and gRPC, as permissions on parts of resources."""

    def __init__(self) -> None:
        self.places: Mapping[str, tuple[str, str]] = {}
        self.needs: set[Need] = set()
        self.signed: list[tuple[str, str]] = []  # by whom, and what

    def add(self, place: str, *permissions: str) -> None:
        self.needs |= {(*self.places[place], one) for one in permissions}

    def noted(self, method: str, url: str, _headers: Any, body: Any) -> str | None:
        """A request; signing by IAM is answered, for no emulator has it."""
        if not self.places:
            return None
        asked = re.fullmatch(SIGN, url.partition("?")[0])
        if asked is None:
            self.sent(method, url)
            return None
        assert method == "POST"
        text = base64.b64decode(json.loads(body)["payload"], validate=True).decode()
        self.signed.append((asked[1], text))
        return json.dumps({"keyId": "1", "signedBlob": base64.b64encode(b"signature").decode()})

    def signs(self, bucket: str, method: str) -> None:
        """A URL is asked for, which whoever has it calls in the function's name."""
        key, _ = self.places[bucket]
        self.needs.add((key, "account", "iam.serviceAccounts.signBlob"))
        self.add(bucket, *_SIGNED[method])

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
def calls(monkeypatch: pytest.MonkeyPatch, http_calls: Callable[..., None]) -> Calls:
    made, open_channel, sign = Calls(), grpc.insecure_channel, Blob.generate_signed_url

    def opened(*given: Any, **options: Any) -> Any:
        return grpc.intercept_channel(open_channel(*given, **options), made)

    def signed(blob: Any, *given: Any, **options: Any) -> Any:
        before = len(made.signed)
        url = sign(blob, *given, **options)
        [(signer, text)] = made.signed[before:]
        assert (signer, text.splitlines()[0]) == (SIGNER, "GOOG4-RSA-SHA256")
        made.signs(blob.bucket.name, options["method"])
        return url

    monkeypatch.setattr(grpc, "insecure_channel", opened)
    monkeypatch.setattr(Blob, "generate_signed_url", signed)
    http_calls(made.noted)
    return made


def as_on_an_instance(*buckets: Any) -> None:
    """The metadata server's credentials, which hold no key."""
    credentials: Any = google.auth.compute_engine.Credentials(service_account_email=SIGNER)
    credentials.token = "of the instance"
    for bucket in buckets:
        bucket.native()._credentials = credentials


def test_what_is_called_is_allowed_and_what_is_allowed_is_called(
    permitted: Callable[[str], Any],
    tmp_path: Path,
    calls: Calls,
    both_ways: Callable[..., None],
    require_part: Callable[..., Any],
) -> None:
    for part in ("fake-gcs-server", "java", "pubsub-emulator", "firestore-emulator"):
        require_part(part)
    module = permitted(APP)
    manifest = describe_app(module.app, "permitted:app", tmp_path)
    with contextlib.ExitStack() as stack:
        environment = dict(stack.enter_context(adapter("gcp").run.emulate(manifest, tmp_path / "emulated")))
        environment["PORTABLE_CONFIG_FLAG"] = environment["PORTABLE_SECRET_SHOWN"]
        cloud = platform(environment)
        stack.callback(cloud.close)
        stack.enter_context(use_platform(cloud))

        def cases() -> Iterator[Any]:
            for function in manifest.functions:
                calls.places = addressed(manifest, environment, function.grants)
                assert function.unseen == [], function.name
                if function.name == "bucket-sign":
                    as_on_an_instance(module.uploads, module.thumbs)
                yield function.name, function.grants, getattr(module, function.name.replace("-", "_"))

        both_ways(cases(), calls.needs, allowed, set(table()) - NO_CALL)


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
        elif one.kind == "config":
            places[address] = (key, "secret")
        elif one.kind in ("topic", "secret"):
            places.setdefault(address, (key, one.kind))  # one of them holds the value
        elif key in grants:
            places.setdefault("database", (key, "database"))
    return places


def test_the_table_has_every_verb() -> None:
    assert {kind: tuple(verbs) for kind, verbs in ACTIONS.items()} == dict(VERBS)
