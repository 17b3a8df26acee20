"""What the cases of queues share: the adapter's capabilities, and patience with messages that are late."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from portable.capabilities import Capability
from portable.drivers import Received
from portable.errors import UnsupportedError
from portable.resources.delivery import Delivery
from portable.resources.queue import Queue
from portable.testing.conformance.cases import Conformance, assert_names

__all__ = ["LONG", "NOW", "QueueCases"]

NOW = timedelta(0)
LONG = timedelta(seconds=120)


class QueueCases(Conformance):
    """What ``QueueConformance`` says of itself is set here."""

    capabilities: ClassVar[Mapping[str, Capability]]
    keeps_noncharacters: ClassVar[bool] = True
    largest_body: ClassVar[int | None] = None
    shortest_lease: ClassVar[timedelta] = timedelta(seconds=1)
    patience: ClassVar[timedelta] = timedelta(seconds=15)
    silence: ClassVar[timedelta] = timedelta(seconds=1)

    @pytest.fixture
    def missing_queue(self, queue: Queue[Any]) -> Queue[Any]:  # noqa: ARG002 - it puts the platform in force
        """A declared queue that is not there."""
        return Queue("missing")

    def gives(self, feature: str) -> bool:
        """Whether the adapter says that its queues have a feature."""
        return self.capabilities[feature].given

    @pytest.fixture
    def ordered_queue(self, queue: Queue[Any]) -> Queue[Any]:  # noqa: ARG002 - it puts the platform in force
        """A queue declared for groups and deduplication, as far as the adapter says it has them."""
        return Queue("ordered", ordered=self.gives("ordered"), dedup=self.gives("dedup"))

    def refuses(self, call: Callable[[], Any], queue: Queue[Any]) -> None:
        """A call of what the adapter says it has not."""
        with pytest.raises(UnsupportedError) as caught:
            call()
        assert_names(caught.value, f"queue {queue.name}", None)

    def take(self, queue: Queue[Any], count: int = 1, *, lease: timedelta = LONG) -> list[Received]:
        """``count`` different messages, as soon as they come. Fails when ``patience`` ends before."""
        found: dict[str, Received] = {}
        limit = time.monotonic() + self.patience.total_seconds()
        while len(found) < count:
            left = limit - time.monotonic()
            assert left > 0, f"{len(found)} of {count} messages came within {self.patience}"
            wait = timedelta(seconds=min(1.0, left))
            for received in queue.driver().receive(min(10, count - len(found)), wait, lease):
                found[received.id] = received
        return list(found.values())

    def is_empty(self, queue: Queue[Any], wait: timedelta | None = None) -> bool:
        """Whether nothing comes within ``wait``; left out, within ``silence``."""
        return queue.driver().receive(1, self.silence if wait is None else wait, LONG) == []

    def reaches(self, look: Callable[[], Any], expected: Any) -> bool:
        """True as soon as a look gives what is expected. Fails when ``patience`` ends before."""
        limit = time.monotonic() + self.patience.total_seconds()
        while (found := look()) != expected:
            assert time.monotonic() < limit, f"{found} and not {expected} within {self.patience}"
            time.sleep(0.05)
        return True

    def look(self, queue: Queue[Any], count: int) -> list[Received]:
        """So many dead letters, as soon as they are seen."""
        limit = time.monotonic() + self.patience.total_seconds()
        while len(found := queue.driver().dead_letters(10)) < count:
            assert time.monotonic() < limit, f"{len(found)} of {count} dead letters were seen within {self.patience}"
            time.sleep(0.05)
        return found

    def pull(self, queue: Queue[Any]) -> list[Delivery[Any]]:
        """The next message, as a worker gets it."""
        limit = time.monotonic() + self.patience.total_seconds()
        while not (found := queue.receive(1, wait=timedelta(seconds=1), lease=LONG)):
            assert time.monotonic() < limit, f"nothing came within {self.patience}"
        return found

    async def apull(self, queue: Queue[Any]) -> list[Delivery[Any]]:
        """See :meth:`pull`."""
        limit = time.monotonic() + self.patience.total_seconds()
        while not (found := await queue.areceive(1, wait=timedelta(seconds=1), lease=LONG)):
            assert time.monotonic() < limit, f"nothing came within {self.patience}"
        return found
