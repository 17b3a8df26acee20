"""Websockets of API Gateway: its documented events, its connections by a stand-in that checks signatures, and a built
from portable import ConfigError, NotFoundError, PermissionDeniedError, SocketEvent, Sockets, UnavailableError
from portable.testing import Client, SocketRefusedError, SocketsConformance
from portable.testing.sockets import SocketPeer
from portable_aws.limits import SOCKET_BYTES
from portable_aws.triggers.websocket import WebSocketAPI
def peer() -> Iterator[SocketPeer]:
    made = SocketPeer(connections.new_id())
        "PORTABLE_SOCKETS_ROOMS": f"{gateway.endpoint}/live",
class TestSockets(SocketsConformance):
    capabilities = CAPABILITIES["sockets"]
    largest = SOCKET_BYTES
    def sockets(self, account: Any, gateway: Gateway) -> Iterator[Sockets]:
        rooms = Sockets("rooms")
        aws = platform({**environment_of(gateway), **account.environment, "PORTABLE_TABLE_ROOMS_SOCKETS": address})
def test_a_call_is_signed_for_the_connections_of_the_address(gateway: Gateway, peer: SocketPeer) -> None:
        Sockets("rooms").send(peer.connection, "hello")
        Sockets("rooms").close(peer.connection)
def test_a_wrong_signature_is_refused(gateway: Gateway, peer: SocketPeer) -> None:
        Sockets("rooms").send(peer.connection, "hello")
    peer = SocketPeer("L0SM9cOFvHcCIhw=")
        Sockets("rooms").send(peer.connection, "hello")
def test_documented_errors(gateway: Gateway, peer: SocketPeer, status: int, code: str, kind: type[Exception]) -> None:
    with use_platform(aws), pytest.raises(kind, match=r"sockets rooms, key "):
        Sockets("rooms").driver().send(peer.connection, "x")
    aws = platform({"PORTABLE_SOCKETS_ROOMS": "abcdef"})
        Sockets("rooms").driver()
            "PORTABLE_SOCKETS_ROOMS": "https://abc.execute-api.ap-south-1.amazonaws.com/live",
        native = Sockets("rooms").native()
def test_a_documented_connect_event(payload: Callable[[str], Any]) -> None:
    event = WebSocketAPI.decode(payload("websocket_connect"))
    assert event.subprotocols == ["v1", "v2"]
        SocketEvent("connect", "abc=", query=[("a", "1"), ("a", "2")], headers={"x": "y"}, client="203.0.113.9"),
        SocketEvent("connect", "abc="),
        SocketEvent("message", "abc=", "text €"),
        SocketEvent("disconnect", "abc=", code=1001, reason="Going away"),
def test_a_sample_is_read_as_it_was_meant(event: SocketEvent) -> None:
    trigger = TriggerRecord("socket", "app:chat", "app.py:1", {"path": "/chat", "sockets": "rooms"})
    function = FunctionRecord("chat", "socket", [trigger], None, None, [], [], is_async=False)
    read = WebSocketAPI.decode(SAMPLES.native(function, event))
    with pytest.raises(ValueError, match=rf"WebSocket API.*{missing}"):
        WebSocketAPI.decode(event)
from portable import App, HTTPError, SocketEvent
rooms = app.sockets("rooms")
@app.websocket("/chat", sockets=rooms)
def chat(event: SocketEvent) -> None:
        if event.subprotocols:
            event.subprotocol = event.subprotocols[-1]
@app.websocket("/echo")
async def echo(event: SocketEvent) -> None:
    folder = tmp_path_factory.mktemp("aws-sockets")
    with client.websocket("/chat", query={"token": "open"}) as one:
        with client.websocket("/chat", query={"token": "open"}, subprotocols=["v1", "v2"]) as other:
            assert other.subprotocol == "v2"
    with pytest.raises(SocketRefusedError) as caught:
        client.websocket("/chat", query={"token": "wrong"})
    with client.websocket("/echo") as session:
