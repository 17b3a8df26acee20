"""What stands for Azure."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from portable.run.emulators.emulator import LOOPBACK, Emulator, call, on_free_port
from portable.run.parts import need
from portable.run.processes import Running, running

__all__ = ["azurite", "cosmos", "service_bus"]

_BROKER = Path(__file__).with_name("servicebus_broker.py")

# Azurite's one account. Name and key are Microsoft's, published, and the same for everyone.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# The key of Microsoft's Cosmos DB emulator, published as well; the stand-in looks at none.
_COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="


@contextlib.contextmanager
def azurite(*, log: Path | None = None) -> Iterator[Emulator]:
    """Blob, queue and table storage, by Azurite. The connection string is in ``AzureWebJobsStorage``."""
    part, node = need("azurite"), need("node")
    flags = ["--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]  # it sends telemetry unasked
    kinds = ("blob", "queue", "table")
    # Port 0: it picks three free ports itself, and its log tells which.
    places = [word for kind in kinds for word in (f"--{kind}Host", LOOPBACK, f"--{kind}Port", "0")]
    command: list[str | Path] = [node.path, part.path, "--silent", *flags, *places]
    with running(
        part.name, command, ready=lambda started: len(_azurite_ports(started)) == len(kinds), log=log
    ) as process:
        urls = {kind: f"http://{LOOPBACK}:{port}/{_ACCOUNT}" for kind, port in _azurite_ports(process).items()}
        places = [f"{kind.title()}Endpoint={urls[kind]}" for kind in kinds]
        account = ["DefaultEndpointsProtocol=http", f"AccountName={_ACCOUNT}", f"AccountKey={_ACCOUNT_KEY}"]
        connection = ";".join([*account, *places])
        environment = {"AzureWebJobsStorage": connection, "AZURE_STORAGE_CONNECTION_STRING": connection}
        yield Emulator(urls["blob"].removesuffix(f"/{_ACCOUNT}"), environment, part, process.log, process.pid)


@contextlib.contextmanager
def cosmos(*, log: Path | None = None) -> Iterator[Emulator]:
    """Cosmos DB, by Vercel's stand-in: items, queries, etags; no transactional batch, and times to live do nothing.

    Its one account's connection string is in ``AZURE_COSMOS_CONNECTION_STRING``.
    """
    part, node = need("cosmosdb-server"), need("node")

    def command(port: int) -> list[str | Path]:
        options = ["-p", str(port), "--host", LOOPBACK, "--no-ssl"]
        return [node.path, "--require", Path(__file__).with_name("cosmosdb_server.cjs"), part.path, *options]

    with on_free_port(part, command, "/dbs", {}, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {
            "AZURE_COSMOS_CONNECTION_STRING": f"AccountEndpoint={endpoint}/;AccountKey={_COSMOS_KEY};",
        }
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_cosmos)


def _forget_cosmos(endpoint: str) -> None:
    for database in call("GET", f"{endpoint}/dbs").get("Databases", []):
        call("DELETE", f"{endpoint}/dbs/{database['id']}")


def _azurite_ports(started: Running) -> dict[str, int]:
    listening = r"Azurite (Blob|Queue|Table) service is successfully listening at http://[\d.]+:(\d+)"
    found = re.findall(listening, started.log.read_text("utf-8", errors="replace"))
    return {kind.lower(): int(port) for kind, port in found}


@contextlib.contextmanager
def service_bus(rules: Mapping[str, Mapping[str, Any]], *, log: Path | None = None) -> Iterator[Emulator]:
    """Service Bus, as far as ``servicebus_broker`` stands in for it; ``rules`` are explained there.

    The connection string is in ``AzureWebJobsServiceBus``; a queue's address is ``sb://`` and what follows in
    ``endpoint``, and its name.
    """
    part = need("qpid-proton")

    def command(port: int) -> list[str | Path]:
        return [sys.executable, _BROKER, str(port), json.dumps(rules)]

    with on_free_port(part, command, _listens, {"PYTHONPATH": str(part.path)}, log) as (process, port):
        endpoint = f"sb://{LOOPBACK}:{port}"
        keys = "SharedAccessKeyName=local;SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true;"
        connection = {"AzureWebJobsServiceBus": f"Endpoint={endpoint};{keys}"}
        yield Emulator(endpoint, connection, part, process.log, process.pid)


def _listens(port: int, started: Running) -> bool:
    """The log may be that of an earlier start as well."""
    return f"listening on {port}\n" in started.log.read_text("utf-8", errors="replace")
