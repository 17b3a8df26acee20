"""Azure Queue Storage against Azurite."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from portable.errors import ConfigError, UnsupportedError
from portable.resources import use_platform
from portable.resources.queue import Queue
from portable.run.emulators import Emulator
from portable.testing import QueueConformance
from portable_azure import _sdk, limits
from portable_azure.capabilities import STORAGE_QUEUE
from portable_azure.platform import AzurePlatform
from portable_azure.queue import Envelope, pack, poison_address, unpack

_numbers = count()


@pytest.fixture
def environment(azurite: Emulator) -> Iterator[dict[str, str]]:
    storage = dict(part.partition("=")[::2] for part in azurite.environment["AzureWebJobsStorage"].split(";"))
    queues = storage["QueueEndpoint"]
    address = f"{queues}/queue-{next(_numbers)}"
    environment = {
        **azurite.environment,
        "PORTABLE_QUEUE_EMAILS": address,
        "PORTABLE_QUEUE_ORDERED": address,
        "PORTABLE_QUEUE_MISSING": f"{queues}/not-there",
    }
    clients = [_sdk.queue_client(url, environment) for url in (address, poison_address(address))]
    for client in clients:
        client.create_queue()
    yield environment
    for client in clients:
        client.delete_queue()
        client.close()


@pytest.mark.slow
class TestQueue(QueueConformance):
    capabilities = STORAGE_QUEUE
    largest_body = limits.QUEUE_TEXT_BYTES

    @pytest.fixture
    def queue(self, environment: dict[str, str]) -> Iterator[Queue[Any]]:
        platform = AzurePlatform(environment)
        with use_platform(platform):
            yield Queue("emails")
        platform.close()


def test_a_message_without_attributes_is_its_body_in_base64(environment: dict[str, str]) -> None:
    platform = AzurePlatform(environment)
    with use_platform(platform):
        Queue("emails").send({"é": 1})
        [message] = Queue("emails").native().receive_messages()
    assert message.content == "eyLDqSI6MX0="
    platform.close()


def test_a_delay_beyond_seven_days_is_refused(environment: dict[str, str]) -> None:
    from datetime import timedelta

    platform = AzurePlatform(environment)
    with use_platform(platform), pytest.raises(UnsupportedError, match="7 days"):
        Queue("emails").send(1, delay=timedelta(days=8))
    platform.close()


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("{}"),
        Envelope('"portable/1 {}"'),
        Envelope('{"a":1}', {"x": "line\nbreak é"}),
        Envelope("[]", {}, 3, "id-1", "2026-01-01T00:00:00+00:00"),
    ],
)
def test_envelopes_come_back(envelope: Envelope) -> None:
    again = unpack(pack(envelope))
    for field in Envelope.__slots__:
        assert getattr(again, field) == getattr(envelope, field)


@pytest.mark.parametrize("text", ["portable/1 nonsense", 'portable/1 {"attributes":{}}', "portable/1 []\n{}"])
def test_a_broken_envelope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"envelope|Expecting value"):
        unpack(text)


@pytest.mark.parametrize(
    ("address", "account"),
    [
        ("https://shop.queue.core.windows.net/emails", "shop"),
        ("http://127.0.0.1:10001/devstoreaccount1/emails", "devstoreaccount1"),
        ("https://shop.blob.core.windows.net/uploads?sv=1", "shop"),
    ],
)
def test_the_account_of_an_address(address: str, account: str) -> None:
    assert _sdk.account_of(address) == account


def test_the_key_of_a_connection_string_is_for_its_own_account() -> None:
    connection = "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
    for variable in _sdk.CONNECTION_VARIABLES:
        environment = {variable: connection}
        found = _sdk._credential("https://shop.queue.core.windows.net/emails", environment)
        assert found.named_key == ("shop", "c2VjcmV0")
        other = _sdk._credential("https://other.queue.core.windows.net/emails", environment)
        assert type(other).__name__ == "DefaultAzureCredential"
        assert _sdk._credential("https://other.queue.core.windows.net/emails", {}) is other
        assert _sdk._credential("https://shop.queue.core.windows.net/emails?sig=x", environment) is None


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "azure.storage.queue", None)
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[azure\]'"):
        _sdk.queue_client("https://shop.queue.core.windows.net/emails", {})


def test_a_resource_without_an_address_names_the_variable() -> None:
    with use_platform(AzurePlatform({})), pytest.raises(ConfigError, match="PORTABLE_QUEUE_EMAILS"):
        Queue("emails").send(1)
