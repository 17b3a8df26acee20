"""The bucket driver against a NATS server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import nats
import pytest

from portable import AlreadyExistsError, Bucket
from portable.drivers.bucket import PART_BYTES
from portable.resources import use_platform
from portable.testing.conformance import BucketConformance
from portable_nats.bucket import _blob_name
from portable_nats.capabilities import CAPABILITIES
from portable_nats.limits import CHUNK_BYTES
from portable_nats.runtime import platform
from portable_nats.sweep import sweep


@pytest.mark.slow
class TestBucket(BucketConformance):
    capabilities = CAPABILITIES["bucket"]

    @pytest.fixture
    def bucket(self, place: Callable[..., dict[str, str]]) -> Iterator[Bucket]:
        bucket = Bucket("uploads")
        opened = platform(place(bucket, Bucket("other")))
        with use_platform(opened):
            yield bucket
        opened.close()


class TestSweep:
    @pytest.fixture
    def environment(self, place: Callable[..., dict[str, str]]) -> dict[str, str]:
        return place(Bucket("uploads"))

    @pytest.fixture
    def bucket(self, environment: dict[str, str]) -> Iterator[Bucket]:
        opened = platform(environment)
        with use_platform(opened):
            yield Bucket("uploads")
        opened.close()

    def _chunks(self, bucket: Bucket) -> int:
        calls = bucket.driver()._calls
        state = bucket.driver().link.call(calls.server.api(f"STREAM.INFO.{calls._stream}"))["state"]
        return state["messages"]

    def test_a_write_removes_what_it_replaced(self, bucket: Bucket) -> None:
        bucket.write("a", b"x" * (3 * CHUNK_BYTES))
        assert self._chunks(bucket) == 3
        bucket.write("a", b"y")
        assert self._chunks(bucket) == 1
        with pytest.raises(AlreadyExistsError):
            bucket.write("a", b"z", if_absent=True)
        bucket.delete("a")
        assert self._chunks(bucket) == 0

    def test_a_source_that_raises_leaves_nothing(self, bucket: Bucket) -> None:
        def pieces() -> Iterator[bytes]:
            for _ in range(3):
                yield b"x" * PART_BYTES
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            bucket.write("a", pieces())
        assert self._chunks(bucket) == 0

    def test_a_crash_leaves_what_a_sweep_removes(self, bucket: Bucket, environment: dict[str, str]) -> None:
        bucket.write("kept", b"x" * (2 * CHUNK_BYTES))
        driver = bucket.driver()
        driver.upload("lost", _blob_name(), 0, b"y" * (2 * CHUNK_BYTES))  # and nothing puts it in the index
        assert self._chunks(bucket) == 4
        assert sweep("uploads", environment) == 0  # it may be a write that is under way
        assert sweep("uploads", environment, older=timedelta(0)) == 1
        assert self._chunks(bucket) == 2
        assert bucket.read("kept") == b"x" * (2 * CHUNK_BYTES)

    def test_the_index_is_a_key_value_store_of_nats(self, bucket: Bucket, environment: dict[str, str]) -> None:
        etag = bucket.write("in/a.txt", b"data").etag

        async def read() -> tuple[int, int | None]:
            client = await nats.connect(environment["NATS_URL"])
            name = environment["PORTABLE_BUCKET_UPLOADS"].rpartition("/")[2]
            entry = await (await client.jetstream().key_value(name)).get("in.a=2Etxt")
            await client.close()
            return json.loads(entry.value or b"")["size"], entry.revision

        assert asyncio.run(read()) == (4, int(etag or ""))
