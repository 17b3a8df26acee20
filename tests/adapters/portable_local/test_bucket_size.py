"""What is large is streamed: memory stays bounded, whatever the size of a blob or of a bucket."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator

import pytest

from portable import Bucket
from portable.drivers.bucket import PART_BYTES
from portable.resources import use_platform
from portable_local.platform import LocalPlatform

MIB = 1024 * 1024


@pytest.fixture
def bucket(tmp_path):
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    with use_platform(platform):
        yield Bucket("uploads")
    platform.close()


@pytest.fixture
def peak():
    """``peak()``: the most bytes held at once since the last call."""
    tracemalloc.start()

    def read() -> int:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        return most

    yield read
    tracemalloc.stop()


@pytest.mark.slow
def test_a_blob_of_any_size_takes_the_memory_of_three_parts(bucket, peak):
    pieces = 200

    def source() -> Iterator[bytes]:
        for number in range(pieces):
            yield bytes([number]) * MIB

    assert bucket.write("large", source()).size == pieces * MIB
    assert peak() < 3.5 * PART_BYTES
    with bucket.open("large") as blob:
        assert all(blob.read(MIB) == bytes([number]) * MIB for number in range(pieces))
        assert blob.read() == b""
    assert peak() < 4 * MIB
    assert bucket.copy("large", "again").size == pieces * MIB
    assert peak() < 4 * MIB


@pytest.mark.slow
def test_a_hundred_thousand_keys_are_listed_in_bounded_memory(bucket, tmp_path, peak):
    bucket.write("in/000000", b"")
    database = sqlite3.connect(tmp_path / "buckets" / "uploads" / "index.sqlite")
    rows = ((f"in/{number:06}".encode(), number) for number in range(1, 100_000))
    database.executemany("INSERT INTO blobs VALUES (?, 'f', 0, ?, 0, 'text/plain', NULL, NULL)", rows)
    database.commit()
    database.close()
    peak()
    count = 0
    for row in bucket.list():
        assert row.key == f"in/{count:06}"
        count += 1
    assert count == 100_000
    assert peak() < 2 * MIB
    assert [row.key for row in bucket.list(delimiter="/")] == ["in/"]
    assert bucket.delete_many(row.key for row in bucket.list("in/000")) == []
    assert peak() < 8 * MIB
    assert next(bucket.list()).key == "in/001000"
