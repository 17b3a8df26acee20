"""The requests that reach Azure's storage and databases are those a function's role allows, and the other way round."""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests

from portable.drivers import address_variable
from portable.grants import VERBS
from portable.manifest import Manifest, describe_app
from portable.plugins import adapter
from portable.resources import use_platform
from portable_azure.permissions import (
    ACTIONS,
    BATCH,
    BLOB_DELETE,
    BLOB_READ,
    BLOB_WRITE,
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
    operations,
)
from portable_azure.queue import poison_address
from portable_azure.runtime import platform

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

NO_CALL = {
    # The emulator takes a key of the account, so nothing is signed with one that the identity asks for.
    ("bucket", "read", "account", DELEGATE),
    ("bucket", "write", "account", DELEGATE),
    ("config", "read", "secret", GET_SECRET),  # the driver is that of secrets
}
NOT_HTTP = ("bus-queue", "bus-dead", "bus-topic", "service")
"""Service Bus speaks AMQP; Web PubSub is not looked at here."""

Need = tuple[str, str, str]  # kind:name, part, operation


class Calls:
    """What goes out over HTTP, as operations on parts of resources."""

    def __init__(self) -> None:
        self.places: Mapping[str, tuple[str, str]] = {}
        self.tables: Mapping[str, str] = {}
        self.account = ""
        self.needs: set[Need] = set()

    def sent(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        address = url.partition("?")[0]
        place = max((one for one in self.places if f"{address}/".startswith(f"{one}/")), key=len, default=None)
        if place is not None:
            self.stored(method, url, headers, place)
        elif self.account and address.startswith(self.account):
            self.asked(method, urlsplit(url).path, headers)
        else:
            found = re.fullmatch(r"/secrets/([^/]+)/?[^/]*", urlsplit(url).path)
            assert (method, found is not None) == ("GET", True), f"which operation is {method} {url}?"
            self.needs.add(("secret:key", "secret", GET_SECRET))

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


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made, send = Calls(), requests.Session.request

    def noted(session: Any, method: str, url: str, *given: Any, **options: Any) -> Any:
        if made.places:
            made.sent(method.upper(), url, options.get("headers") or {})
        return send(session, method, url, *given, **options)

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
    for part in ("node", "azurite", "cosmosdb-server"):
        require_part(part)
    manifest = describe_app(module.app, "permitted:app", tmp_path)
    unused = {one for one in table() if one[2] not in NOT_HTTP} - NO_CALL
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(adapter("azure").run.emulate(manifest, tmp_path / "emulated"))
        for function in manifest.functions:
            address_all(calls, manifest, environment, function.grants)
            calls.needs.clear()
            assert function.unseen == [], function.name
            cloud = platform(environment)  # each is a cold instance, which reads a container's metadata
            with contextlib.closing(cloud), use_platform(cloud):
                getattr(module, function.name.replace("-", "_"))()
            made = set(calls.needs)
            assert made <= allowed(function.grants), f"{function.name} does what its roles do not allow"
            for key, verbs in function.grants.items():
                kind = key.partition(":")[0]
                unused -= {(kind, verb, part, need) for verb in verbs for of, part, need in made if of == key}
    assert unused == set(), "no request needs these"


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
    places, tables = {}, {}
    for one in manifest.resources:
        key, address = f"{one.kind}:{one.name}", environment[address_variable(one.kind, one.name)]
        if one.kind == "bucket":
            places[address] = (key, "container")
        elif one.kind == "queue":
            places |= {address: (key, "queue"), poison_address(address): (key, "poison")}
        elif one.kind == "table":
            calls.account = address.partition("/dbs/")[0]
            if key in grants:
                tables[address.rpartition("/")[2]] = key
    calls.places, calls.tables = places, tables


def test_the_table_has_every_verb() -> None:
    assert {kind: tuple(verbs) for kind, verbs in ACTIONS.items()} == dict(VERBS)
