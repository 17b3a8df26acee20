"""The clouds' storage and messaging on this machine, each on a free loopback port for as long as a block runs.

    with azurite() as storage:
        client = QueueServiceClient.from_connection_string(storage.environment["AzureWebJobsStorage"])

``environment`` holds what the vendor's SDK reads to find the emulator, made-up credentials included. Every emulator
keeps its data in memory.
"""

from __future__ import annotations

from portable.run.emulators.aws import REGION, ministack, moto_server
from portable.run.emulators.azure import azurite, cosmos, service_bus
from portable.run.emulators.cache import cache_addresses, redis_server
from portable.run.emulators.emulator import Emulator
from portable.run.emulators.gateways import Gateway, connections_api, held_here, web_pubsub
from portable.run.emulators.gcp import PROJECT, fake_gcs, firestore, pubsub
from portable.run.emulators.nats import nats_server
from portable.run.emulators.values import config_values, made_up_secret
from portable.run.emulators.vaults import KEY_VAULT, Vault, key_vault, secret_manager

__all__ = [
    "KEY_VAULT",
    "PROJECT",
    "REGION",
    "Emulator",
    "Gateway",
    "Vault",
    "azurite",
    "cache_addresses",
    "config_values",
    "connections_api",
    "cosmos",
    "fake_gcs",
    "firestore",
    "held_here",
    "key_vault",
    "made_up_secret",
    "ministack",
    "moto_server",
    "nats_server",
    "pubsub",
    "redis_server",
    "secret_manager",
    "service_bus",
    "web_pubsub",
]
