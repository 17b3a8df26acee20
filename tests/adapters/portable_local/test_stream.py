"""The local stream: the suite, and what is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portable import Stream
from portable.resources import use_platform
from portable.testing.conformance import StreamConformance
from portable.testing.conformance.cases import together
from portable_local import stream as module
from portable_local.capabilities import CAPABILITIES
from portable_local.platform import LocalPlatform
from portable_local.stream import LocalStream


class TestStream(StreamConformance):
    capabilities = CAPABILITIES["stream"]

    @pytest.fixture
    def stream(self, tmp_path: Path) -> Iterator[Stream[Any]]:
        platform = LocalPlatform(
            {"PORTABLE_LOCAL_STATE": str(tmp_path), "PORTABLE_STREAM_MISSING": str(tmp_path / "gone")}
        )
        with use_platform(platform):
            yield Stream("clicks", partitions=2)
        platform.close()


def test_several_threads_send_at_once(tmp_path: Path) -> None:
    driver = LocalStream("clicks", tmp_path, 2)
    try:
        together(4, lambda sender: [driver.send_many([(f"{sender}", b"%d" % n)]) for n in range(100)])
        found = [one for partition in driver.partitions() for one in driver.read(partition, None, 1000)]
        for sender in range(4):
            assert [int(one.data) for one in found if one.key == f"{sender}"] == list(range(100))
    finally:
        driver.close()


def test_a_record_is_kept_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = LocalStream("clicks", tmp_path, 1)
    try:
        driver.send_many([("a", b"old")])
        now = time.time()
        monkeypatch.setattr(module.time, "time", lambda: now + module.KEPT_SECONDS + 1)
        driver.send_many([("a", b"new")])
        assert [(one.offset, one.data) for one in driver.read("0", None, 10)] == [("2", b"new")]
        assert driver.last() == 2
    finally:
        driver.close()
