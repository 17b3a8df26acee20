"""Websockets of Azure Web PubSub: its documented events, its REST interface by a stand-in that checks tokens, and a
built artifact under Microsoft's own worker code."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from portable import ConfigError, NotFoundError, PermissionDeniedError, Request, Response, Sockets, UnavailableError
from portable.live import connections
from portable.resources import use_platform
from portable.run import emulators
from portable.run.deployment import Deployment, deployed
from portable.run.emulators.gateways import Gateway
from portable.run.parts import Found
from portable.samples.neutral import make_request
from portable.testing import Client, SocketRefusedError, SocketsConformance
from portable.testing.sockets import SocketPeer
from portable_azure import _sdk
from portable_azure.capabilities import CAPABILITIES
from portable_azure.limits import SOCKET_BYTES
from portable_azure.runtime import platform
from portable_azure.samples import PUBSUB_KEY
from portable_azure.table import parse_address
from portable_azure.triggers.web_pubsub import WebPubSubTrigger


@pytest.fixture
def service() -> Iterator[Gateway]:
    with emulators.web_pubsub(PUBSUB_KEY) as running:
        yield running


@pytest.fixture
def peer() -> Iterator[SocketPeer]:
    made = SocketPeer(connections.new_id())
    yield made
    made.vanish()


def environment_of(service: Gateway, key: str = PUBSUB_KEY) -> dict[str, str]:
    return {
        "PORTABLE_SOCKETS_ROOMS": f"{service.endpoint}/hubs/rooms",
        "WebPubSubConnectionString": f"Endpoint={service.endpoint};AccessKey={key};Version=1.0;",
    }


class TestSockets(SocketsConformance):
    capabilities = CAPABILITIES["sockets"]
    largest = SOCKET_BYTES

    @pytest.fixture
    def sockets(self, cosmos: Any, service: Gateway) -> Iterator[Sockets]:
        rooms = Sockets("rooms", binary=True)
        address = f"{cosmos.endpoint}/dbs/portable/colls/rooms-{uuid4().hex}"
        environment = {**cosmos.environment, **environment_of(service), "PORTABLE_TABLE_ROOMS_SOCKETS": address}
        _sdk.make_cosmos_container(*parse_address(address), environment)
        azure = platform(environment)
        with use_platform(azure):
            yield rooms
        azure.close()


# --- the driver


def test_a_call_bears_a_token_of_the_access_key(service: Gateway, peer: SocketPeer) -> None:
    azure = platform(environment_of(service))
    with use_platform(azure):
        Sockets("rooms").send(peer.connection, "hello")
        Sockets("rooms").close(peer.connection)
    azure.close()
    assert peer.receive() == "hello"
    path = f"/api/hubs/rooms/connections/{peer.connection}"
    assert [(method, url.partition("?")[0], status) for method, url, status in service.requests] == [
        ("POST", f"{path}/:send", 202),
        ("DELETE", path, 204),
    ]


def test_another_key_is_refused(service: Gateway, peer: SocketPeer) -> None:
    azure = platform(environment_of(service, key="another" * 8))
    with use_platform(azure), pytest.raises(PermissionDeniedError):
        Sockets("rooms").send(peer.connection, "hello")
    azure.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (401, PermissionDeniedError), (429, UnavailableError), (503, UnavailableError)],
)
def test_documented_errors(service: Gateway, peer: SocketPeer, status: int, kind: type[Exception]) -> None:
    service.refusals.append((status, "Code"))
    azure = platform(environment_of(service))
    with use_platform(azure), pytest.raises(kind, match="sockets rooms, key "):
        Sockets("rooms").driver().send(peer.connection, "x")
    azure.close()
    assert len(service.requests) == 1  # nothing is sent twice


@pytest.mark.parametrize("address", ["rooms", "https://a.webpubsub.azure.com", "https://a/hubs/b/c", "x://a/hubs/b"])
def test_an_address_of_another_form(address: str) -> None:
    azure = platform({"PORTABLE_SOCKETS_ROOMS": address})
    with use_platform(azure), pytest.raises(ConfigError, match="/hubs/HUB"):
        Sockets("rooms").driver()


# --- events, as documented


class Native:
    """As the worker's HttpRequest."""

    def __init__(self, method: str, headers: dict[str, str], body: bytes = b"") -> None:
        self.method = method
        self.headers = headers
        self.url = "https://app.azurewebsites.net/portable-sockets/chat?code=key"
        self._body = body

    def get_body(self) -> bytes:
        return self._body


KEY = "c2VjcmV0"
TRIGGER = WebPubSubTrigger("rooms.webpubsub.azure.com", KEY)


def post(kind: str, body: Any = None, media_type: str = "application/json; charset=utf-8", **changed: str) -> Request:
    """An event, as the reference of the CloudEvents extension has it."""
    from portable_azure.triggers.http import HTTPTrigger

    signature = hmac.new(KEY.encode(), b"0f5c97", "sha256").hexdigest()
    headers = {
        "Host": "app.azurewebsites.net",
        "WebHook-Request-Origin": "rooms.webpubsub.azure.com",
        "Content-Type": media_type,
        "ce-specversion": "1.0",
        "ce-type": kind,
        "ce-source": "/hubs/rooms/client/0f5c97",
        "ce-id": "3",
        "ce-time": "2021-01-01T00:00:00Z",
        "ce-signature": f"sha256={'0' * 64},sha256={signature}",
        "ce-userId": "ada",
        "ce-connectionId": "0f5c97",
        "ce-hub": "rooms",
        "ce-eventName": kind.rpartition(".")[2],
        **changed,
    }
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return HTTPTrigger.decode(Native("POST", headers, data))


def test_a_documented_connect_event() -> None:
    document = {
        "claims": {"iat": ["1"]},
        "query": {"a": ["1", "2"]},
        "headers": {"Host": ["rooms.webpubsub.azure.com"], "Cookie": ["who=ada"]},
        "subprotocols": ["v1", "v2"],
        "clientCertificates": [{"thumbprint": "ABC"}],
    }
    event: Any = TRIGGER.decode(post("azure.webpubsub.sys.connect", document))
    assert (event.kind, event.connection, event.client) == ("connect", "0f5c97", None)
    assert event.query.get_all("a") == ["1", "2"]
    assert event.headers["host"] == "rooms.webpubsub.azure.com"
    assert event.cookies == {"who": "ada"}
    assert event.subprotocols == ["v1", "v2"]
    assert event.native.headers["ce-userId"] == "ada"
    chosen = TRIGGER.encode(event, Response(None, 200, {"sec-websocket-protocol": "v2"}))
    assert (chosen.status, json.loads(chosen.body)) == (200, {"subprotocol": "v2"})
    assert TRIGGER.encode(event, Response(None, 200)).status == 204
    assert TRIGGER.encode(event, Response("no", 401)).status == 401


def test_documented_events_of_a_connection() -> None:
    text: Any = TRIGGER.decode(post("azure.webpubsub.user.message", "hé€".encode(), "text/plain; charset=utf-8"))
    assert (text.kind, text.body) == ("message", "hé€")
    document: Any = TRIGGER.decode(post("azure.webpubsub.user.order", {"a": 1}))
    assert (document.kind, document.body) == ("message", '{"a": 1}')
    binary: Any = TRIGGER.decode(post("azure.webpubsub.user.message", b"\x00\xff", "application/octet-stream"))
    assert binary.body == b"\x00\xff"
    gone: Any = TRIGGER.decode(post("azure.webpubsub.sys.disconnected", {"reason": "gone away"}))
    assert (gone.kind, gone.reason, gone.code) == ("disconnect", "gone away", None)
    connected: Any = TRIGGER.decode(post("azure.webpubsub.sys.connected", {}))
    assert connected.status == 204
    assert TRIGGER.encode(gone, Response(None, 500)).status == 204


@pytest.mark.parametrize(
    "changed",
    [
        {"ce-signature": ""},
        {"ce-signature": "sha256=00"},
        {"ce-signature": "sha256=é"},
        {"ce-connectionId": "another"},
        {"ce-connectionId": ""},
    ],
)
def test_a_forged_event_is_refused(changed: dict[str, str]) -> None:
    answer = TRIGGER.decode(post("azure.webpubsub.user.message", b"x", "text/plain", **changed))
    assert isinstance(answer, Response)
    assert answer.status == 401


def test_what_is_no_event_is_named() -> None:
    for request, said in (
        (post("azure.webpubsub.sys.other", {}), "no event of Web PubSub is of this type"),
        (post("azure.webpubsub.user.message", b"\xff", "text/plain"), "decode"),
    ):
        answer = TRIGGER.decode(request)
        assert isinstance(answer, Response)
        assert answer.status == 400
        assert said in answer.body


def test_events_are_promised_to_our_own_service_alone() -> None:
    from portable_azure.triggers.http import HTTPTrigger

    for origin, status in (("rooms.webpubsub.azure.com", 200), ("evil.example", 403), ("", 403)):
        request = HTTPTrigger.decode(Native("OPTIONS", {"WebHook-Request-Origin": origin}))
        answer = TRIGGER.decode(request)
        assert isinstance(answer, Response)
        assert answer.status == status
        assert answer.headers.get("webhook-allowed-origin") == (origin if status == 200 else None)


def test_without_the_key_no_event_can_be_trusted() -> None:
    with pytest.raises(ConfigError, match="set WebPubSubConnectionString"):
        WebPubSubTrigger.of_address("rooms", "https://rooms.webpubsub.azure.com/hubs/rooms", {})


# --- a built artifact


APP = """
from portable import App, HTTPError, SocketEvent

app = App("talk")
rooms = app.sockets("rooms", binary=True)


@app.websocket("/chat", sockets=rooms)
def chat(event: SocketEvent) -> None:
    if event.kind == "connect":
        if event.query.get("token") != "open":
            raise HTTPError(401, "Say the token")
        if event.subprotocols:
            event.subprotocol = event.subprotocols[-1]
        rooms.join(event.connection, "lobby")
    elif event.kind == "message" and event.body == "boom":
        raise KeyError("boom")
    elif event.kind == "message":
        rooms.broadcast("lobby", event.body)


@app.websocket("/live-echo")
async def live_echo(event: SocketEvent) -> None:
    if event.kind == "message":
        await event.asend(event.json())


@app.get("/members")
def members() -> list[str]:
    return rooms.members("lobby")
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, require_part: Callable[..., Found]) -> Iterator[Deployment]:
    for part in ("node", "cosmosdb-server", "azure-functions-runtime"):
        require_part(part)
    folder: Path = tmp_path_factory.mktemp("azure-sockets")
    (folder / "app.py").write_text(APP, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "talk"\nversion = "0"\ndependencies = []\n', "utf-8")
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "azure", "--for-here"]
    done = subprocess.run([*command, "--project", folder], capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    with deployed(folder / "dist" / "azure") as running:
        yield running


def test_a_chat_under_the_real_worker(deployment: Deployment) -> None:
    client = Client(deployment)
    with client.websocket("/chat", query={"token": "open"}) as one:
        with client.websocket("/chat", query={"token": "open"}, subprotocols=["v1", "v2"]) as other:
            assert other.subprotocol == "v2"
            assert sorted(client.get("/members").json()) == sorted([one.connection, other.connection])
            one.send("hello €")
            assert one.receive() == other.receive() == "hello €"
            one.send(b"\x00\xff")
            assert one.receive() == other.receive() == b"\x00\xff"
            one.send("boom")
            one.send("still here")
            assert other.receive() == "still here"
        assert client.get("/members").json() == [one.connection]
    assert client.get("/members").json() == []


def test_a_refusal_and_an_async_handler(deployment: Deployment) -> None:
    client = Client(deployment)
    with pytest.raises(SocketRefusedError) as caught:
        client.websocket("/chat", query={"token": "wrong"})
    assert caught.value.status == 401
    with client.websocket("/live-echo") as session:
        session.send('{"a": [1]}')
        assert session.receive_json() == {"a": [1]}


def test_the_endpoint_validates_and_refuses(deployment: Deployment) -> None:
    from portable_azure.samples import _http, _response

    host = deployment.environment["PORTABLE_SOCKETS_ROOMS"].partition("://")[2].partition("/")[0]
    for method, headers, status in (
        ("OPTIONS", [("webhook-request-origin", host)], 200),
        ("OPTIONS", [("webhook-request-origin", "evil.example")], 403),
        ("POST", [("ce-type", "azure.webpubsub.user.message"), ("ce-connectionid", "x")], 401),
    ):
        native = _http(make_request(method, "/portable-sockets/chat", headers=headers, body=b""))
        answer = _response(deployment.invoke_native("chat", native)["return"]["http"])
        assert answer.status == status, answer.body
