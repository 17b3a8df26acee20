"""The local buckets against the suite; their signed URLs are answered as `portable dev` does."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from portable import Bucket
from portable.dev.signed import answer_signed
from portable.resources import use_platform
from portable.testing.conformance import BucketConformance
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform


class Handler(BaseHTTPRequestHandler):
    driver = None

    def answer(self):
        query = self.path.partition("?")[2]
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        response = answer_signed(self.driver, self.command, query, headers, body)
        self.send_response(response.status)
        for name, value in response.header_pairs():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_PUT = do_HEAD = answer  # noqa: N815 - http.server's names

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    handler = type("Handler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("PORTABLE_LOCAL_URL", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


class TestBucket(BucketConformance):
    capabilities = CAPABILITIES["bucket"]

    @pytest.fixture
    def bucket(self, tmp_path, server):
        environment = {"PORTABLE_LOCAL_STATE": str(tmp_path), "PORTABLE_BUCKET_MISSING": str(tmp_path / "gone")}
        platform = LocalPlatform(environment)
        with use_platform(platform):
            server.driver = platform.open(Bucket("uploads"))
            yield Bucket("uploads")
        platform.close()
