"""Azure Blob Storage against Azurite, and keys as names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient, UserDelegationKey
from hypothesis import given
from hypothesis import strategies as st

from portable.errors import UnsupportedError
from portable.resources import use_platform
from portable.resources.bucket import Bucket
from portable.run.emulators import Emulator
from portable.testing import BucketConformance
from portable_azure import _sdk
from portable_azure.capabilities import CAPABILITIES
from portable_azure.keys import decode_key, encode_key, prefixes_of
from portable_azure.platform import AzurePlatform

_numbers = count()


@pytest.fixture
def bucket(azurite: Emulator) -> Iterator[Bucket]:
    storage = dict(part.partition("=")[::2] for part in azurite.environment["AzureWebJobsStorage"].split(";"))
    address = f"{storage['BlobEndpoint']}/uploads-{next(_numbers)}"
    environment = {
        **azurite.environment,
        "PORTABLE_BUCKET_UPLOADS": address,
        "PORTABLE_BUCKET_MISSING": f"{storage['BlobEndpoint']}/not-there",
    }
    environment["PORTABLE_BUCKET_OTHER"] = f"{address}-other"
    clients = [_sdk.container_client(one, environment) for one in (address, f"{address}-other")]
    for client in clients:
        client.create_container()
    platform = AzurePlatform(environment)
    with use_platform(platform):
        yield Bucket("uploads")
    platform.close()
    for client in clients:
        client.delete_container()
        client.close()


@pytest.mark.slow
class TestBucket(BucketConformance):
    capabilities = CAPABILITIES["bucket"]
    spoiled_characters = "".join(map(chr, range(32)))  # listed a little late, see AzureBucket
    page_size = 100  # of 5,000: the emulator takes 10 ms a write

    @pytest.fixture
    def bucket(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
        monkeypatch.setattr("portable_azure.bucket.PAGE", self.page_size)
        return bucket


ODD = st.text(st.sampled_from("ab/.%25CEF8\\\x01\x7f\x85\uffff\ufffe\U0001f600é"), min_size=1, max_size=12)


@given(ODD)
def test_every_key_comes_back(key: str) -> None:
    name = encode_key(key)
    assert decode_key(name) == key
    assert not name.endswith(("/", "."))
    assert "\\" not in name
    assert all(not segment.endswith(".") for segment in name.split("/"))


@given(ODD, ODD)
def test_no_two_keys_share_a_name(one: str, other: str) -> None:
    assert (encode_key(one) == encode_key(other)) == (one == other)


@given(ODD, st.text(st.sampled_from("ab/.%25CEF8\\\x85"), max_size=6))
def test_a_prefix_finds_the_names_of_its_keys_once(prefix: str, rest: str) -> None:
    name = encode_key(prefix + rest)
    assert sum(name.startswith(one) for one in prefixes_of(prefix)) == 1


@given(ODD)
def test_a_foreign_name_is_never_taken_for_a_key(name: str) -> None:
    key = decode_key(name)
    assert key == name or encode_key(key) == name


@pytest.mark.parametrize("key", ["in/cat.png", "a b+c?#&", "100%", "x%20y", "é/🐍", "//", "/a"])
def test_ordinary_keys_are_stored_as_they_are(key: str) -> None:
    assert encode_key(key) == (key if key != "//" else "/%2F")


def test_control_characters_come_back(bucket: Bucket) -> None:
    bucket.write("a\x01b\n\uffff", b"1")
    assert [row.key for row in bucket.list("a\x01")] == ["a\x01b\n\uffff"]
    assert bucket.read("a\x01b\n\uffff") == b"1"


def test_a_key_too_long_once_escaped_is_refused(bucket: Bucket) -> None:
    with pytest.raises(ValueError, match="1024 characters"):
        bucket.write("\\" * 1000, b"")


class Identity:
    """Somebody logged in, who holds no key of the account."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)


def test_an_identity_signs_with_a_key_that_azure_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def give(service: BlobServiceClient, start: datetime, end: datetime) -> UserDelegationKey:
        asked.append((service.url, end - start))
        key = UserDelegationKey()
        key.signed_oid, key.signed_tid, key.signed_service, key.signed_version = "oid", "tid", "b", "2024-11-04"
        key.signed_start = key.signed_expiry = "2026-01-01T00:00:00Z"
        key.value = "c2VjcmV0"
        return key

    monkeypatch.setattr(BlobServiceClient, "get_user_delegation_key", give)
    monkeypatch.setattr(_sdk, "_identity", Identity)
    environment = {"PORTABLE_BUCKET_UPLOADS": "https://account.blob.core.windows.net/uploads"}
    platform = AzurePlatform(environment)
    with use_platform(platform):
        url = Bucket("uploads").url("in/ä b.txt", expires=timedelta(hours=1), method="PUT", content_type="image/png")
    platform.close()
    [(service, span)] = asked
    assert (service, span) == ("https://account.blob.core.windows.net/", timedelta(hours=1, minutes=5))
    assert url.startswith("https://account.blob.core.windows.net/uploads/in/%C3%A4%20b.txt?")
    query = parse_qs(urlsplit(url).query)
    assert (query["skoid"], query["sp"], query["sr"]) == (["oid"], ["cw"], ["b"])
    assert url.headers == {"x-ms-blob-type": "BlockBlob", "content-type": "image/png"}


def test_an_address_with_a_signature_signs_no_other() -> None:
    environment = {"PORTABLE_BUCKET_UPLOADS": "https://account.blob.core.windows.net/uploads?sv=2024-11-04&sig=x"}
    platform = AzurePlatform(environment)
    with use_platform(platform), pytest.raises(UnsupportedError, match=r"bucket uploads, key 'a': .* of its own"):
        Bucket("uploads").url("a", expires=timedelta(hours=1))
    platform.close()
