"""The S3 driver against moto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from portable import Bucket, PermissionDeniedError, UnavailableError
from portable.resources import use_platform
from portable.testing.conformance import BucketConformance
from portable_aws.runtime import platform


class TestBucket(BucketConformance):
    @pytest.fixture
    def bucket(self, account: Any) -> Iterator[Bucket]:
        environment = account.environment | {
            "PORTABLE_BUCKET_UPLOADS": account.bucket("uploads-physical"),
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
