"""What stands for AWS."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from portable.run.emulators.emulator import LOOPBACK, Emulator, call, on_free_port
from portable.run.parts import need

__all__ = ["REGION", "moto_server"]

REGION = "us-east-1"
"""The AWS region of ``moto_server``."""


@contextlib.contextmanager
def moto_server(*, log: Path | None = None) -> Iterator[Emulator]:
    """S3 and SQS, among others, by moto."""
    part = need("moto")

    def command(port: int) -> list[str | Path]:
        return [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]

    with on_free_port(part, command, "/moto-api/data.json", {"PYTHONPATH": str(part.path)}, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield Emulator(endpoint, environment, part, process.log, process.pid, _forget_moto)


def _forget_moto(endpoint: str) -> None:
    call("POST", f"{endpoint}/moto-api/reset")
