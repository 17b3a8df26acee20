"""What every bucket keeps of streams, of many keys at once, of copies, conditional reads and signed URLs."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from portable.capabilities import Capability
from portable.drivers.bucket import PART_BYTES, SignedURL
from portable.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnsupportedError
from portable.resources.bucket import Bucket
from portable.testing.conformance.bucket_keys import HOSTILE_KEYS, BucketKeys
from portable.testing.conformance.cases import assert_names, together

__all__ = ["BucketStreams"]

MINUTE = timedelta(minutes=1)
PATTERN = bytes(range(251))
SIZES = {
    "empty": 0,
    "small": 1000,
    "a_part": PART_BYTES,
    "a_part_and_a_byte": PART_BYTES + 1,
    "parts": 2 * PART_BYTES + 12_345,
}


def _data(size: int) -> bytes:
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def _pieces(data: bytes, size: int = 1_000_003) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class SourceError(Exception):
    """What a source of a stream raises here."""


def _broken(after: int) -> Iterator[bytes]:
    for _ in range(after):
        yield bytes(PART_BYTES)
    raise SourceError("the source broke")


class BucketStreams(BucketKeys):
    """Cases on streams, copies, conditional reads, many deletions, and URLs.

    Attributes:
        capabilities: what the adapter says of buckets.
        parts_in_memory: parts of 8 MiB a driver may hold at once, None for one that holds them all.
    """

    capabilities: ClassVar[Mapping[str, Capability]]
    parts_in_memory: ClassVar[int | None] = 5

    @pytest.fixture
    def other_bucket(self, bucket: Bucket) -> Bucket:  # noqa: ARG002 - it puts the platform in force
        """A second bucket, empty."""
        return Bucket("other")

    # --- written as a stream

    @pytest.mark.parametrize("name", SIZES)
    def test_stream_written(self, bucket: Bucket, name: str) -> None:
        data = _data(SIZES[name])
        written = bucket.write("a.png", _pieces(data), metadata={"by": "stream"}, cache_control="max-age=60")
        info = bucket.stat("a.png")
        assert (written.size, written.etag) == (info.size, info.etag) == (len(data), info.etag)
        assert (info.content_type, info.metadata, info.cache_control) == ("image/png", {"by": "stream"}, "max-age=60")
        assert bucket.read("a.png") == data
        [row] = bucket.list()
        assert (row.size, row.etag) == (info.size, info.etag)

    def test_file_written(self, bucket: Bucket) -> None:
        data = _data(PART_BYTES + 5)
        bucket.write("a", io.BytesIO(data))
        assert bucket.read("a") == data
        pieces: list[Any] = [bytearray(b"ab"), b"", memoryview(b"cd")]
        bucket.write("a", iter(pieces))
        assert bucket.read("a") == b"abcd"

    @pytest.mark.parametrize("parts", [0, 1, 2])
    def test_source_that_raises(self, bucket: Bucket, parts: int) -> None:
        bucket.write("a", b"old")
        for key in ("a", "b"):
            with pytest.raises(SourceError):
                bucket.write(key, _broken(parts))
        assert bucket.read("a") == b"old"
        assert not bucket.exists("b")
        assert [row.key for row in bucket.list()] == ["a"]

    def test_stream_if_absent(self, bucket: Bucket) -> None:
        data = _data(PART_BYTES + 1)
        bucket.write("a", _pieces(data), if_absent=True)
        with pytest.raises(AlreadyExistsError) as caught:
            bucket.write("a", _pieces(bytes(PART_BYTES + 1)), if_absent=True)
        assert_names(caught.value, f"bucket {bucket.name}", "a")
        assert bucket.read("a") == data

    def test_stream_if_match(self, bucket: Bucket) -> None:
        first = bucket.write("a", b"old")
        second = bucket.write("a", _pieces(bytes(PART_BYTES + 1)), if_match=first.etag)
        with pytest.raises(PreconditionFailedError) as caught:
            bucket.write("a", _pieces(bytes(PART_BYTES + 2)), if_match=first.etag)
        assert_names(caught.value, f"bucket {bucket.name}", "a")
        info = bucket.stat("a")
        assert (info.size, info.etag) == (PART_BYTES + 1, second.etag)
        with pytest.raises(PreconditionFailedError):
            bucket.write("b", _pieces(bytes(PART_BYTES + 1)), if_match=first.etag)
        assert not bucket.exists("b")

    def test_stream_to_a_missing_bucket(self, bucket: Bucket) -> None:  # noqa: ARG002 - it puts the platform in force
        with pytest.raises(NotFoundError) as caught:
            Bucket("missing").write("a", _pieces(bytes(PART_BYTES + 1)))
        assert_names(caught.value, "bucket missing", "a")

    def test_a_stream_is_not_seen_until_it_is_whole(self, bucket: Bucket) -> None:
        bucket.write("a", b"old")
        seen: list[bytes] = []

        def pieces() -> Iterator[bytes]:
            for _ in range(2):
                yield bytes(PART_BYTES)
                seen.append(bucket.read("a"))
                assert not bucket.exists("b")
            yield b"end"

        bucket.write("a", pieces())
        bucket.write("b", _pieces(b"2"))
        assert seen == [b"old"] * 2
        assert bucket.stat("a").size == 2 * PART_BYTES + 3

    def test_memory_does_not_grow_with_a_stream(self, bucket: Bucket) -> None:
        if self.parts_in_memory is None:
            return
        count = 2 * self.parts_in_memory
        most = self.parts_in_memory * PART_BYTES
        bucket.write("first", bytes(PART_BYTES + 1))  # what a first use imports and opens is not counted
        tracemalloc.start()
        try:
            bucket.write("a", (bytes([number]) * PART_BYTES for number in range(count)))
            assert tracemalloc.get_traced_memory()[1] < most
            tracemalloc.reset_peak()
            with bucket.open("a") as blob:
                assert all(blob.read(PART_BYTES) == bytes([number]) * PART_BYTES for number in range(count))
                assert blob.read() == b""
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()

    # --- read as a stream

    def test_opened_blob(self, bucket: Bucket) -> None:
        data = b"first\n" + _data(SIZES["parts"])
        written = bucket.write("a.txt", data, metadata={"x": "y"})
        with bucket.open("a.txt") as blob:
            assert (blob.info.key, blob.info.size, blob.info.etag) == ("a.txt", len(data), written.etag)
            assert (blob.info.content_type, blob.info.metadata) == ("text/plain", {"x": "y"})
            assert blob.readline() == b"first\n"
            assert blob.read(10) == data[6:16]
            assert blob.read() == data[16:]
            assert blob.read(1) == b""
        assert blob.closed
        with bucket.open("a.txt") as blob:
            assert b"".join(blob) == data
        with bucket.open("a.txt") as blob:
            assert blob.read(3) == b"fir"  # and left early

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [(3, 7, b"3456"), (None, 4, b"0123"), (8, None, b"89"), (4, 4, b""), (10, 20, b""), (50, None, b"")],
    )
    def test_opened_range(self, bucket: Bucket, start: int | None, end: int | None, expected: bytes) -> None:
        bucket.write("digits", b"0123456789")
        with bucket.open("digits", start=start, end=end) as blob:
            assert blob.info.size == 10
            assert blob.read() == expected

    def test_opening_what_is_not_there(self, bucket: Bucket) -> None:
        with pytest.raises(NotFoundError) as caught:
            bucket.open("nothing")
        assert_names(caught.value, f"bucket {bucket.name}", "nothing")
        bucket.write("empty", b"")
        with bucket.open("empty") as blob:
            assert blob.read() == b""

    def test_an_opened_blob_is_of_one_version(self, bucket: Bucket) -> None:
        size = 4 * PART_BYTES
        bucket.write("a", b"1" * size)
        with bucket.open("a") as blob:
            begun = blob.read(10)
            bucket.write("a", b"2" * size)
            try:
                rest = blob.read()
            except PreconditionFailedError:
                rest = b"1"  # it says so, and mixes nothing
        assert set(begun + rest) == {ord("1")}

    # --- conditional reads

    def test_read_if_match(self, bucket: Bucket) -> None:
        first = bucket.write("a", b"one")
        assert bucket.read("a", if_match=first.etag) == b"one"
        assert bucket.read("a", start=1, end=2, if_match=first.etag) == b"n"
        second = bucket.write("a", b"two, longer")
        calls: tuple[Any, ...] = (bucket.read, bucket.open)
        for call in calls:
            with pytest.raises(PreconditionFailedError) as caught:
                call("a", if_match=first.etag)
            assert_names(caught.value, f"bucket {bucket.name}", "a")
        with bucket.open("a", if_match=second.etag) as blob:
            assert blob.read() == b"two, longer"
        with pytest.raises(NotFoundError):
            bucket.read("b", if_match=first.etag)

    def test_read_if_none_match(self, bucket: Bucket) -> None:
        first = bucket.write("a", b"one")
        assert bucket.read("a", if_none_match=first.etag) is None
        second = bucket.write("a", b"two")
        assert bucket.read("a", if_none_match=first.etag) == b"two"
        assert bucket.read("a", start=1, if_none_match=first.etag) == b"wo"
        assert bucket.read("a", if_none_match=second.etag) is None
        with pytest.raises(NotFoundError):
            bucket.read("b", if_none_match=first.etag)

    # --- cache control, copies, many deletions

    def test_cache_control(self, bucket: Bucket) -> None:
        bucket.write("a", b"1", cache_control="public, max-age=31536000, immutable")
        assert bucket.stat("a").cache_control == "public, max-age=31536000, immutable"
        bucket.write("a", b"2")
        assert bucket.stat("a").cache_control is None

    def test_copy(self, bucket: Bucket, other_bucket: Bucket) -> None:
        bucket.write("a.png", b"data", metadata={"x": "y"}, cache_control="no-store", content_type="image/x-own")
        bucket.write("b", b"to be replaced", metadata={"old": "1"})
        for target in (bucket, other_bucket):
            copied = bucket.copy("a.png", "b", to=target)
            info = target.stat("b")
            assert (copied.key, copied.size, copied.etag) == ("b", 4, info.etag)
            assert (info.content_type, info.metadata, info.cache_control) == ("image/x-own", {"x": "y"}, "no-store")
            assert target.read("b") == b"data"
        assert bucket.copy("b", "b").etag == bucket.stat("b").etag
        assert [row.key for row in bucket.list()] == ["a.png", "b"]
        assert [row.key for row in other_bucket.list()] == ["b"]

    @pytest.mark.parametrize("name", HOSTILE_KEYS)
    def test_hostile_key_copied(self, bucket: Bucket, name: str) -> None:
        key = HOSTILE_KEYS[name]
        bucket.write(key, name)
        bucket.copy(key, "between")
        bucket.delete(key)
        bucket.copy("between", key)
        assert bucket.read(key) == name.encode()
        with bucket.open(key) as blob:
            assert blob.read() == name.encode()

    def test_copy_of_what_is_not_there(self, bucket: Bucket) -> None:
        for target in ("b", "nothing"):
            with pytest.raises(NotFoundError) as caught:
                bucket.copy("nothing", target)
            assert_names(caught.value, f"bucket {bucket.name}", "nothing")
        assert not bucket.exists("b")

    def test_delete_many(self, bucket: Bucket) -> None:
        keys = list(self._hostile_keys().values())
        for key in keys:
            bucket.write(key, b"")
        bucket.write("kept", b"")
        assert bucket.delete_many([*keys, "never/was", "plain"]) == []
        assert [row.key for row in bucket.list()] == ["kept"]
        assert bucket.delete_many([]) == []
        assert bucket.delete_many(["never/was"]) == []

    def test_delete_many_beyond_one_call(self, bucket: Bucket) -> None:
        keys = [f"in/{n:06}" for n in range(self.page_size + 3)]
        threads = 8
        assert (
            together(threads, lambda at: [bucket.write(key, b"") for key in keys[at::threads]] and None)
            == [None] * threads
        )
        bucket.write("out", b"")
        assert bucket.delete_many(row.key for row in bucket.list("in/")) == []
        assert [row.key for row in bucket.list()] == ["out"]

    def test_delete_many_of_a_missing_bucket(self, bucket: Bucket) -> None:  # noqa: ARG002 - the platform is in force
        with pytest.raises(NotFoundError) as caught:
            Bucket("missing").delete_many(["a", "b"])
        assert_names(caught.value, "bucket missing", None)

    # --- signed URLs

    def _url(self, bucket: Bucket, method: Any, **options: Any) -> SignedURL | None:
        """A URL, or None where the adapter says there are none, and there are none."""
        if self.capabilities[f"signed_{method.lower()}"].given:
            return bucket.url("in/ä b.txt", expires=MINUTE, method=method, **options)
        with pytest.raises(UnsupportedError) as caught:
            bucket.url("in/ä b.txt", expires=MINUTE, method=method, **options)
        assert_names(caught.value, f"bucket {bucket.name}", "in/ä b.txt")
        return None

    def test_signed_get(self, bucket: Bucket) -> None:
        bucket.write("in/ä b.txt", b"data", content_type="text/x-own", cache_control="no-store")
        url = self._url(bucket, "GET")
        if url is not None:
            assert (url.method, url.headers) == ("GET", {})
            status, headers, body = fetch(url)
            assert (status, headers["content-type"], body) == (200, "text/x-own", b"data")
            assert headers["cache-control"] == "no-store"

    def test_signed_get_of_what_is_not_there(self, bucket: Bucket) -> None:
        url = self._url(bucket, "GET")
        if url is not None:
            assert fetch(url)[0] == 404

    def test_signed_put(self, bucket: Bucket) -> None:
        url = self._url(bucket, "PUT", content_type="text/x-own")
        if url is not None:
            assert url.method == "PUT"
            status, _, _ = fetch(url, b"from a browser")
            assert 200 <= status < 300
            assert bucket.read("in/ä b.txt") == b"from a browser"
            assert bucket.stat("in/ä b.txt").content_type == "text/x-own"

    def test_signed_url_altered(self, bucket: Bucket) -> None:
        bucket.write("in/ä b.txt", b"data")
        bucket.write("in/other.txt", b"secret")
        url = self._url(bucket, "GET")
        if url is not None:
            altered = url.replace("%C3%A4%20b", "other").replace("%C3%A4+b", "other")
            assert altered != url
            assert 400 <= fetch(SignedURL(altered, "GET", {}))[0] < 500

    def test_signed_url_for_another_method(self, bucket: Bucket) -> None:
        bucket.write("in/ä b.txt", b"data")
        url = self._url(bucket, "GET")
        if url is not None:
            headers = bucket.url("in/ä b.txt", expires=MINUTE, method="PUT").headers
            assert 400 <= fetch(SignedURL(url, "PUT", headers), b"overwritten")[0] < 500
            assert bucket.read("in/ä b.txt") == b"data"

    def test_signed_url_expired(self, bucket: Bucket) -> None:
        bucket.write("in/ä b.txt", b"data")
        if self._url(bucket, "GET") is not None:
            url = bucket.url("in/ä b.txt", expires=timedelta(seconds=1))
            asyncio.run(asyncio.sleep(2.1))
            assert 400 <= fetch(url)[0] < 500

    # --- async twins

    def test_async_streams(self, bucket: Bucket, other_bucket: Bucket) -> None:
        data = _data(PART_BYTES + 7)

        async def pieces() -> AsyncIterator[bytes]:
            for piece in _pieces(data):
                await asyncio.sleep(0)
                yield piece

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(PART_BYTES + 1)
            raise SourceError

        async def work() -> None:
            await bucket.awrite("a", pieces())
            async with bucket.aopen("a") as blob:
                assert (blob.info.size, await blob.read(5)) == (len(data), data[:5])
                assert b"".join([line async for line in blob]) == data[5:]
            with pytest.raises(SourceError):
                await bucket.awrite("b", broken())
            assert not await bucket.aexists("b")
            copied = await bucket.acopy("a", "c", to=other_bucket)
            assert copied.size == len(data)
            assert await bucket.aread("a", start=5, end=9, if_match=(await bucket.astat("a")).etag) == data[5:9]
            assert await bucket.adelete_many(row.key async for row in bucket.alist()) == []
            assert await other_bucket.adelete_many(["c"]) == []
            if self.capabilities["signed_get"].given:
                assert await bucket.aurl("a", expires=MINUTE)

        asyncio.run(work())
        assert list(bucket.list()) == list(other_bucket.list()) == []


def fetch(url: SignedURL, body: bytes | None = None) -> tuple[int, Mapping[str, str], bytes]:
    """What a client with nothing but the URL is answered: status, headers in lower case, body."""
    request = urllib.request.Request(str(url), body, dict(url.headers), method=url.method)
    if body is not None and not request.has_header("Content-type"):
        request.add_header("Content-type", "application/octet-stream")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()
