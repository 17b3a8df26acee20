"""Mounted applications in a real server: as they were sent, started and stopped with the worker, streamed."""

import socket

SOURCE = """
from portable import App

app = App("dev-mounts")


async def modern(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["up"] = "up"
        print("modern is started", flush=True)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("modern is stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    facts = [scope["raw_path"], scope["query_string"], scope["root_path"].encode(), scope["state"]["up"].encode()]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for fact in facts:
        await send({"type": "http.response.body", "body": fact + b"|", "more_body": True})
    await send({"type": "http.response.body"})


def old(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [environ["REQUEST_URI"].encode(), b"|", environ["SCRIPT_NAME"].encode()]


@app.get("/modern/own")
def own() -> str:
    return "own"


app.mount("/modern", modern)
app.mount("/streamed", modern, stream=True)
app.mount("/old", old)
"""


def test_mounts_are_served_by_the_local_server(project, start):
    (project / "app.py").write_text(SOURCE)
    server = start()
    assert server.http.get("/modern/own").text == "own"
    assert server.http.get("/modern/a%2Fb?x=1&&y").text == "/modern/a%2Fb|x=1&&y|/modern|up|"
    assert server.http.get("/old/a%2Fb?x=1&&y").text == "/old/a%2Fb?x=1&&y|/old"
    assert server.http.get("/nowhere").status_code == 404
    streamed = server.http.get("/streamed/x?y")
    assert streamed.text == "/streamed/x|y|/streamed|up|"
    assert streamed.headers["transfer-encoding"] == "chunked"
    assert server.log().count("modern is started") == 1
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        connection.sendall(f"GET /modern/ws HTTP/1.1\r\nHost: x\r\n{upgrade}Sec-WebSocket-Key: eA==\r\n\r\n".encode())
        answer = connection.recv(65536)
    assert not answer.startswith(b"HTTP/1.1 101"), answer
    assert server.stop() == 0
    assert server.log().count("modern is stopped") == 1
