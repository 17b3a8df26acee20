"""Websockets of Cloud Run: instances in processes of their own, which share a table and a topic on Google's emulators.

No image is built here: what its container would run is started as a process.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from portable import App, ConfigError, NotFoundError, SocketEvent, Sockets
from portable.build.features import check_features
from portable.live.relay import Presence
from portable.manifest import describe_app
from portable.resources import use_platform
from portable.run.emulators import PROJECT, Emulator
from portable.run.processes import LOOPBACK
from portable.testing import SocketClosedError, SocketsConformance
from portable_gcp.build import TARGET
from portable_gcp.capabilities import CAPABILITIES
from portable_gcp.limits import SOCKET_BYTES
from portable_gcp.platform import GoogleCloud

APP = """
from portable import App, HTTPError, SocketEvent

app = App("talk")
rooms = app.sockets("rooms", binary=True)


@app.on_stop
async def say_goodbye() -> None:
    print("the hooks were called", flush=True)


@app.websocket("/chat", sockets=rooms)
def chat(event: SocketEvent) -> None:
    if event.kind == "connect":
        if event.query.get("token") == "wrong":
            raise HTTPError(401, "Say the token")
        rooms.join(event.connection, event.query.get("room", "nowhere"))
    elif event.body == "who":
        event.send(event.connection)
    elif event.kind == "message":
        group, _, text = event.text().partition(" ")
        rooms.broadcast(group, text)


@app.websocket("/other")
async def other(event: SocketEvent) -> None: ...
"""


class Instance:
    """One that runs."""

    def __init__(self, folder: Path, environment: dict[str, str], number: int) -> None:
        self.port = 0
        self.log = folder / f"instance-{number}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTABLE_")}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portable_gcp.serving", "app:app", "chat"],
                cwd=folder,
                env={**kept, **environment, "PORT": "0", "HOST": LOOPBACK},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        limit = time.monotonic() + 60
        while (said := re.search(r"running on http://[\d.]+:(\d+)", self.log.read_text())) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.05)
        self.port = int(said[1])

    def dial(self, query: str = "") -> ClientConnection:
        return connect(f"ws://{LOOPBACK}:{self.port}/chat{query}", proxy=None, close_timeout=5, max_size=None)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def environment(pubsub: Emulator, firestore: Emulator, call_json: Callable[..., Any]) -> dict[str, str]:
    unique = uuid4().hex[:8]
    topic = f"projects/{PROJECT}/topics/rooms-{unique}"
    call_json("PUT", f"{pubsub.endpoint}/v1/{topic}", {})
    table = f"projects/{PROJECT}/databases/(default)/documents/rooms-{unique}"
    return {
        **pubsub.environment,
        **firestore.environment,
        "PORTABLE_SOCKETS_ROOMS": topic,
        "PORTABLE_TABLE_ROOMS_SOCKETS": table,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gcp-sockets")
    (made / "app.py").write_text(APP, "utf-8")
    return made


@pytest.fixture(scope="module")
def instances(folder: Path, environment: dict[str, str]) -> Iterator[list[Instance]]:
    """Two, which serve the same app."""
    started = [Instance(folder, environment, number) for number in range(2)]
    try:
        for one in started:
            one.wait()
        yield started
    finally:
        for one in started:
            one.process.send_signal(signal.SIGTERM)
        for one in started:
            one.stop()


@pytest.fixture
def in_force(environment: dict[str, str]) -> Iterator[GoogleCloud]:
    cloud = GoogleCloud(environment)
    with use_platform(cloud):
        yield cloud
    cloud.close()


class RemotePeer:
    """A client of a connection that another process holds."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        socket.send("who")
        self.connection = str(socket.recv(timeout=20))

    def receive(self, timeout: float = 20.0) -> str | bytes:
        try:
            return self._socket.recv(timeout=timeout)
        except ConnectionClosed as closed:
            raise SocketClosedError(closed.rcvd.code if closed.rcvd else 1006) from closed

    def vanish(self) -> None:
        self._socket.close()


@pytest.mark.slow
class TestSockets(SocketsConformance):
    """Sends from this process to connections of another one."""

    capabilities = CAPABILITIES["sockets"]
    largest = SOCKET_BYTES
    tells_late = True

    @pytest.fixture
    def sockets(self, in_force: GoogleCloud) -> Sockets:
        return Sockets("rooms", binary=True)

    @pytest.fixture
    def open(self, instances: list[Instance]) -> Iterator[Callable[[], RemotePeer]]:
        with contextlib.ExitStack() as stack:
            yield lambda: RemotePeer(stack.enter_context(instances[0].dial()))


def test_a_broadcast_reaches_connections_of_every_instance(instances: list[Instance]) -> None:
    room = uuid4().hex
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(one.dial(f"?room={room}")) for one in (*instances, *instances)]
        for client in (clients[0], clients[1]):
            client.send(f"{room} hello")
            assert [one.recv(timeout=20) for one in clients] == ["hello"] * 4


def test_a_refusal_and_another_path(instances: list[Instance]) -> None:
    with pytest.raises(InvalidStatus) as caught, instances[0].dial("?token=wrong"):
        pass
    assert caught.value.response.status_code == 401
    url = f"http://{LOOPBACK}:{instances[0].port}"
    with pytest.raises(InvalidStatus) as caught, connect(f"{url.replace('http', 'ws')}/other", proxy=None):
        pass
    assert caught.value.response.status_code == 404
    answer = httpx.get(f"{url}/chat", trust_env=False)
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")


def test_a_connection_that_closed_leaves_its_groups(
    instances: list[Instance], in_force: GoogleCloud, until: Callable[..., Any]
) -> None:
    """By its disconnect event; and one that is in a group by mistake, when a message for it reaches its instance."""
    sockets = Sockets("rooms", binary=True)
    room = uuid4().hex
    with instances[1].dial(f"?room={room}") as client:
        peer = RemotePeer(client)
        assert sockets.members(room) == [peer.connection]
    until(lambda: sockets.members(room) == [])
    key, sort, ttl = sockets._fields
    for owner, member in ((f"c:{peer.connection}", room), (f"g:{room}", peer.connection)):
        sockets.store.put({key: owner, sort: member, "joined": 0, ttl: int(time.time()) + 3600})
    assert sockets.broadcast(room, "x") == 1  # not known here
    until(lambda: sockets.members(room) == [])


def test_an_instance_that_ends_says_so(
    folder: Path, environment: dict[str, str], in_force: GoogleCloud, call_json: Callable[..., Any]
) -> None:
    sockets = Sockets("rooms", binary=True)
    room = uuid4().hex
    one = Instance(folder, environment, 9)
    try:
        one.wait()
        with one.dial(f"?room={room}") as client:
            peer = RemotePeer(client)
            instance = peer.connection.partition(".")[0]
            subscriptions = f"http://{environment['PUBSUB_EMULATOR_HOST']}/v1/projects/{PROJECT}/subscriptions"
            made = call_json("GET", f"{subscriptions}?pageSize=1000")["subscriptions"]
            [own] = [found for found in made if found["name"].endswith(instance)]
            assert own["filter"] == f'attributes.instance = "{instance}"'
            one.stop()
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=10)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1012
    finally:
        one.stop()
    assert one.process.returncode == 0, one.log.read_text()
    assert "the hooks were called" in one.log.read_text()
    assert sockets.members(room) == []  # every connection had its disconnect event
    left = call_json("GET", f"{subscriptions}?pageSize=1000").get("subscriptions", [])
    assert not [found for found in left if found["name"].endswith(instance)]
    assert not Presence(sockets).is_there(instance)
    sockets.join(peer.connection, room)
    with pytest.raises(NotFoundError, match="gone"):
        sockets.send(peer.connection, "x")


def test_ids_that_no_instance_made(in_force: GoogleCloud) -> None:
    for connection in ("", ".", "made-up", "made-up.x"):
        with pytest.raises(NotFoundError):
            Sockets("rooms").send(connection, "x")
        Sockets("rooms").close(connection)


def test_cloud_functions_hold_no_websockets(tmp_path: Path) -> None:
    app = App("plain")

    @app.websocket("/chat")
    def chat(event: SocketEvent) -> None: ...

    [finding] = check_features(describe_app(app, "app:app", tmp_path), TARGET)
    assert finding.severity == "error"
    assert finding.where.partition(":")[0].endswith("test_sockets.py")
    assert "function 'chat' takes a socket of sockets 'chat'" in finding.message
    assert "functions-framework holds no websockets" in finding.message
    assert "portable_gcp.serving" in finding.way_out


def test_a_function_without_a_websocket_is_not_served(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "app.py").write_text(
        "from portable import App\napp = App('x')\n@app.function()\ndef act() -> None: ...\n", "utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "portable_gcp.serving", "app:app", "act"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert f"{ConfigError.__name__}: function 'act' has no websocket" in done.stderr


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    def until(found: Callable[[], Any], timeout: float = 30.0) -> None:
        limit = time.monotonic() + timeout
        while not found():
            assert time.monotonic() < limit
            time.sleep(0.1)

    return until
