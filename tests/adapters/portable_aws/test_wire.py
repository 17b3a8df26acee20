"""The short way to S3: signed as botocore signs, and left to botocore whenever an answer is not a plain one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portable import Bucket, NotFoundError
from portable.resources import use_platform
from portable.testing.conformance.bucket_keys import HOSTILE_KEYS
from portable_aws._sdk import Place
from portable_aws.runtime import platform
from portable_aws.wire import sign

HEADERS = {"content-type": "text/plain;  charset=utf-8", "x-amz-meta-a": "two  spaces", "cache-control": "no-store"}


@pytest.mark.parametrize("token", [None, "a-session-token/+="])
@pytest.mark.parametrize("name", HOSTILE_KEYS)
def test_signed_as_botocore_signs(name: str, token: str | None) -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    place = Place("uploads.s3.eu-west-1.amazonaws.com", "/", "eu-west-1", credentials, None)
    path = place.path(HOSTILE_KEYS[name])
    for method, headers, data in (("PUT", HEADERS, b"data"), ("GET", {"range": "bytes=1-2"}, b"")):
        first, *lines = sign(place, method, path, headers, data).decode().removesuffix("\r\n\r\n").split("\r\n")
        assert first == f"{method} {path} HTTP/1.1"
        sent = dict(line.split(": ", 1) for line in lines)
        given = sent.pop("authorization").partition("Signature=")[2]
        sent.pop("content-length", None)
        sent.pop("cache-control", None)
        sent.pop("range", None)
        request = AWSRequest(method, f"https://{place.host}{path}", headers=sent, data=data)
        request.context["timestamp"] = sent["x-amz-date"]
        request.context["signing"] = {"region": "eu-west-1", "signing_name": "s3"}
        auth = S3SigV4Auth(credentials, "s3", "eu-west-1")
        assert given == auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


class Server:
    """Answers as it is told, and counts by whom it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[Any], None] = lambda handler: None
        self.agents: list[str] = []
        self.clients: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.agents.append("botocore" if "user-agent" in self.headers else "wire")
                outer.clients.append(self.client_address)
                outer.answer(self)

            do_PUT = do_GET  # noqa: N815 - http.server's names

            def log_message(self, *args: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def plain(handler: Any, body: bytes = b"data", status: int = 200, **headers: str) -> None:
    if handler.command == "PUT":
        body = b""
    handler.send_response(status)
    for name, value in {"content-length": str(len(body)), "etag": '"e"', **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("last-modified", "Mon, 05 Jan 2026 10:00:00 GMT")
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def uploads(server: Server) -> Iterator[Bucket]:
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.http.server_port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PORTABLE_BUCKET_UPLOADS": "s3://uploads",
    }
    aws = platform(environment)
    with use_platform(aws):
        yield Bucket("uploads")
    aws.close()


def test_a_connection_is_kept(server: Server, uploads: Bucket) -> None:
    server.answer = plain
    assert uploads.read("a") == b"data"
    assert uploads.write("a", b"1").etag == "e"
    assert uploads.read("a", start=0, end=4) == b"data"
    assert server.agents == ["wire"] * 3
    assert len(set(server.clients)) == 1


def test_conditions_are_botocores(server: Server, uploads: Bucket) -> None:
    server.answer = plain
    uploads.write("a", b"1", if_absent=True)
    uploads.write("a", b"1", if_match="e")
    uploads.read("a", if_match="e")
    assert server.agents == ["botocore"] * 3


def _chunked(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"4\r\nevil\r\n0\r\n\r\n")


def _cut(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def _silent(handler: Any) -> None:
    handler.close_connection = True


def _garbage(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n")
    handler.close_connection = True


@pytest.mark.parametrize(
    "odd", [_chunked, _cut, _silent, _garbage, lambda one: plain(one, b"", 500), lambda one: plain(one, b"", 307)]
)
@pytest.mark.parametrize("call", ["read", "write"])
def test_any_other_answer_is_left_to_botocore(server: Server, uploads: Bucket, odd: Any, call: str) -> None:
    server.answer = lambda handler: (odd if server.agents[-1] == "wire" else plain)(handler)
    if call == "read":
        assert uploads.read("a") == b"data"
    else:
        assert uploads.write("a", b"1").etag == "e"
    assert server.agents == ["wire", "botocore"]


def test_errors_are_botocores(server: Server, uploads: Bucket) -> None:
    server.answer = lambda handler: plain(handler, b"<Error><Code>NoSuchKey</Code></Error>", 404)
    with pytest.raises(NotFoundError, match="bucket uploads, key 'a'"):
        uploads.read("a")
    assert server.agents == ["wire", "botocore"]


def test_a_server_that_ends_connections(server: Server, uploads: Bucket) -> None:
    server.answer = lambda handler: plain(handler, connection="close")
    for _ in range(3):
        assert uploads.read("a") == b"data"
    assert server.agents == ["wire"] * 3
    assert len(set(server.clients)) == 3


def test_a_proxy_is_botocores_matter(server: Server, uploads: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.http.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.answer = plain
    assert uploads.read("a") == b"data"
    assert server.agents == ["botocore"]
