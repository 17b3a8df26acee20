"""What the deployed core pays for, held at run time: import-linter cannot tell an import on use from one at the top."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ADAPTERS = Path(__file__).parent.parent / "adapters"

# Each costs milliseconds of a cold start, or is a tool that has no business in a cloud.
UNWANTED = {
    "argparse",
    "asyncio",
    "boto3",
    "concurrent.futures",
    "dataclasses",
    "email",
    "fastapi",
    "http.client",
    "importlib.metadata",
    "inspect",
    "logging",
    "msgspec",
    "obstore",
    "pluggy",
    "portable.build",
    "portable.cli",
    "portable.dev",
    "portable.hookspecs",
    "portable.plugins",
    "portable.run",
    "portable.samples",
    "portable.testing",
    "pydantic",
    "typing",
    "uuid",
}
# The runtime clients of the others have loaded these before our code is reached: Flask, Microsoft's worker, our own.
LOADED_ELSEWHERE = {"datetime", "threading"}


def runtimes() -> list[str]:
    return [f"{path.parent.name}.runtime" for path in sorted(ADAPTERS.glob("*/runtime.py"))]


@pytest.mark.parametrize("module", ["portable", "portable.app", *runtimes()])
def test_importing_what_is_deployed_imports_nothing_it_may_not_need(module: str) -> None:
    # -S: what site-packages' .pth files import is not ours.
    script = (
        f"import json, sys; sys.path[:0] = json.loads(sys.argv[1]); import {module}; print(json.dumps([*sys.modules]))"
    )
    path = json.dumps([str(ADAPTERS.parent), str(ADAPTERS)])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    unwanted = (
        UNWANTED
        if module.startswith(("portable_gcp", "portable_azure", "portable_local"))
        else UNWANTED | LOADED_ELSEWHERE
    )
    assert sorted(unwanted & set(json.loads(done.stdout))) == []
