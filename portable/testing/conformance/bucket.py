"""What every bucket keeps: the promises of ``portable.drivers.BucketDriver``, seen through ``portable.Bucket``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from portable.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    ServiceError,
    UnavailableError,
)
from portable.resources.bucket import Bucket
from portable.testing.conformance.bucket_model import BucketModel
from portable.testing.conformance.bucket_streams import BucketStreams
from portable.testing.conformance.cases import assert_names, together

__all__ = ["BucketConformance"]

WRITERS = 8
LARGE = 5 * 1024 * 1024

Call = Callable[[Bucket], Any]
_CALLS: dict[str, Call] = {
    "write": lambda bucket: bucket.write("a.txt", b"data"),
    "read": lambda bucket: bucket.read("a.txt"),
    "read_range": lambda bucket: bucket.read("a.txt", start=0, end=1),
    "stat": lambda bucket: bucket.stat("a.txt"),
}


class BucketConformance(BucketStreams, BucketModel):
    """Subclass it, and give it one fixture, ``bucket``, that yields an empty ``Bucket`` with its platform in force.

    That platform also has addresses for a bucket named ``other``, which is empty, and for one named ``missing``, where
    nothing is. The class has ``capabilities``: what the adapter says of buckets, ``CAPABILITIES["bucket"]``.
    """

    @pytest.fixture
    def missing_bucket(self, bucket: Bucket) -> Bucket:  # noqa: ARG002 - it puts the platform in force
        """A declared bucket that is not there."""
        return Bucket("missing")

    # --- write and read

    def test_read_gives_what_was_written(self, bucket: Bucket) -> None:
        data = bytes(range(256))
        assert bucket.write("a.bin", data).size == 256
        assert bucket.read("a.bin") == data

    def test_overwrite(self, bucket: Bucket) -> None:
        bucket.write("a.txt", b"a longer first version", content_type="text/html", metadata={"version": "1"})
        bucket.write("a.txt", b"second", content_type="text/plain")
        info = bucket.stat("a.txt")
        assert bucket.read("a.txt") == b"second"
        assert (info.size, info.content_type, info.metadata) == (6, "text/plain", {})

    def test_empty_blob(self, bucket: Bucket) -> None:
        bucket.write("empty", b"")
        assert bucket.read("empty") == b""
        assert bucket.read("empty", start=0, end=10) == b""
        assert bucket.stat("empty").size == 0

    def test_large_blob(self, bucket: Bucket) -> None:
        data = bytes(range(256)) * (LARGE // 256)
        bucket.write("large.bin", data)
        assert bucket.stat("large.bin").size == LARGE
        assert bucket.read("large.bin") == data
        assert bucket.read("large.bin", start=LARGE - 3) == data[-3:]

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, 4, b"0123"),
            (3, 7, b"3456"),
            (None, 4, b"0123"),
            (6, None, b"6789"),
            (8, 100, b"89"),
            (4, 4, b""),
            (10, 20, b""),
            (50, None, b""),
            (50, 60, b""),
            (0, 0, b""),
            (None, None, b"0123456789"),
        ],
    )
    def test_range(self, bucket: Bucket, start: int | None, end: int | None, expected: bytes) -> None:
        bucket.write("digits", b"0123456789")
        assert bucket.read("digits", start=start, end=end) == expected

    def test_empty_range_of_a_missing_key(self, bucket: Bucket) -> None:
        with pytest.raises(NotFoundError):
            bucket.read("nothing", start=2, end=2)

    def test_text_and_buffers(self, bucket: Bucket) -> None:
        bucket.write("text", "héllo ✓")
        bucket.write("view", memoryview(b"abcd")[1:3])
        assert bucket.read("text") == "héllo ✓".encode()
        assert bucket.read("view") == b"bc"

    # --- what is known of a blob

    def test_stat(self, bucket: Bucket) -> None:
        written = bucket.write("in/a.png", b"12345", content_type="image/png")
        info = bucket.stat("in/a.png")
        assert (info.key, info.size, info.content_type, info.is_prefix) == ("in/a.png", 5, "image/png", False)
        assert info.etag
        assert info.etag == written.etag
        assert info.time is not None
        assert abs(datetime.now(UTC) - info.time) < timedelta(minutes=5)

    @pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "image/svg+xml", "application/x-made-up"])
    def test_content_type(self, bucket: Bucket, content_type: str) -> None:
        bucket.write("a", b"data", content_type=content_type)
        assert bucket.stat("a").content_type == content_type

    def test_content_type_from_the_key(self, bucket: Bucket) -> None:
        bucket.write("photo.png", b"data")
        bucket.write("plain", b"data")
        assert bucket.stat("photo.png").content_type == "image/png"
        assert bucket.stat("plain").content_type == "application/octet-stream"

    def test_metadata(self, bucket: Bucket) -> None:
        metadata = {"owner": "ann", "note_2": 'a b; c=d, "q" %20+', "upper": "KEEPS Case"}
        bucket.write("a", b"data", metadata=metadata)
        bucket.write("b", b"data")
        assert bucket.stat("a").metadata == metadata
        assert bucket.stat("b").metadata == {}

    def test_etag_changes_with_the_data(self, bucket: Bucket) -> None:
        first = bucket.write("a", b"one")
        second = bucket.write("a", b"two")
        assert first.etag != second.etag
        assert bucket.stat("a").etag == second.etag

    def test_exists(self, bucket: Bucket) -> None:
        assert not bucket.exists("a")
        bucket.write("a", b"")
        assert bucket.exists("a")
        assert not bucket.exists("a/b")

    # --- delete and what is missing

    def test_delete(self, bucket: Bucket) -> None:
        bucket.write("a", b"data")
        bucket.delete("a")
        assert not bucket.exists("a")
        assert [row.key for row in bucket.list()] == []

    def test_delete_is_idempotent(self, bucket: Bucket) -> None:
        bucket.write("a", b"data")
        bucket.delete("a")
        bucket.delete("a")
        bucket.delete("never/was")

    @pytest.mark.parametrize("call", ["read", "read_range", "stat"])
    def test_missing_key(self, bucket: Bucket, call: str) -> None:
        with pytest.raises(NotFoundError) as caught:
            _CALLS[call](bucket)
        assert_names(caught.value, f"bucket {bucket.name}", "a.txt")

    @pytest.mark.parametrize("call", _CALLS)
    def test_missing_bucket(self, missing_bucket: Bucket, call: str) -> None:
        with pytest.raises(NotFoundError) as caught:
            _CALLS[call](missing_bucket)
        assert_names(caught.value, "bucket missing", "a.txt")

    def test_missing_bucket_listed(self, missing_bucket: Bucket) -> None:
        with pytest.raises(NotFoundError) as caught:
            list(missing_bucket.list())
        assert_names(caught.value, "bucket missing", None)

    # --- conditions

    def test_if_absent(self, bucket: Bucket) -> None:
        bucket.write("a", b"first", if_absent=True)
        with pytest.raises(AlreadyExistsError) as caught:
            bucket.write("a", b"second", if_absent=True)
        assert_names(caught.value, f"bucket {bucket.name}", "a")
        assert bucket.read("a") == b"first"
        bucket.delete("a")
        bucket.write("a", b"third", if_absent=True)
        assert bucket.read("a") == b"third"

    def test_if_match(self, bucket: Bucket) -> None:
        first = bucket.write("a", b"first")
        second = bucket.write("a", b"second", if_match=first.etag)
        with pytest.raises(PreconditionFailedError) as caught:
            bucket.write("a", b"third", if_match=first.etag)
        assert_names(caught.value, f"bucket {bucket.name}", "a")
        assert bucket.read("a") == b"second"
        assert second.etag == bucket.stat("a").etag

    def test_if_match_of_a_missing_key(self, bucket: Bucket) -> None:
        stale = bucket.write("a", b"first").etag
        bucket.delete("a")
        with pytest.raises(PreconditionFailedError):
            bucket.write("a", b"second", if_match=stale)
        assert not bucket.exists("a")

    def test_one_of_many_writers_creates(self, bucket: Bucket) -> None:
        results = together(WRITERS, lambda n: bucket.write("a", f"writer {n}", if_absent=True))
        self._assert_one_won(bucket, results, AlreadyExistsError)

    def test_one_of_many_writers_replaces(self, bucket: Bucket) -> None:
        etag = bucket.write("a", b"old").etag
        results = together(WRITERS, lambda n: bucket.write("a", f"writer {n}", if_match=etag))
        self._assert_one_won(bucket, results, PreconditionFailedError)

    @staticmethod
    def _assert_one_won(bucket: Bucket, results: list[Any], refusal: type[ServiceError]) -> None:
        winners = [n for n, result in enumerate(results) if not isinstance(result, Exception)]
        losers = [result for result in results if isinstance(result, Exception)]
        assert len(winners) == 1, results
        # A cloud may also tell a loser that it met another write, and to come again.
        assert all(isinstance(error, (refusal, UnavailableError)) for error in losers), losers
        assert bucket.read("a") == f"writer {winners[0]}".encode()

    def test_no_update_is_lost(self, bucket: Bucket) -> None:
        bucket.write("count", b"0")

        def add(_: int) -> None:
            done = 0
            while done < 5:
                etag = bucket.stat("count").etag
                value = int(bucket.read("count"))
                try:
                    bucket.write("count", str(value + 1), if_match=etag)
                    done += 1
                except (PreconditionFailedError, UnavailableError):
                    time.sleep(0.001)

        assert together(4, add) == [None] * 4
        assert bucket.read("count") == b"20"

    # --- threads and async twins

    def test_a_reader_sees_a_whole_blob(self, bucket: Bucket) -> None:
        size = 300_000
        bucket.write("a", b"0" * size)
        over = Event()

        def work(position: int) -> set[bytes]:
            seen = set()
            if position == 0:
                try:
                    for n in range(20):
                        bucket.write("a", str(n % 10).encode() * size)
                finally:
                    over.set()
                return set()
            while not over.is_set():
                data = bucket.read("a")
                seen.add(data[:1] if data == data[:1] * size else data)
            return seen

        for seen in together(3, work):
            assert not isinstance(seen, Exception), seen
            assert all(len(data) == 1 for data in seen)

    def test_threads(self, bucket: Bucket) -> None:
        def work(position: int) -> list[str]:
            mine = [f"{position}/{n}" for n in range(10)]
            for key in mine:
                bucket.write(key, key, metadata={"by": str(position)})
            for key in mine:
                assert bucket.read(key) == key.encode()
                assert bucket.stat(key).metadata == {"by": str(position)}
            bucket.delete(mine[0])
            return [row.key for row in bucket.list(f"{position}/")]

        for position, rows in enumerate(together(WRITERS, work)):
            assert rows == [f"{position}/{n}" for n in range(1, 10)]

    def test_async_twins(self, bucket: Bucket) -> None:
        async def work() -> None:
            written = await bucket.awrite("a/b", b"0123", content_type="text/plain", metadata={"x": "y"})
            assert await bucket.aread("a/b") == bucket.read("a/b") == b"0123"
            assert await bucket.aread("a/b", start=1, end=3) == b"12"
            info, same = await bucket.astat("a/b"), bucket.stat("a/b")
            assert (info.size, info.etag, info.time) == (same.size, same.etag, same.time)
            assert (info.content_type, info.metadata) == (same.content_type, same.metadata)
            assert info.etag == written.etag
            assert await bucket.aexists("a/b")
            assert [row.key async for row in bucket.alist()] == ["a/b"]
            folded = [(row.key, row.is_prefix) async for row in bucket.alist(delimiter="/")]
            assert folded == [("a/", True)]
            await bucket.adelete("a/b")
            await bucket.adelete("a/b")
            assert not await bucket.aexists("a/b")

        asyncio.run(work())

    def test_async_errors(self, bucket: Bucket) -> None:
        async def work() -> None:
            with pytest.raises(NotFoundError) as caught:
                await bucket.aread("nothing")
            assert_names(caught.value, f"bucket {bucket.name}", "nothing")
            first = await bucket.awrite("a", b"1", if_absent=True)
            with pytest.raises(AlreadyExistsError):
                await bucket.awrite("a", b"2", if_absent=True)
            await bucket.awrite("a", b"2", if_match=first.etag)
            with pytest.raises(PreconditionFailedError):
                await bucket.awrite("a", b"3", if_match=first.etag)

        asyncio.run(work())

    def test_many_async_at_once(self, bucket: Bucket) -> None:
        async def work() -> list[bytes]:
            await asyncio.gather(*(bucket.awrite(f"{n}", f"value {n}") for n in range(30)))
            return list(await asyncio.gather(*(bucket.aread(f"{n}") for n in range(30))))

        assert asyncio.run(work()) == [f"value {n}".encode() for n in range(30)]
        assert len(list(bucket.list())) == 30
