"""The life of an instance under each cloud's own runtime client: what hangs is seen, and who is told of the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Wanted, build
from portable.build.project import find_project
from portable.plugins import adapter
from portable.run import parts
from portable.run.deployment import deployed
from portable.samples.neutral import make_request

APP = """
import asyncio
import sys
import time
from datetime import timedelta

from portable import App

app = App("life")


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


app.on_start(lambda: note("the hooks of the start"))
app.on_stop(lambda: note("the hooks of the end"))


@app.get("/", timeout=timedelta(seconds=4))
def home() -> str:
    return "home"


@app.get("/hangs")
def hangs() -> str:
    time.sleep(8)
    return "too late"


async def wait_within() -> None:
    await asyncio.sleep(60)


@app.get("/waits")
async def waits() -> str:
    await wait_within()
    return "too late"
"""
PROJECT = '[project]\nname = "life"\nversion = "1"\n'


OWN_LOOP = '[tool.portable.aws]\nruntime = "portable"\nhttp = "function-url"\n'


# Only gunicorn is asked to end; the others are ended, as Azure's worker is in the cloud.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "settings"),
    [("aws", ""), ("aws", OWN_LOOP), ("gcp", ""), ("azure", ""), ("local", "")],
    ids=["aws", "aws-own-loop", "gcp", "azure", "local"],
)
def test_what_hangs_is_seen(target: str, settings: str, require_part: Callable[..., Any], tmp_path: Path) -> None:
    found = adapter(target)
    for name in found.run.parts:
        require_part(name, found.build.pythons[0] if parts.named(name).python(found.build.pythons[0]) else None)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text(PROJECT + settings)
    artifact = build(find_project(tmp_path), found.build, Wanted(for_here=True)).folder
    log = tmp_path / "functions.log"
    with deployed(artifact, log=log) as deployment:
        statuses = [deployment.request(make_request("GET", path)).status for path in ("/", "/waits", "/hangs", "/")]
    assert statuses == [200, 504, 504, 200]
    printed = log.read_text()
    assert printed.count("http nears its deadline") == 2
    assert "in wait_within" in printed
    assert "http was cancelled: its deadline is near" in printed
    assert "in hangs" in printed
    assert ("http was interrupted: its deadline is near" in printed) == (target == "aws")  # in the main thread
    assert printed.count("the hooks of the start") >= 1
    assert ("the hooks of the end" in printed) == (target == "gcp")
