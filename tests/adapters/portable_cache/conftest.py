"""Upstash's REST interface as its documentation has it, in front of a real Redis.

https://upstash.com/docs/redis/features/restapi. What Redis says is Redis's own; tokens, paths, encodings and statuses
are imitated.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from portable.run.emulators import Emulator
from portable.run.processes import LOOPBACK

TOKEN = "a-token/of=ours"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    redis: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Unauthorized"})
            return
        parts = urlsplit(self.path)
        if parts.path == "/multi-exec":
            self._answer(200, self._transaction(json.loads(body)))
            return
        if parts.path == "/":
            command = json.loads(body)
        else:
            command = [unquote(one) for one in parts.path[1:].split("/")]
            command += [body, *(word for pair in parse_qsl(parts.query) for word in pair)]
        from redis.exceptions import ResponseError

        try:
            self._answer(200, {"result": self._encode(self.redis.execute_command(*command))})
        except ResponseError as error:
            self._answer(400, {"error": f"ERR {error}"})

    def _transaction(self, commands: list[list[str]]) -> Any:
        with self.redis.pipeline(transaction=True) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            results = pipeline.execute(raise_on_error=False)
        return [
            {"error": f"ERR {one}"} if isinstance(one, Exception) else {"result": self._encode(one)} for one in results
        ]

    def _encode(self, result: Any) -> Any:
        if isinstance(result, list):
            return [self._encode(one) for one in result]
        if result is True or result == b"OK":
            return "OK"
        if isinstance(result, bytes):
            encoded = self.headers["Upstash-Encoding"] == "base64"
            return base64.b64encode(result).decode() if encoded else result.decode()
        return result

    def _answer(self, status: int, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """``serve(handler)``: ``HOST:PORT`` of a server that answers with it."""
    servers = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer((LOOPBACK, 0), handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"{LOOPBACK}:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def upstash(redis_server: Emulator, serve: Callable[[type[BaseHTTPRequestHandler]], str]) -> Iterator[str]:
    """``HOST:PORT`` of the REST interface in front of the session's Redis."""
    redis = pytest.importorskip("redis")
    client = redis.Redis.from_url(redis_server.endpoint)
    yield serve(type("Bound", (Handler,), {"redis": client}))
    client.close()
