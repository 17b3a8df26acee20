"""What stands for Azure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from portable.run.emulators.emulator import LOOPBACK, Emulator
from portable.run.parts import need
from portable.run.processes import Running, running

__all__ = ["azurite"]

# Azurite's one account. Name and key are Microsoft's, published, and the same for everyone.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


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


def _azurite_ports(started: Running) -> dict[str, int]:
    listening = r"Azurite (Blob|Queue|Table) service is successfully listening at http://[\d.]+:(\d+)"
    found = re.findall(listening, started.log.read_text("utf-8", errors="replace"))
    return {kind.lower(): int(port) for kind, port in found}
