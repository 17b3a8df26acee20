"""Websockets of API Gateway: its documented events, its connections by a stand-in that checks signatures, and a built
artifact under AWS's own runtime client."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable import ConfigError, NotFoundError, PermissionDeniedError, SocketEvent, Sockets, UnavailableError
from portable.live import connections
from portable.manifest import FunctionRecord, TriggerRecord
from portable.resources import use_platform
from portable.run.deployment import Deployment, deployed
from portable.run.emulators import connections_api
from portable.run.emulators.gateways import Gateway
from portable.run.parts import Found
from portable.testing import Client, SocketRefusedError, SocketsConformance
from portable.testing.sockets import SocketPeer
from portable_aws.capabilities import CAPABILITIES
from portable_aws.limits import SOCKET_BYTES
from portable_aws.runtime import platform
from portable_aws.samples import SAMPLES
from portable_aws.triggers.websocket import WebSocketAPI


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with connections_api() as running:
        yield running


@pytest.fixture
def peer() -> Iterator[SocketPeer]:
    made = SocketPeer(connections.new_id())
    yield made
    made.vanish()


def environment_of(gateway: Gateway, **more: str) -> dict[str, str]:
    return {
        "PORTABLE_SOCKETS_ROOMS": f"{gateway.endpoint}/live",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-1",
        **more,
    }


class TestSockets(SocketsConformance):
    capabilities = CAPABILITIES["sockets"]
    largest = SOCKET_BYTES

    @pytest.fixture
    def sockets(self, account: Any, gateway: Gateway) -> Iterator[Sockets]:
        rooms = Sockets("rooms")
        address = account.table(rooms.store)
        aws = platform({**environment_of(gateway), **account.environment, "PORTABLE_TABLE_ROOMS_SOCKETS": address})
        with use_platform(aws):
            yield rooms
        aws.close()


# --- the driver


def test_a_call_is_signed_for_the_connections_of_the_address(gateway: Gateway, peer: SocketPeer) -> None:
    aws = platform(environment_of(gateway, AWS_ENDPOINT_URL="http://127.0.0.1:9"))
    with use_platform(aws):
        Sockets("rooms").send(peer.connection, "hello")
        Sockets("rooms").close(peer.connection)
    aws.close()
    assert peer.receive() == "hello"
    path = f"/live/@connections/{peer.connection}"
    assert gateway.requests == [("POST", path, 200), ("DELETE", path, 204)]


def test_a_wrong_signature_is_refused(gateway: Gateway, peer: SocketPeer) -> None:
    aws = platform(environment_of(gateway, AWS_SECRET_ACCESS_KEY="another"))
    with use_platform(aws), pytest.raises(PermissionDeniedError):
        Sockets("rooms").send(peer.connection, "hello")
    aws.close()
    assert peer.waiting() == 0


def test_ids_as_the_gateway_gives_them(gateway: Gateway) -> None:
    peer = SocketPeer("L0SM9cOFvHcCIhw=")
    aws = platform(environment_of(gateway))
    with use_platform(aws), contextlib.closing(aws), contextlib.ExitStack() as stack:
        stack.callback(peer.vanish)
        Sockets("rooms").send(peer.connection, "hello")
        assert peer.receive() == "hello"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (410, "GoneException", NotFoundError),
        (403, "ForbiddenException", PermissionDeniedError),
        (429, "LimitExceededException", UnavailableError),
        (500, "InternalServerError", UnavailableError),
    ],
)
def test_documented_errors(gateway: Gateway, peer: SocketPeer, status: int, code: str, kind: type[Exception]) -> None:
    gateway.refusals.append((status, code))
    aws = platform(environment_of(gateway))
    with use_platform(aws), pytest.raises(kind, match=r"sockets rooms, key "):
        Sockets("rooms").driver().send(peer.connection, "x")
    aws.close()
    assert len(gateway.requests) == 1  # nothing is sent twice


def test_an_address_that_is_no_url() -> None:
    aws = platform({"PORTABLE_SOCKETS_ROOMS": "abcdef"})
    with use_platform(aws), pytest.raises(ConfigError, match="no URL; it is https://API"):
        Sockets("rooms").driver()


def test_the_region_is_in_the_address() -> None:
    aws = platform(
        {
            "PORTABLE_SOCKETS_ROOMS": "https://abc.execute-api.ap-south-1.amazonaws.com/live",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
    )
    with use_platform(aws):
        native = Sockets("rooms").native()
        assert native.meta.region_name == "ap-south-1"
        assert native.meta.endpoint_url == "https://abc.execute-api.ap-south-1.amazonaws.com/live"
    aws.close()


# --- events


def test_a_documented_connect_event(payload: Callable[[str], Any]) -> None:
    event = WebSocketAPI.decode(payload("websocket_connect"))
    assert (event.kind, event.connection, event.client) == ("connect", "AAAA1234=", "192.0.2.1")
    assert event.query.get_all("a") == ["1", "2"]
    assert event.headers["host"] == "abcd123.execute-api.us-east-1.amazonaws.com"
    assert event.cookies == {"who": "ada"}
    assert event.subprotocols == ["v1", "v2"]
    assert event.native["requestContext"]["apiId"] == "abcd1234"


@pytest.mark.parametrize(
    "event",
    [
        SocketEvent("connect", "abc=", query=[("a", "1"), ("a", "2")], headers={"x": "y"}, client="203.0.113.9"),
        SocketEvent("connect", "abc="),
        SocketEvent("message", "abc=", "text €"),
        SocketEvent("disconnect", "abc=", code=1001, reason="Going away"),
    ],
)
def test_a_sample_is_read_as_it_was_meant(event: SocketEvent) -> None:
    trigger = TriggerRecord("socket", "app:chat", "app.py:1", {"path": "/chat", "sockets": "rooms"})
    function = FunctionRecord("chat", "socket", [trigger], None, None, [], [], is_async=False)
    read = WebSocketAPI.decode(SAMPLES.native(function, event))
    assert (read.kind, read.connection, read.body) == (event.kind, event.connection, event.body)
    assert (read.code, read.reason) == (event.code, event.reason)
    if event.kind == "connect":
        assert read.query == event.query
        assert read.headers.get("x") == event.headers.get("x")
        assert read.client == event.client or event.client is None


@pytest.mark.parametrize(
    ("event", "missing"),
    [
        ({}, "requestContext"),
        ({"requestContext": {}}, "eventType"),
        ({"requestContext": {"eventType": "OTHER"}}, "OTHER"),
        ({"requestContext": {"eventType": "MESSAGE"}}, "connectionId"),
        ([], "list"),
        (None, "NoneType"),
    ],
)
def test_a_malformed_event_is_named(event: Any, missing: str) -> None:
    with pytest.raises(ValueError, match=rf"WebSocket API.*{missing}"):
        WebSocketAPI.decode(event)


# --- a built artifact


APP = """
from portable import App, HTTPError, SocketEvent

app = App("talk")
rooms = app.sockets("rooms")


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
        rooms.broadcast("lobby", event.text())


@app.websocket("/echo")
async def echo(event: SocketEvent) -> None:
    if event.kind == "message":
        await event.asend(event.json())


@app.get("/members")
def members() -> list[str]:
    return rooms.members("lobby")
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, require_part: Callable[..., Found]) -> Iterator[Deployment]:
    for part in ("moto", "aws-lambda-rie"):
        require_part(part)
    for part in ("python", "awslambdaric"):
        require_part(part, "3.13")
    folder = tmp_path_factory.mktemp("aws-sockets")
    (folder / "app.py").write_text(APP, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "talk"\nversion = "0"\ndependencies = []\n', "utf-8")
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--for-here", "--python", "3.13"]
    done = subprocess.run([*command, "--project", folder], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    with deployed(folder / "dist" / "aws") as running:
        yield running


def test_a_chat_under_the_real_runtime_client(deployment: Deployment) -> None:
    client = Client(deployment)
    with client.websocket("/chat", query={"token": "open"}) as one:
        with client.websocket("/chat", query={"token": "open"}, subprotocols=["v1", "v2"]) as other:
            assert other.subprotocol == "v2"
            assert sorted(client.get("/members").json()) == sorted([one.connection, other.connection])
            one.send("hello €")
            assert one.receive() == other.receive() == "hello €"
            one.send("boom")
            assert "KeyError" in deployment.log()
            one.send("still here")
            assert other.receive() == "still here"
        assert client.get("/members").json() == [one.connection]
    assert client.get("/members").json() == []


def test_a_refusal_and_an_async_handler(deployment: Deployment) -> None:
    client = Client(deployment)
    with pytest.raises(SocketRefusedError) as caught:
        client.websocket("/chat", query={"token": "wrong"})
    assert caught.value.status == 401
    with client.websocket("/echo") as session:
        session.send('{"a": [1]}')
        assert session.receive_json() == {"a": [1]}


def test_the_bundle_holds_the_service_it_calls_and_no_other(deployment: Deployment) -> None:
    data: Path = deployment.artifact.folder / "bundle" / "botocore" / "data"
    services = {path.name for path in data.iterdir() if path.is_dir()}
    assert services == {"apigatewaymanagementapi", "dynamodb", "sts"}
