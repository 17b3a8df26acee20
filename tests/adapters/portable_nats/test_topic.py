"""The topic driver against a NATS server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portable import NotFoundError, Topic
from portable.resources import use_platform
from portable.resources.filters import read_filter
from portable.testing.conformance import TopicConformance
from portable.testing.conformance.topic import FILTER
from portable_nats.capabilities import CAPABILITIES
from portable_nats.provision import subscribe
from portable_nats.runtime import platform


@pytest.mark.slow
class TestTopic(TopicConformance):
    capabilities = CAPABILITIES["topic"]

    @pytest.fixture
    def topic(self, place: Callable[..., dict[str, str]]) -> Iterator[Topic[Any]]:
        topic: Topic[Any] = Topic("signups")
        orders: Topic[Any] = Topic("orders", ordered=True)
        environment = place(topic, orders)
        subscribe(topic, {"welcome": None, "audit": None, "paid": read_filter(FILTER, "test")}, environment)
        subscribe(orders, {"welcome": None}, environment)
        opened = platform(environment)
        with use_platform(opened):
            yield topic
        opened.close()

    def test_a_subscription_that_is_not_there(self, topic: Topic[Any]) -> None:
        with pytest.raises(NotFoundError, match="topic signups"):
            self.is_empty(topic, "nobody")
