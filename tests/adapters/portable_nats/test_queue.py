"""The queue driver against a NATS server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portable import Queue
from portable.resources import use_platform
from portable.testing.conformance import QueueConformance
from portable_nats.capabilities import CAPABILITIES
from portable_nats.runtime import platform


@pytest.mark.slow
class TestQueue(QueueConformance):
    capabilities = CAPABILITIES["queue"]

    @pytest.fixture
    def queue(self, place: Callable[..., dict[str, str]]) -> Iterator[Queue[Any]]:
        queue: Queue[Any] = Queue("emails")
        nats = platform(place(queue, Queue("ordered", ordered=True, dedup=True)))
        with use_platform(nats):
            yield queue
        nats.close()
