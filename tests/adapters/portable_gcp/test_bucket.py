"""The bucket driver against fake-gcs-server."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from portable import Bucket
from portable.errors import (
    AlreadyExistsError,
    ConfigError,
    PreconditionFailedError,
    UnavailableError,
    UnsupportedError,
)
from portable.resources import use_platform
from portable.run.emulators import Emulator
from portable.run.processes import free_port
from portable.testing.conformance import BucketConformance
from portable_gcp.bucket import _name_prefix, key_of, name_of, parse_address
from portable_gcp.capabilities import CAPABILITIES
from portable_gcp.runtime import platform


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service account's key, as the console hands it out; of nobody."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    coding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    document = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": key.private_bytes(*coding).decode(),
        "client_email": "signer@p.iam.gserviceaccount.com",
        "token_uri": "https://127.0.0.1:9/token",
    }
    path = tmp_path_factory.mktemp("account") / "key.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def environment(fake_gcs: Emulator, call_json: Any, account: Path) -> dict[str, str]:
    name = f"uploads-{uuid4().hex[:8]}"
    for one in (name, f"{name}-other"):
        call_json("POST", f"{fake_gcs.endpoint}/storage/v1/b", {"name": one})
    return {
        "STORAGE_EMULATOR_HOST": fake_gcs.endpoint,
        "GOOGLE_APPLICATION_CREDENTIALS": str(account),
        "PORTABLE_BUCKET_OTHER": f"gs://{name}-other",
        "PORTABLE_BUCKET_UPLOADS": f"gs://{name}",
        "PORTABLE_BUCKET_MISSING": "gs://nothing-is-here",
    }


@pytest.fixture
def uploads(environment: dict[str, str]) -> Iterator[Bucket]:
    cloud = platform(environment)
    with use_platform(cloud):
        yield Bucket("uploads")
    cloud.close()


@pytest.mark.slow
class TestBucket(BucketConformance):
    capabilities = CAPABILITIES["bucket"]
    emulator_faults = {
        "stream_if_absent": "it ignores preconditions of a resumable upload; see below",
        "stream_if_match": "it ignores preconditions of a resumable upload; see below",
        "an_opened_blob_is_of_one_version": "it ignores preconditions of a download; see below",
        "read_if_match": "it ignores preconditions of a download; see below",
        "read_if_none_match": "it ignores preconditions of a download; see below",
        "signed_url_altered": "it checks no signature; see test_the_signature_is_version_4",
        "signed_url_for_another_method": "it checks no signature",
        "signed_url_expired": "it checks no signature",
    }

    @pytest.fixture
    def bucket(self, uploads: Bucket) -> Bucket:
        return uploads


def test_addresses() -> None:
    assert parse_address("gs://name") == "name"
    for wrong in ("name", "gs://", "s3://name", "gs://name/key"):
        with pytest.raises(ConfigError, match="is not 'gs://NAME'"):
            parse_address(wrong)


def test_every_key_has_a_name_of_its_own() -> None:
    names: dict[str, str] = {}
    for length in range(1, 6):
        for letters in itertools.product("%025A\n.", repeat=length):
            key = "".join(letters)
            name = name_of(key)
            assert key_of(name) == key
            assert names.setdefault(name, key) == key
            assert "\n" not in name
            assert name not in (".", "..")
            assert all(name.startswith(_name_prefix(key[:end])) for end in range(length + 1))


@pytest.mark.parametrize("key", ["in/a b.png", "100%", "%41", "é/日本.png", "a//b", "/a", "a/", "a/../b", "..."])
def test_usual_keys_are_stored_as_they_are(key: str) -> None:
    assert name_of(key) == key


def test_an_etag_is_the_generation(uploads: Bucket, environment: dict[str, str]) -> None:
    written = uploads.write("a", b"1")
    native = uploads.native().bucket(parse_address(environment["PORTABLE_BUCKET_UPLOADS"])).get_blob("a")
    assert written.etag == str(native.generation)
    with pytest.raises(PreconditionFailedError, match="bucket uploads, key 'a'"):
        uploads.write("a", b"2", if_match='"not-a-generation"')


def test_a_server_that_is_not_there_is_unavailable(environment: dict[str, str]) -> None:
    away = {**environment, "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{free_port()}"}
    cloud = platform(away)
    with use_platform(cloud), pytest.raises(UnavailableError, match="bucket uploads, key 'a'"):
        Bucket("uploads").write("a", b"1", if_absent=True)
    cloud.close()


def test_without_the_library_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    cloud = platform({"PORTABLE_BUCKET_UPLOADS": "gs://name"})
    with use_platform(cloud), pytest.raises(ConfigError, match=r"pip install 'portable-functions\[gcp\]'"):
        Bucket("uploads").read("a")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_the_signature_is_version_4(account: Path, method: Any) -> None:
    document = json.loads(account.read_text())
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(account), "PORTABLE_BUCKET_UPLOADS": "gs://uploads"}
    environment["STORAGE_EMULATOR_HOST"] = "https://storage.googleapis.com"
    kind = {"content_type": "image/png"} if method == "PUT" else {}
    with use_platform(platform(environment)):
        url = Bucket("uploads").url("in/ä b.txt", expires=timedelta(days=7), method=method, **kind)
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    assert (parts.netloc, parts.path) == ("storage.googleapis.com", "/uploads/in/%C3%A4%20b.txt")
    assert query["X-Goog-Expires"] == "604800"
    assert query["X-Goog-SignedHeaders"] == ("content-type;host" if method == "PUT" else "host")
    assert url.headers == ({"content-type": "image/png"} if method == "PUT" else {})
    # https://cloud.google.com/storage/docs/access-control/signing-urls-manually
    signature = bytes.fromhex(query.pop("X-Goog-Signature"))
    pairs = "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))
    sent = {**url.headers, "host": parts.netloc}
    lines = "".join(f"{name}:{sent[name]}\n" for name in query["X-Goog-SignedHeaders"].split(";"))
    request = "\n".join([method, parts.path, pairs, lines, query["X-Goog-SignedHeaders"], "UNSIGNED-PAYLOAD"])
    digest = hashlib.sha256(request.encode()).hexdigest()
    email, scope = query["X-Goog-Credential"].split("/", 1)
    assert email == document["client_email"]
    text = "\n".join(["GOOG4-RSA-SHA256", query["X-Goog-Date"], scope, digest])
    key = serialization.load_pem_private_key(document["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    key.public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_without_a_key_nothing_is_signed() -> None:
    environment = {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:9", "PORTABLE_BUCKET_UPLOADS": "gs://uploads"}
    with (
        use_platform(platform(environment)),
        pytest.raises(UnsupportedError, match="bucket uploads, key 'a': these credentials cannot sign"),
    ):
        Bucket("uploads").url("a", expires=timedelta(hours=1))


def test_a_key_too_long_once_escaped_is_refused(uploads: Bucket) -> None:
    uploads.write("\n" * 341, b"1")
    assert [row.key for row in uploads.list()] == ["\n" * 341]
    for call in (uploads.read, uploads.stat, uploads.delete):
        with pytest.raises(ValueError, match="1024 bytes"):
            call("\n" * 342)


class Refusing:
    """A stand-in for the JSON API that notes what is asked, and answers as Cloud Storage does when it does not hold."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def serve(self) -> ThreadingHTTPServer:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                query = dict(parse_qsl(urlsplit(self.path).query))
                asked.append((urlsplit(self.path).path, urlsplit(self.path).query))
                unmet = 304 if "ifGenerationNotMatch" in query else 412 if "ifGenerationMatch" in query else 200
                body = b"" if unmet == 304 else b'{"error": {"code": 412, "message": "conditionNotMet"}}'
                self.send_response(unmet)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - http.server's names

            def log_message(self, *args: Any) -> None: ...

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def test_conditions_the_emulator_ignores() -> None:
    refusing = Refusing()
    server = refusing.serve()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    cloud = platform({"STORAGE_EMULATOR_HOST": address, "PORTABLE_BUCKET_UPLOADS": "gs://uploads"})
    large = [bytes(9_000_000)]
    try:
        with use_platform(cloud):
            bucket = Bucket("uploads")
            assert bucket.read("a", if_none_match="7") is None
            assert bucket.read("a", start=2, end=2, if_none_match="7") is None
            calls: list[tuple[Any, type[Exception]]] = [
                (lambda: bucket.read("a", if_match="7"), PreconditionFailedError),
                (lambda: bucket.open("a", if_match="7"), PreconditionFailedError),
                (lambda: bucket.write("a", iter(large), if_match="7"), PreconditionFailedError),
                (lambda: bucket.write("a", iter(large), if_absent=True), AlreadyExistsError),
            ]
            for call, expected in calls:
                with pytest.raises(expected, match="bucket uploads, key 'a'"):
                    call()
    finally:
        cloud.close()
        server.shutdown()
        thread.join()
        server.server_close()
    queries = [query for path, query in refusing.asked if "/o" in path]  # the library looks at the bucket itself too
    assert ["ifGenerationNotMatch=7" in query for query in queries] == [True] * 2 + [False] * 4
    assert ["ifGenerationMatch=7" in query for query in queries] == [False] * 2 + [True] * 3 + [False]
    assert "ifGenerationMatch=0" in queries[-1]
