"""What stands for AWS."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from portable.run.emulators.emulator import LOOPBACK, Emulator, call, on_free_port
from portable.run.parts import need

__all__ = ["REGION", "ministack", "moto_server"]

REGION = "us-east-1"
"""The AWS region of the emulators."""


@contextlib.contextmanager
def moto_server(*, log: Path | None = None) -> Iterator[Emulator]:
    """S3 and SQS, among others, by moto."""
    part = need("moto")

    def command(port: int) -> list[str | Path]:
        return [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]

    with on_free_port(part, command, "/moto-api/data.json", {"PYTHONPATH": str(part.path)}, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        yield Emulator(endpoint, _environment(endpoint), part, process.log, process.pid, _forget_moto)


@contextlib.contextmanager
def ministack(*, log: Path | None = None) -> Iterator[Emulator]:
    """CloudFormation and what its templates make, Lambda's functions and their triggers among it.

    A function of a managed Python runs in a worker of ministack's; one of ``provided.al2023`` is its own ``bootstrap``,
    started anew for each invocation.
    """
    part = need("ministack")

    def command(port: int) -> list[str | Path]:
        # It takes its port from the environment alone, and tells its functions the address.
        said = {"GATEWAY_PORT": str(port), "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}"}
        start = f"import os, runpy; os.environ.update({said!r}); runpy.run_module('ministack', run_name='__main__')"
        return [sys.executable, "-c", start]

    own = {
        "PYTHONPATH": str(part.path),
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",
    }
    with on_free_port(part, command, "/_ministack/health", own, log) as (process, port):
        endpoint = f"http://{LOOPBACK}:{port}"
        yield Emulator(endpoint, _environment(endpoint), part, process.log, process.pid, _forget_ministack)


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _forget_ministack(endpoint: str) -> None:
    call("POST", f"{endpoint}/_ministack/reset")


def _forget_moto(endpoint: str) -> None:
    call("POST", f"{endpoint}/moto-api/reset")
