"""The calls that reach AWS are those a function's policy allows, and the policy allows none that is not made."""

from __future__ import annotations

import contextlib
import inspect
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import botocore.client
import botocore.signers
import pytest

from portable.drivers import address_variable
from portable.grants import VERBS
from portable.manifest import FunctionRecord, Manifest
from portable.plugins import adapter
from portable.resources import Resource, sockets, use_platform
from portable.run.delivery import Delivery
from portable.run.emulators import connections_api
from portable.run.storage import Storage
from portable.testing.client import Client
from portable.testing.inprocess import InProcess
from portable.testing.projects import Projects
from portable.uses import grants_used
from portable_aws.permissions import ACTIONS, statements
from portable_aws.provision import make_queue, make_stream, make_table
from portable_aws.runtime import platform
from portable_aws.wire import Wire

APP = """
    from collections.abc import Iterator
    from contextlib import suppress
    from datetime import timedelta
    from portable import (
        Bucket, Config, NotFoundError, Queue, Reject, Secret, Sockets, Stream, Table, Topic
    )

    uploads = Bucket("uploads")
    thumbs = Bucket("thumbs")
    large = Bucket("large")
    emails = Queue("emails")
    bulky = Queue("bulky", large=large)
    users = Table("users", key="id", sort="at", indexes={"by-name": "name"})
    news = Topic("news")
    clicks = Stream("clicks")
    key = Secret("key")
    parameter = Secret("parameter")
    flag = Config("flag")
    groups = Table("groups", key="owner", sort="member", ttl="expires")
    chat = Sockets("chat", groups)
    MEBI = 1024 * 1024

    def pieces(fail: bool) -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * (9 * MEBI)
        if fail:
            raise ValueError("broken")

    def bucket_write():
        uploads.write("a", b"data")
        uploads.write("b", b"data", if_absent=True)
        uploads.write("parts", pieces(False))
        with suppress(ValueError):
            uploads.write("broken", pieces(True))
        thumbs.url("a", method="PUT", expires=timedelta(hours=1))

    def bucket_write_if():
        uploads.write("a", b"data", if_match=uploads.stat("a").etag)

    def bucket_read():
        uploads.read("a")
        uploads.stat("a")
        uploads.exists("none")
        uploads.url("a", expires=timedelta(hours=1))
        with uploads.open("a") as blob:
            blob.read()

    def bucket_copy():
        uploads.copy("a", "c", to=thumbs)
        uploads.copy("a", "d")

    def bucket_list():
        list(uploads.list())

    def bucket_delete():
        uploads.delete("a")
        uploads.delete_many(["b", "c"])

    def queue_send():
        emails.send("a")
        emails.send_many(["b", "c", "d", "e"])

    def queue_receive():
        for delivery in emails.receive(1):
            delivery.extend(timedelta(seconds=30))
            delivery.nack()
        emails.ack_many(emails.receive(1))
        for delivery in emails.receive(1):
            delivery.ack()
        for delivery in emails.receive(1):
            with delivery:
                raise Reject("no")

    def queue_depth():
        emails.depth()

    def queue_dead_letters():
        assert emails.dead_letters()

    def queue_redrive():
        assert emails.redrive()

    def queue_purge():
        emails.purge()

    def queue_large():
        bulky.send("x" * (2 * MEBI))

    def queue_large_received():
        for delivery in bulky.receive():
            assert len(delivery.body) == 2 * MEBI
            delivery.ack()

    def topic_publish():
        news.publish("a")
        news.publish_many(["a", "b"])

    def stream_send():
        clicks.send("a", key="k")
        clicks.send_many([("k", "a")])

    def table_write():
        users.put({"id": "a", "at": "1", "name": "n"})
        users.update("a", "1", set={"name": "m"})

    def table_read():
        users.get("a", "1")
        users.entry("a", "1")
        users.get_many([("a", "1"), ("b", "1")])

    def table_query():
        list(users.query("a"))
        list(users.query("m", index="by-name"))
        list(users.scan())

    def table_transaction():
        with users.transaction() as change:
            change.check("a", "1", exists=True)
            change.put({"id": "b", "at": "1", "name": "n"})

    def table_delete():
        users.delete("a", "1")
        with users.transaction() as change:
            change.delete("b", "1")

    def secret_read():
        key.value()
        parameter.value()

    def config_read():
        flag.value()

    def sockets_join():
        chat.join("gone", "g")
        chat.members("g")

    def sockets_send():
        chat.broadcast("g", "hello")
        with suppress(NotFoundError):
            chat.send("gone", "hello")
        chat.close("gone")

    def sockets_leave():
        chat.leave("gone", "g")
        chat.forget("gone")
"""

OPERATIONS = {
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "SendMessageBatch": "sqs:SendMessage",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "PublishBatch": "sns:Publish",
    "PostToConnection": "execute-api:ManageConnections",
    "DeleteConnection": "execute-api:ManageConnections",
}
"""Operations whose action bears another name, by the service authorization reference."""

STEPS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
NO_CALL = {("bucket", "read", "bucket", "s3:ListBucket")}  # tells "not there" from "not allowed": no call of its own

Need = tuple[str, str, str]  # kind:name, part, action


class Calls:
    """What reaches botocore, as actions on parts of resources."""

    def __init__(self, places: dict[str, tuple[str, str, str]]) -> None:
        self.places = places
        self.needs: set[Need] = set()

    def note(self, service: str, operation: str, asked: dict[str, Any]) -> None:
        action = OPERATIONS.get(operation, f"{service}:{operation}")
        if service == "s3":
            part = "bucket" if action == "s3:ListBucket" else "blobs"
            self.add(asked["Bucket"], action, part)
            if "IfMatch" in asked and action == "s3:PutObject":
                self.add(asked["Bucket"], "s3:GetObject", part)
            if "CopySource" in asked:
                self.add(asked["CopySource"]["Bucket"], "s3:GetObject", part)
        elif operation == "TransactWriteItems":
            for item in asked["TransactItems"]:
                [(step, one)] = item.items()
                self.add(one["TableName"], f"dynamodb:{STEPS[step]}")
        elif operation == "BatchGetItem":
            for table in asked["RequestItems"]:
                self.add(table, action)
        elif service == "dynamodb":
            self.add(asked["TableName"], action, "indexes" if "IndexName" in asked else None)
        elif service == "apigatewaymanagementapi":
            self.add("connections", action)
        else:
            names = ("QueueUrl", "TopicArn", "StreamName", "SecretId", "Name")
            self.add(next(asked[name] for name in names if name in asked), action)

    def add(self, place: str, action: str, part: str | None = None) -> None:
        kind, name, usual = self.places[place]
        self.needs.add((f"{kind}:{name}", part or usual, action))


def test_what_is_called_is_allowed_and_what_is_allowed_is_called(
    permitted: Callable[[str], Any],
    both_ways: Callable[..., None],
    tmp_path: Path,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = permitted(APP)
    declared = {(one.kind, one.name): one for one in vars(module).values() if isinstance(one, Resource)}
    with connections_api() as gateway:
        environment, places = made(account, declared)
        environment |= {"PORTABLE_SOCKETS_CHAT": f"{gateway.endpoint}/live"}
        calls = Calls(places | {"connections": ("sockets", "chat", "connections")})
        record(monkeypatch, calls.note)
        aws = platform(environment)
        handlers = [one for one in vars(module).values() if getattr(one, "__module__", "") == "permitted"]

        def cases() -> Iterator[Any]:
            for handler in (one for one in handlers if callable(one) and one.__name__ != "pieces"):
                grants, notes = grants_used([handler], tmp_path.resolve(), declared)
                assert notes == [], handler.__name__
                yield handler.__name__, {f"{kind}:{name}": verbs for (kind, name), verbs in grants.items()}, handler

        with use_platform(aws):
            both_ways(cases(), calls.needs, granted, set(table()) - NO_CALL)
        aws.close()


def table() -> Iterator[tuple[str, str, str, str]]:
    for kind, verbs in ACTIONS.items():
        for verb, parts in verbs.items():
            for part, actions in parts.items():
                for action in actions:
                    yield kind, verb, part, action


def granted(grants: Mapping[str, Iterable[str]]) -> set[Need]:
    """What the statements of these grants allow."""
    found = set()
    wanted = {key: sorted(verbs) for key, verbs in grants.items()}
    for statement in statements(wanted, lambda kind, name, part: [(f"{kind}:{name}", part)]):
        for action in statement["Action"]:
            found |= {(*one, action) for one in statement["Resource"]}
    return found


def made(account: Any, declared: dict[tuple[str, str], Resource]) -> tuple[dict[str, str], dict[str, Any]]:
    """Every resource, its addresses, and what each name in a call stands for."""
    environment = dict(account.environment)
    places: dict[str, tuple[str, str, str]] = {}
    for kind, name in declared:
        upper = name.upper()
        if kind == "bucket":
            environment[f"PORTABLE_BUCKET_{upper}"] = account.bucket(f"{name}-physical")
            places[f"{name}-physical"] = (kind, name, "blobs")
        elif kind == "queue":
            url, dead = make_queue(account.client("sqs"), f"{name}-physical", 5, fifo=False)
            environment |= {f"PORTABLE_QUEUE_{upper}": url, f"PORTABLE_DEADLETTER_{upper}": dead}
            places |= {url: (kind, name, "queue"), dead: (kind, name, "dead-letters")}
        elif kind == "table":
            client, options = account.client("dynamodb"), declared[kind, name].options
            environment[f"PORTABLE_TABLE_{upper}"] = make_table(client, f"{name}-physical", options)
            places[f"{name}-physical"] = (kind, name, "table")
    arn = account.client("sns").create_topic(Name="news-physical")["TopicArn"]
    stream = make_stream(account.client("kinesis"), "clicks-physical", {"partitions": 1})
    account.client("secretsmanager").create_secret(Name="key-physical", SecretString="text")
    for name in ("parameter", "flag"):
        account.client("ssm").put_parameter(Name=f"/{name}", Value="text", Type="String")
    environment |= {
        "PORTABLE_TOPIC_NEWS": arn,
        "PORTABLE_STREAM_CLICKS": stream,
        "PORTABLE_SECRET_KEY": "key-physical",
        "PORTABLE_SECRET_PARAMETER": "ssm:/parameter",
        "PORTABLE_CONFIG_FLAG": "ssm:/flag",
    }
    places |= {
        arn: ("topic", "news", "topic"),
        "clicks-physical": ("stream", "clicks", "stream"),
        "key-physical": ("secret", "key", "secret"),
        "/parameter": ("secret", "parameter", "parameter"),
        "/flag": ("config", "flag", "parameter"),
    }
    return environment, places


def record(monkeypatch: pytest.MonkeyPatch, note: Callable[[str, str, dict[str, Any]], None]) -> None:
    """Every call of every client, what the bucket driver sends by itself, and what is signed for others to call."""
    call: Callable[..., Any] = botocore.client.BaseClient._make_api_call
    sent: Callable[..., Any] = Wire._call
    signed: Callable[..., Any] = botocore.signers.generate_presigned_url

    def noted(client: Any, operation: str, asked: dict[str, Any]) -> Any:
        note(client.meta.service_model.service_name, operation, asked)
        return call(client, operation, asked)

    def noted_too(wire: Wire, method: str, *given: Any) -> Any:
        note("s3", {"GET": "GetObject", "PUT": "PutObject"}[method], {"Bucket": wire._bucket})
        return sent(wire, method, *given)

    def noted_for_others(client: Any, method: str, asked: dict[str, Any], *given: Any, **options: Any) -> Any:
        if asked["Key"] != "k":  # by that one the driver asks botocore where a bucket is, and nobody calls it
            note(client.meta.service_model.service_name, client.meta.method_to_api_mapping[method], asked)
        return signed(client, method, asked, *given, **options)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    monkeypatch.setattr(Wire, "_call", noted_too)
    monkeypatch.setattr(
        botocore.signers, "generate_presigned_url", noted_for_others
    )  # clients made from now on have it


def test_the_table_has_every_verb() -> None:
    assert {kind: tuple(verbs) for kind, verbs in ACTIONS.items()} == dict(VERBS)


# --- the examples, as they are

EXAMPLES = Path(__file__).parents[3] / "examples"


class OnAWS(InProcess):
    """An app in this process on AWS's drivers: what each function calls is noted under its name."""

    calls: Calls
    needs: dict[str, set[Need]]

    def _open(self, stack: contextlib.ExitStack) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="portable-"))
        environment = stack.enter_context(adapter("aws").run.emulate(self.manifest, Path(folder)))
        self.platform = platform(environment)
        stack.callback(self.platform.close)
        self._storage = Storage(self.manifest, self.platform)
        self._delivery = Delivery(self.manifest, self.platform, self._deliver, confirm=timedelta(0))
        self.calls = Calls(addressed(self.manifest, environment))
        self.needs = {one.name: set() for one in self.manifest.functions}

    def empty(self) -> None:
        """As ``portable.run.deployment`` does between two tests."""
        self._storage.clear()
        self._delivery.forget()

    def _invoke(self, function: FunctionRecord, event: Any, *more: Any, **options: Any) -> Any:
        self.calls.needs = self.needs[function.name]
        try:
            return super()._invoke(function, event, *more, **options)
        finally:
            self.calls.needs = set()  # what takes messages and looks for blobs is no function, nor is the test


class Nowhere(dict[str, tuple[str, str, str]]):
    """Places by name; what is none of the app's own resources, such as a topic's queues, stands for itself."""

    def __missing__(self, name: str) -> tuple[str, str, str]:
        return "", name, ""


def addressed(manifest: Manifest, environment: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """What each name in a call stands for."""
    usual = {"bucket": "blobs", "config": "parameter", "sockets": "connections"}
    places = Nowhere()
    for one in manifest.resources:
        address = environment.get(address_variable(one.kind, one.name), "")  # a config's default needs none
        name = "connections" if one.kind == "sockets" else address.rpartition("//")[2]
        places[address if one.kind == "queue" else name] = (one.kind, one.name, usual.get(one.kind, one.kind))
    return places


@contextlib.contextmanager
def example(name: str) -> Iterator[tuple[Any, list[Callable[[Client], None]]]]:
    """An example's app, and those of its tests that take nothing but a client."""
    projects = Projects()
    projects.enter(EXAMPLES / name / "test_app.py")
    try:
        tests = vars(import_module("test_app"))
        wanted = [one for key, one in tests.items() if key.startswith("test_")]
        yield import_module("app").app, [one for one in wanted if list(inspect.signature(one).parameters) == ["client"]]
    finally:
        projects.enter(Path(__file__))


def one_has_vanished(client: Client) -> None:
    """Beside the chat's own tests: who is found gone leaves the groups."""
    client.websocket("/chat", query={"who": "ann", "room": "red"}).vanish()
    assert client.post("/rooms/red", query={"text": "anybody?"}).json() == 0


@pytest.mark.parametrize("name", ["accounts", "chat", "thumbnails"])
def test_an_example_may_what_it_does_and_does_what_it_may(
    name: str, require_part: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("moto", "redis-server"):
        require_part(part)
    monkeypatch.setattr(sockets, "SETTLING", 0)
    with example(name) as (app, tests):
        host = OnAWS(app, {}, raise_errors=False)
        host.open()
        record(monkeypatch, lambda *call: host.calls.note(*call))
        try:
            with use_platform(host.platform):
                host.start()
                for test in [*tests, *([one_has_vanished] if name == "chat" else ())]:
                    test(Client(host))
                    host.empty()
        finally:
            host.close()
    default = {"config:accounts-per-minute"}  # the value is in the code: nothing is called, and no policy made
    for function in host.manifest.functions:
        made, allowed = host.needs[function.name], granted(function.grants)
        assert made <= allowed, f"{function.name} makes calls that its policy does not allow"
        for key, verbs in function.grants.items():
            for verb in verbs:
                if ACTIONS[key.partition(":")[0]][verb] and key not in default:
                    of_verb = granted({key: [verb]})
                    assert made & of_verb, f"{function.name} makes no call for {verb} on {key}"
