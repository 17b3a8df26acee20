"""Streams through built artifacts: under AWS's own runtime client over Kinesis, and in a local artifact's process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portable import Bucket, Queue, Stream, StreamRecord
from portable.resources import use_platform
from portable.run.deployment import Deployment, deployed
from portable.run.parts import Found

APP = """
from typing import Any

from portable import App, Reject, StreamRecord

app = App("clicking")
clicks = app.stream("clicks", partitions=2)
lost = app.queue("lost")
counts = app.bucket("counts")


@app.on_stream(clicks, dead_letters=lost, max_attempts=3, batch_size=5)
def count(record: StreamRecord[Any]) -> None:
    if record.body == "robot":
        raise Reject("a robot")
    name = f"{record.key}/{record.body}"
    if record.body == "flaky" and not counts.exists(name + "/tried"):
        counts.write(name + "/tried", "")
        raise OSError("not yet")
    counts.write(name, f"{record.stream} {record.attempt}")
"""
PARTS = {"aws": (("python", "3.13"), ("aws-lambda-rie", None), ("awslambdaric", "3.13"), ("moto", None)), "local": ()}


@pytest.fixture(scope="module", params=PARTS)
def deployment(
    request: pytest.FixtureRequest, require_part: Callable[..., Found], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    target = request.param
    for name, version in PARTS[target]:
        require_part(name, version) if version else require_part(name)
    folder = tmp_path_factory.mktemp(target)
    (folder / "app.py").write_text(APP, "utf-8")
    (folder / "pyproject.toml").write_text('[project]\nname = "probe"\nversion = "0"\ndependencies = []\n', "utf-8")
    command = [sys.executable, "-m", "portable.cli", "build", "--target", target, "--for-here", "--project", folder]
    command += ["--python", "3.13"] if target == "aws" else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    with deployed(folder / "dist" / target) as running:
        yield running


def test_records_are_delivered_in_order_and_come_again(deployment: Deployment) -> None:
    clicks: Stream[Any] = Stream("clicks", partitions=2)
    counts, lost = Bucket("counts"), Queue[Any]("lost")
    with use_platform(deployment.platform):
        for body in ("first", "robot", "flaky", "last"):
            clicks.send(body, key="ann")
        clicks.send("first", key="bob")
        settled = deployment.settle()
        assert sorted(info.key for info in counts.list()) == [
            "ann/first",
            "ann/flaky",
            "ann/flaky/tried",
            "ann/last",
            "bob/first",
        ]
        assert [one.attempt for one in settled.failures] == [1]
        assert settled.delivered == 5
        known = counts.read("ann/flaky").decode()
        assert known == ("clicks None" if deployment.artifact.target == "aws" else "clicks 2")
        [letter] = lost.receive()
        assert (letter.body["text"], letter.body["error"], letter.body["key"]) == ('"robot"', "a robot", "ann")


def test_an_event_of_its_own(deployment: Deployment) -> None:
    batch = [
        StreamRecord("clicks", "0", str(number), body, "eve") for number, body in ((1, b"1"), (2, b"no"), (3, b"3"))
    ]
    assert deployment.deliver("count", batch).failed == []  # the misfit is among the dead letters
