"""What reaches Azure, by HTTP and by AMQP, is what a function's role allows, and a role allows nothing else."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from portable.drivers import address_variable
from portable.grants import VERBS
from portable.manifest import Manifest, describe_app
from portable.plugins import adapter
from portable.resources import use_platform
from portable_azure import _sdk
from portable_azure.permissions import (
    ACTIONS,
    BATCH,
    BLOB_DELETE,
    BLOB_READ,
    BLOB_WRITE,
    BUS_RECEIVE,
    BUS_SEND,
    DELEGATE,
    GET_SECRET,
    LIST,
    MESSAGE_ADD,
    MESSAGE_DELETE,
    MESSAGE_PROCESS,
    MESSAGE_READ,
    MESSAGE_WRITE,
    METADATA,
    QUERY,
    QUEUE_READ,
    SOCKET_CLOSE,
    SOCKET_SEND,
    operations,
)
from portable_azure.queue import poison_address
from portable_azure.runtime import platform

APP = """
    from contextlib import suppress
    from datetime import timedelta
    from portable import App, NotFoundError, PreconditionFailedError, Reject

    app = App("permitted")
    uploads = app.bucket("uploads")
    thumbs = app.bucket("thumbs")
    emails = app.queue("emails")
    users = app.table("users", key="id", sort="at", indexes={"by-name": "name"})
    visits = app.table("visits", key="id", ttl="until")
    key = app.secret("key")
    shown = app.secret("shown")
    flag = app.config("flag")
    payments = app.queue("payments", dedup=True)
    news = app.topic("news")
    groups = app.table("groups", key="owner", sort="member", ttl="expires")
    chat = app.sockets("chat", groups)

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
    def queue_send():
        emails.send("a")
        emails.send_many(["b", "c", "d", "e"])

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
    def queue_depth():
        emails.depth()

    @app.function()
    def queue_dead_letters():
        assert emails.dead_letters()

    @app.function()
    def queue_redrive():
        assert emails.redrive()

    @app.function()
    def queue_purge():
        emails.purge()

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
    def table_delete():
        users.delete("a", "1")
        with suppress(PreconditionFailedError):
            visits.delete("a", if_match="none")

    @app.function()
    def secret_read():
        key.value()

    @app.function()
    def config_read():
        flag.value()

    @app.function()
    def bus_send():
        payments.send("a")
        payments.send_many(["b", "c", "d"])

    @app.function()
    def bus_receive():
        [delivery] = payments.receive(1)
        delivery.extend(timedelta(seconds=30))
        delivery.nack()
        payments.ack_many(payments.receive(1))
        for delivery in payments.receive(1):
            delivery.nack(timedelta(seconds=1))
        for delivery in payments.receive(1):
            with delivery:
                raise Reject("no")

    @app.function()
    def bus_dead_letters():
        assert payments.dead_letters()

    @app.function()
    def bus_redrive():
        assert payments.redrive()

    @app.function()
    def bus_purge():
        payments.purge()

    @app.function()
    def topic_publish():
        news.publish("a")
        news.publish_many(["a", "b"])

    @app.function()
    def sockets_send():
        with suppress(NotFoundError):
            chat.send("gone", "hello")
        chat.close("gone")
"""

ITEMS = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items"

STORAGE = {
    # https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory, "Permissions for blob
    # service operations": method, comp and what is named.
    "bucket": (
        ("PUT", None, True, (BLOB_WRITE,)),  # Put Blob, Copy Blob
        ("PUT", "block", True, (BLOB_WRITE,)),
        ("PUT", "blocklist", True, (BLOB_WRITE,)),
        ("GET", None, True, (BLOB_READ,)),
        ("HEAD", None, True, (BLOB_READ,)),
        ("DELETE", None, True, (BLOB_DELETE,)),
        ("GET", "list", False, (LIST,)),
        ("POST", "batch", False, (BATCH, BLOB_DELETE)),
    ),
    # …, "Permissions for queue service operations"
    "queue": (
        ("POST", None, True, (MESSAGE_ADD,)),
        ("GET", None, True, (MESSAGE_PROCESS,)),  # Get Messages; with peekonly, Peek Messages: see below
        ("PUT", None, True, (MESSAGE_WRITE,)),
        ("DELETE", None, True, (MESSAGE_PROCESS,)),  # Delete Message; without one, Clear Messages: see below
        ("GET", "metadata", False, (QUEUE_READ,)),
    ),
}


BUS = {
    # https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas, "Rights required for Service
    # Bus operations"
    "sends to": BUS_SEND,
    "receives from": BUS_RECEIVE,
    "com.microsoft:peek-message": BUS_RECEIVE,
    "com.microsoft:renew-lock": BUS_RECEIVE,
    "com.microsoft:renew-session-lock": BUS_RECEIVE,
}
"""What the stand-in's log says is done with a queue."""

SERVICE = {
    # https://learn.microsoft.com/azure/role-based-access-control/permissions/web-and-mobile, Microsoft.SignalRService
    ("POST", ":send"): SOCKET_SEND,
    ("DELETE", ""): SOCKET_CLOSE,
}
"""Of Web PubSub: method, and what follows the connection."""

Need = tuple[str, str, str]  # kind:name, part, operation


class Calls:
    """What goes out over HTTP, as operations on parts of resources."""

    def __init__(self) -> None:
        self.places: Mapping[str, tuple[str, str]] = {}
        self.tables: Mapping[str, str] = {}
        self.account = ""
        self.service = ""
        self.secrets: Mapping[str, str] = {}
        self.needs: set[Need] = set()

    def sent(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        address = url.partition("?")[0]
        place = max((one for one in self.places if f"{address}/".startswith(f"{one}/")), key=len, default=None)
        if place is not None:
            self.stored(method, url, headers, place)
        elif self.service and address.startswith(self.service):
            end = re.fullmatch(r"/api/hubs/[^/]+/connections/[^/]+/?(.*)", urlsplit(url).path)
            assert end is not None
            self.needs.add(("sockets:chat", "service", SERVICE[method, end[1]]))
        elif self.account and address.startswith(self.account):
            self.asked(method, urlsplit(url).path, headers)
        else:
            found = re.fullmatch(r"/secrets/([^/]+)/?[^/]*", urlsplit(url).path)
            assert found is not None, f"which operation is {method} {url}?"
            assert method == "GET"
            self.needs.add((self.secrets[found[1]], "secret", GET_SECRET))

    def stored(self, method: str, url: str, headers: Mapping[str, str], place: str) -> None:
        key, part = self.places[place]
        rest, asked = url.partition("?")[0].removeprefix(place).strip("/"), parse_qs(urlsplit(url).query)
        comp = asked.get("comp", [None])[0]
        rows = STORAGE[key.partition(":")[0]]
        [needed] = [one for verb, of, named, one in rows if (verb, of, named) == (method, comp, bool(rest))]
        if part != "container" and method == "GET" and "peekonly" in asked:
            needed = (MESSAGE_READ,)
        if part != "container" and method == "DELETE" and rest == "messages":
            needed = (MESSAGE_DELETE,)
        self.needs |= {(key, part, one) for one in needed}
        if source := headers.get("x-ms-copy-source"):  # with a signature that reaches no further than who signs it
            [of] = [one for one in self.places if source.startswith(f"{one}/")]
            self.needs.add((*self.places[of], BLOB_READ))

    def asked(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Of Cosmos DB: https://learn.microsoft.com/azure/cosmos-db/nosql/reference-data-plane-security."""
        found = re.fullmatch(r"/dbs/[^/]+/colls/([^/]+)/docs/?(.*)", unquote(path))
        if found is None:  # the account, a container, its ranges of keys
            assert method == "GET", f"which operation is {method} {path}?"
            self.needs |= {(key, "items", METADATA) for key in self.tables.values()}
            return
        lower = {name.lower(): str(value).lower() for name, value in headers.items()}
        verb = {"GET": "read", "PUT": "replace", "DELETE": "delete", "POST": "create"}[method]
        if lower.get("x-ms-documentdb-is-upsert") == "true":
            verb = "upsert"
        is_query = "query" in lower.get("content-type", "")
        self.needs.add((self.tables[found[1]], "items", QUERY if is_query else f"{ITEMS}/{verb}"))

    def noted(self, method: str, url: str, headers: Mapping[str, str], _body: Any) -> None:
        if self.places:
            self.sent(method, url, headers)

    def from_bus(self, log: str) -> None:
        """What the log of Service Bus's stand-in says."""
        for what, name in re.findall(r"somebody (.+) (\S+)$", log, re.MULTILINE):
            self.needs.add((*self.places[name.removesuffix("/$DeadLetterQueue")], BUS[what]))


@pytest.fixture
def calls(http_calls: Callable[..., None]) -> Calls:
    made = Calls()
    http_calls(made.noted)
    return made


def test_what_is_called_is_allowed_and_what_is_allowed_is_called(
    permitted: Callable[[str], Any],
    tmp_path: Path,
    calls: Calls,
    both_ways: Callable[..., None],
    require_part: Callable[..., Any],
) -> None:
    for part in ("node", "azurite", "cosmosdb-server", "qpid-proton"):
        require_part(part)
    module = permitted(APP)
    manifest = describe_app(module.app, "permitted:app", tmp_path)
    folder = tmp_path / "emulated"
    signing = {("bucket", verb, "account", DELEGATE) for verb in ("read", "write")}  # see below
    with contextlib.ExitStack() as stack:
        environment = dict(stack.enter_context(adapter("azure").run.emulate(manifest, folder)))
        environment["PORTABLE_CONFIG_FLAG"] = environment["PORTABLE_SECRET_SHOWN"]

        def cases() -> Iterator[Any]:
            for function in manifest.functions:
                address_all(calls, manifest, environment, function.grants)
                assert function.unseen == [], function.name

                def run(name: str = function.name.replace("-", "_")) -> None:
                    before = len((folder / "service-bus.log").read_text())
                    cloud = platform(environment)  # each is a cold instance, which reads a container's metadata
                    with contextlib.closing(cloud), use_platform(cloud):
                        getattr(module, name)()
                    calls.from_bus((folder / "service-bus.log").read_text()[before:])

                yield function.name, function.grants, run

        both_ways(cases(), calls.needs, allowed, set(table()) - signing)


SIGNS = """
    from datetime import timedelta
    from portable import App

    app = App("permitted")
    uploads = app.bucket("uploads")

    @app.function()
    def bucket_read():
        uploads.url("a", expires=timedelta(hours=1))

    @app.function()
    def bucket_write():
        uploads.url("a", method="PUT", expires=timedelta(hours=1))
"""

KEY = """<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>o</SignedOid><SignedTid>t</SignedTid>
<SignedStart>2026-01-01T00:00:00Z</SignedStart><SignedExpiry>2026-01-02T00:00:00Z</SignedExpiry>
<SignedService>b</SignedService><SignedVersion>2024-11-04</SignedVersion><Value>a2V5</Value></UserDelegationKey>"""


def test_a_url_is_signed_with_a_key_that_the_identity_may_ask_for(
    permitted: Callable[[str], Any],
    tmp_path: Path,
    http_calls: Callable[..., None],
    both_ways: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs: set[Need] = set()

    def note(method: str, url: str, headers: Mapping[str, str], body: Any) -> str:
        # https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key, "Authorization"
        assert (method, parse_qs(urlsplit(url).query)) == (
            "POST",
            {"restype": ["service"], "comp": ["userdelegationkey"]},
        )
        assert urlsplit(url).path == "/"
        needs.add(("bucket:uploads", "account", DELEGATE))
        return KEY

    http_calls(note)
    monkeypatch.setattr(_sdk, "_identity", _sdk._emulated_identity)
    module = permitted(SIGNS)
    manifest = describe_app(module.app, "permitted:app", tmp_path)
    cloud = platform({"PORTABLE_BUCKET_UPLOADS": "https://acme.blob.core.windows.net/uploads"})
    with contextlib.closing(cloud), use_platform(cloud):
        cases = [(one.name, one.grants, getattr(module, one.name.replace("-", "_"))) for one in manifest.functions]
        every = [("bucket", verb, "account", DELEGATE) for verb in ("read", "write")]
        both_ways(cases, needs, allowed, every)


def table() -> Iterator[tuple[str, str, str, str]]:
    for kind, verbs in ACTIONS.items():
        for verb, parts in verbs.items():
            for part, needed in parts.items():
                for one in needed:
                    yield kind, verb, part, one


def allowed(grants: Mapping[str, Iterable[str]]) -> set[Need]:
    """What these grants allow."""
    return {(key, part, one) for (key, part), needed in operations(grants).items() for one in needed}


def address_all(
    calls: Calls, manifest: Manifest, environment: Mapping[str, str], grants: Mapping[str, list[str]]
) -> None:
    """What each address stands for. What is asked of the account is asked for the tables that the function uses."""
    places: dict[str, tuple[str, str]] = {}
    tables, secrets = {}, {}
    for one in manifest.resources:
        key, address = f"{one.kind}:{one.name}", environment[address_variable(one.kind, one.name)]
        if one.kind == "bucket":
            places[address] = (key, "container")
        elif address.startswith("sb://"):
            name = address.rpartition("/")[2]
            places[name] = (key, "bus-topic" if one.kind == "topic" else "bus-queue")
            if one.kind == "queue":
                dead = environment[address_variable("deadletter", one.name)].rpartition("/")[2]
                places[dead] = (key, "bus-dead")
        elif one.kind == "queue":
            places |= {address: (key, "queue"), poison_address(address): (key, "poison")}
        elif one.kind == "sockets":
            calls.service = address.partition("/hubs/")[0]
        elif one.kind in ("config", "secret"):
            secrets.setdefault(address.rpartition("/")[2], key)  # a config value's secret is the config's
        elif one.kind == "table":
            calls.account = address.partition("/dbs/")[0]
            if key in grants:
                tables[address.rpartition("/")[2]] = key
    calls.places, calls.tables, calls.secrets = places, tables, secrets


def test_the_table_has_every_verb() -> None:
    assert {kind: tuple(verbs) for kind, verbs in ACTIONS.items()} == dict(VERBS)
