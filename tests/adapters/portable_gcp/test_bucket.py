"""The bucket driver against fake-gcs-server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from portable import Bucket
from portable.errors import ConfigError, PreconditionFailedError, UnavailableError
from portable.resources import use_platform
from portable.run.emulators import Emulator
from portable.run.processes import free_port
from portable.testing.conformance import BucketConformance
from portable_gcp.bucket import _name_prefix, key_of, name_of, parse_address
from portable_gcp.runtime import platform


@pytest.fixture
def environment(fake_gcs: Emulator, call_json: Any) -> dict[str, str]:
    name = f"uploads-{uuid4().hex[:8]}"
    call_json("POST", f"{fake_gcs.endpoint}/storage/v1/b", {"name": name})
    return {
        "STORAGE_EMULATOR_HOST": fake_gcs.endpoint,
        "PORTABLE_BUCKET_UPLOADS": f"gs://{name}",
        "PORTABLE_BUCKET_MISSING": "gs://nothing-is-here",
    }


@pytest.fixture
def uploads(environment: dict[str, str]) -> Iterator[Bucket]:
    cloud = platform(environment)
    with use_platform(cloud):
        yield Bucket("uploads")
    cloud.close()


class TestBucket(BucketConformance):
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
