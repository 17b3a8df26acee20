"""The driver of Service Bus against a stand-in of its AMQP, with Microsoft's own client between them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from portable.errors import ConfigError, UnsupportedError
from portable.resources import use_platform
from portable.resources.queue import Queue
from portable.run.emulators import Emulator
from portable.testing import QueueConformance
from portable_azure import _sdk, limits
from portable_azure.capabilities import SERVICE_BUS
from portable_azure.platform import AzurePlatform


@pytest.fixture
def environment(service_bus: Emulator) -> dict[str, str]:
    unique = uuid4().hex[:8]
    return {
        **service_bus.environment,
        "PORTABLE_QUEUE_EMAILS": f"{service_bus.endpoint}/emails-{unique}",
        "PORTABLE_DEADLETTER_EMAILS": f"{service_bus.endpoint}/dead-{unique}",
        "PORTABLE_QUEUE_ORDERED": f"{service_bus.endpoint}/ordered-{unique}",
        "PORTABLE_QUEUE_MISSING": f"{service_bus.endpoint}/nothing-here",
    }


@pytest.mark.slow
class TestServiceBusQueue(QueueConformance):
    capabilities = SERVICE_BUS
    largest_body = limits.BUS_MESSAGE_BYTES - limits.BUS_OVERHEAD
    model_examples = 1  # a look at an empty queue takes a second
    shortest_lease = timedelta(seconds=2)  # the lock duration of the stand-in's queues

    @pytest.fixture
    def queue(self, environment: dict[str, str]) -> Iterator[Queue[Any]]:
        platform = AzurePlatform(environment)
        with use_platform(platform):
            yield Queue("emails")
        platform.close()


@pytest.fixture
def ordered(environment: dict[str, str]) -> Iterator[Queue[Any]]:
    platform = AzurePlatform(environment)
    with use_platform(platform):
        yield Queue("ordered", ordered=True, dedup=True, max_attempts=2)
    platform.close()


def test_dead_letters_of_a_queue_without_a_place_of_its_own_for_them(ordered: Queue[Any]) -> None:
    ordered.send("poison", group="a")
    for _ in range(2):
        [delivery] = ordered.receive(1, wait=timedelta(seconds=5))
        delivery.nack()
    [letter] = ordered.dead_letters()
    assert (letter.body, letter.group) == ("poison", "a")
    assert ordered.redrive() == 1
    [delivery] = ordered.receive(1, wait=timedelta(seconds=5))
    assert (delivery.body, delivery.group, delivery.attempt) == ("poison", "a", 1)
    with pytest.raises(UnsupportedError, match="PORTABLE_DEADLETTER"):
        ordered.driver().dead_letter("1", {})
    with pytest.raises(UnsupportedError, match="comes back at once"):
        delivery.nack(timedelta(seconds=1))
    delivery.ack()


@pytest.mark.parametrize("address", ["sb://", "sb://host", "sb://host/", "https://host/queue"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConfigError, match="sb://NAMESPACE"):
        _sdk.parse_bus_address(address)


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "azure.servicebus", None)
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[azure\]'"):
        _sdk.bus_client("shop.servicebus.windows.net", {})
