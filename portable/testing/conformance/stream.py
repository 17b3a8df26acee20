"""What every stream that can be sent to keeps: the promises of ``portable.drivers.StreamDriver``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from portable.capabilities import Capability
from portable.drivers import StoredRecord
from portable.errors import NotFoundError, UnsupportedError
from portable.resources.stream import Stream
from portable.testing.conformance.cases import Conformance, assert_names

__all__ = ["StreamConformance"]

SECONDS = 30.0
"""What a record may take from its acceptance until it can be read."""


class StreamConformance(Conformance):
    """Subclass it, and give it one fixture, ``stream``, that yields ``Stream("clicks", partitions=2)``, empty, with its
    platform in force.

    The platform also has an address for a stream named ``missing``, and nothing is at that address.

    Attributes:
        capabilities: what the adapter says of streams.
        largest_record: most bytes a record has, its key included; None where there is no limit worth a test.
    """

    capabilities: ClassVar[Mapping[str, Capability]]
    largest_record: ClassVar[int | None] = None

    @staticmethod
    def read(stream: Stream[Any], count: int, limit: int = 100) -> dict[str, list[StoredRecord]]:
        """Every record by partition, read in pages."""
        driver = stream.driver()
        found: dict[str, list[StoredRecord]] = {one: [] for one in driver.partitions()}
        end = time.monotonic() + SECONDS
        while sum(map(len, found.values())) < count and time.monotonic() < end:
            for partition, records in found.items():
                records += driver.read(partition, records[-1].offset if records else None, limit)
        return found

    def test_partitions(self, stream: Stream[Any]) -> None:
        partitions = stream.driver().partitions()
        assert len(set(partitions)) == len(partitions) == stream.options["partitions"]
        assert all(stream.driver().read(one, None, 10) == [] for one in partitions)

    def test_a_key_is_in_one_partition_and_in_order(self, stream: Stream[Any]) -> None:
        for number in range(5):
            stream.send({"number": number}, key="ann")
        assert stream.send_many([(f"user{number % 7}", number) for number in range(100)]) == []
        found = self.read(stream, 105)
        kept = [[stream.decode(one.data) for one in records if one.key == "ann"] for records in found.values()]
        assert [one for one in kept if one] == [[{"number": number} for number in range(5)]]
        for user in range(7):
            [mine] = [
                numbers
                for records in found.values()
                if (numbers := [stream.decode(one.data) for one in records if one.key == f"user{user}"])
            ]
            assert mine == list(range(user, 100, 7))

    def test_a_page_begins_behind_its_offset(self, stream: Stream[Any]) -> None:
        stream.send_many([("a", number) for number in range(7)])
        [records] = [one for one in self.read(stream, 7, limit=3).values() if one]
        assert [stream.decode(one.data) for one in records] == list(range(7))
        partition, offset = records[2].partition, records[2].offset
        again = stream.driver().read(partition, offset, 2)
        assert [(one.offset, one.data) for one in again] == [(one.offset, one.data) for one in records[3:5]]
        assert stream.driver().read(partition, records[6].offset, 10) == []

    def test_a_page_begins_at_an_instant(self, stream: Stream[Any]) -> None:
        stream.send(1, key="a")
        time.sleep(1.1)  # a cloud may take whole seconds
        stream.send_many([("a", number) for number in range(2, 5)])
        [records] = [one for one in self.read(stream, 4).values() if one]
        partition, (first, second) = records[0].partition, (records[0].time, records[1].time)
        since = stream.driver().read_since
        assert [stream.decode(one.data) for one in since(partition, first, 10)] == [1, 2, 3, 4]
        assert [stream.decode(one.data) for one in since(partition, second, 2)] == [2, 3]

    def test_what_a_record_knows(self, stream: Stream[Any]) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        stream.send("é\x00", key="schlüssel/?&")
        [record] = [one for records in self.read(stream, 1).values() for one in records]
        assert (record.key, stream.decode(record.data)) == ("schlüssel/?&", "é\x00")
        assert before <= record.time <= datetime.now(UTC) + timedelta(seconds=2)

    def test_bytes_are_kept(self, stream: Stream[Any]) -> None:
        data = [bytes(range(256)), b"\xff" * 1000, b"{"]
        assert stream.driver().send_many([("a", one) for one in data]) == []
        [records] = [one for one in self.read(stream, len(data)).values() if one]
        assert [one.data for one in records] == data

    def test_more_than_one_call_takes(self, stream: Stream[Any]) -> None:
        assert stream.send_many([(f"user{number % 3}", number) for number in range(1300)]) == []
        found = [one for records in self.read(stream, 1300, 1000).values() for one in records]
        for user in range(3):
            numbers = [stream.decode(one.data) for one in found if one.key == f"user{user}"]
            assert numbers == list(range(user, 1300, 3))

    def test_a_record_too_large_is_refused_alone(self, stream: Stream[Any]) -> None:
        if self.largest_record is None:
            assert stream.driver().send_many([("a", b"x" * 1_000_000)]) == []
            return
        sent = [("a", b"1"), ("b", b"x" * self.largest_record), ("a", b"2")]
        [refused] = stream.driver().send_many(sent)
        assert refused.index == 1
        assert isinstance(refused.error, UnsupportedError)
        assert_names(refused.error, "stream clicks", "b")
        assert sorted(one.data for records in self.read(stream, 2).values() for one in records) == [b"1", b"2"]

    @pytest.mark.usefixtures("stream")
    def test_missing(self) -> None:
        missing: Stream[Any] = Stream("missing")
        with pytest.raises(NotFoundError, match="stream missing"):
            missing.send(1, key="a")
