"""The S3 driver against moto."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from portable import Bucket, PermissionDeniedError, UnavailableError
from portable.resources import use_platform
from portable.testing.conformance import BucketConformance
from portable_aws.capabilities import CAPABILITIES
from portable_aws.runtime import platform


class TestBucket(BucketConformance):
    capabilities = CAPABILITIES["bucket"]
    spoiled_characters = "\n"  # moto's routes end a key at a line feed
    emulator_faults = {
        "hostile_key[line_feed]": "it ends a key at a line feed",
        "hostile_key_copied[line_feed]": "it ends a key at a line feed",
        "stream_if_match": "it ignores IfMatch of CompleteMultipartUpload",
        "signed_url_altered": "it checks no signature; see test_the_signature_is_version_4",
        "signed_url_for_another_method": "it checks no signature",
        "signed_url_expired": "it checks no signature",
    }

    @pytest.fixture
    def bucket(self, account: Any) -> Iterator[Bucket]:
        environment = account.environment | {
            "PORTABLE_BUCKET_UPLOADS": account.bucket("uploads-physical"),
            "PORTABLE_BUCKET_OTHER": account.bucket("other-physical"),
            "PORTABLE_BUCKET_MISSING": "s3://nothing-is-here",
        }
        aws = platform(environment)
        with use_platform(aws):
            yield Bucket("uploads")
        aws.close()


def test_a_bucket_that_cannot_be_reached() -> None:
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PORTABLE_BUCKET_UPLOADS": "s3://uploads",
    }
    with use_platform(platform(environment)), pytest.raises(UnavailableError, match="bucket uploads, key 'a'"):
        Bucket("uploads").write("a", b"", if_absent=True)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    environment = {"AWS_REGION": "us-east-1", "PORTABLE_BUCKET_UPLOADS": "s3://uploads"}
    with use_platform(platform(environment)), pytest.raises(PermissionDeniedError, match="bucket uploads, key 'a'"):
        Bucket("uploads").read("a")


def test_etags_are_those_of_events(account: Any) -> None:
    environment = account.environment | {"PORTABLE_BUCKET_UPLOADS": account.bucket("etags")}
    with use_platform(platform(environment)):
        written = Bucket("uploads").write("a", b"data")
    assert written.etag == "8d777f385d3dfec8815d20f7496026dc"  # the MD5 of the data, unquoted


def _signature(secret: str, method: str, url: str, headers: dict[str, str]) -> str:
    """Version 4 of a presigned URL, from AWS's own description of it, without the SDK."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.pop("X-Amz-Signature")
    pairs = "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))
    signed = query["X-Amz-SignedHeaders"].split(";")
    sent = {**headers, "host": parts.netloc}
    lines = "".join(f"{name}:{sent[name]}\n" for name in signed)
    request = "\n".join([method, parts.path, pairs, lines, ";".join(signed), "UNSIGNED-PAYLOAD"])
    scope = query["X-Amz-Credential"].split("/", 1)[1]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_the_signature_is_version_4(method: Any) -> None:
    environment = {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "PORTABLE_BUCKET_UPLOADS": "s3://uploads",
    }
    kind = {"content_type": "image/png"} if method == "PUT" else {}
    with use_platform(platform(environment)):
        url = Bucket("uploads").url("in/ä b.txt", expires=timedelta(days=7), method=method, **kind)
    query = dict(parse_qsl(urlsplit(url).query))
    assert (query["X-Amz-Algorithm"], query["X-Amz-Expires"]) == ("AWS4-HMAC-SHA256", "604800")
    assert urlsplit(url).netloc == "uploads.s3.eu-west-1.amazonaws.com"
    assert url.headers == ({"content-type": "image/png"} if method == "PUT" else {})
    assert query["X-Amz-SignedHeaders"] == ("content-type;host" if method == "PUT" else "host")
    assert query["X-Amz-Signature"] == _signature(environment["AWS_SECRET_ACCESS_KEY"], method, url, url.headers)


def _uploads(account: Any) -> list[Any]:
    found: list[Any] = account.client("s3").list_multipart_uploads(Bucket="parts").get("Uploads", [])
    return found


def test_an_abandoned_upload_is_aborted(account: Any) -> None:
    environment = account.environment | {"PORTABLE_BUCKET_UPLOADS": account.bucket("parts")}
    seen = []

    def parts() -> Iterator[bytes]:
        yield bytes(20_000_000)
        seen.extend(_uploads(account))
        raise KeyboardInterrupt

    with use_platform(platform(environment)), pytest.raises(KeyboardInterrupt):
        Bucket("uploads").write("a", parts())
    assert [upload["Key"] for upload in seen] == ["a"]
    assert _uploads(account) == []


def test_a_large_copy_is_made_of_parts(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = account.environment | {"PORTABLE_BUCKET_UPLOADS": account.bucket("parts")}
    monkeypatch.setattr("portable_aws.bucket.COPY_BYTES", 1_000_000)
    monkeypatch.setattr("portable_aws.multipart.COPY_PART", 5_242_880)
    data = bytes(range(250)) * 50_000
    with use_platform(platform(environment)):
        bucket = Bucket("uploads")
        bucket.write("a.png", data, metadata={"x": "y"}, cache_control="no-store")
        copied = bucket.copy("a.png", "b")
        info = bucket.stat("b")
        assert (info.etag, info.content_type, info.metadata) == (copied.etag, "image/png", {"x": "y"})
        assert info.cache_control == "no-store"
        assert bucket.read("b") == data
