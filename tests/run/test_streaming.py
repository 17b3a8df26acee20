"""Streamed answers and work after the answer, over real HTTP: the same app under each target's own parts."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portable.build.project import find_project
from portable.run.building import build_to_run
from portable.run.deployment import deployed
from portable.run.front import front

PROJECT = Path(__file__).parent / "streaming"
LIMIT = 60.0


class Served:
    """The app served by one target, and the folder its handlers look for gates in and write notes to."""

    def __init__(self, target: str, address: str, folder: Path, log: Callable[[], str], process: Any = None) -> None:
        self.target = target
        self.process = process
        self.host, _, port = address.removeprefix("http://").partition(":")
        self.port = int(port)
        self.folder = folder
        self.log = log

    @contextlib.contextmanager
    def ask(self, path: str, method: str = "GET") -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=LIMIT)
        try:
            connection.request(method, path)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def open(self, gate: str) -> None:
        (self.folder / f"gate-{gate}").touch()

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def made(self) -> int:
        path = self.folder / "made"
        return int(path.read_text() or 0) if path.exists() else 0

    def wait_for_note(self, line: str) -> None:
        limit = time.monotonic() + LIMIT
        while line not in self.notes():
            assert time.monotonic() < limit, f"no {line!r} among {self.notes()}"
            time.sleep(0.02)


@contextlib.contextmanager
def artifact_of(target: str, tmp: Path) -> Iterator[Served]:
    project = shutil.copytree(PROJECT, tmp / "project")
    if target == "azure":
        _as_azure_has_it(project / "app.py")
    folder = tmp / "notes"
    folder.mkdir()
    artifact = build_to_run(find_project(project), target, tmp / "dist" / target)
    log = tmp / "functions.log"
    with (
        deployed(artifact, log=log, addresses={"STREAMING_FOLDER": str(folder)}) as deployment,
        front(deployment) as address,
    ):
        yield Served(target, address, folder, deployment.log)


def _as_azure_has_it(source: Path) -> None:
    """One function takes all requests, and nothing is done after an answer."""
    text = re.sub(r', function="[a-z-]+"', "", source.read_text())
    text = re.sub(r"@app.(post|get)\(\"/(after|late)/.*?(?=^@app|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    source.write_text(text)


@contextlib.contextmanager
def dev_server(tmp: Path) -> Iterator[Served]:
    project = shutil.copytree(PROJECT, tmp / "project")
    folder = tmp / "notes"
    folder.mkdir()
    log = tmp / "dev.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTABLE_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "portable.cli", "dev", "--port", "0"],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment | {"STREAMING_FOLDER": str(folder)},
        )
    try:
        limit = time.monotonic() + LIMIT
        while (banner := re.search(r"app +(http://\S+)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.05)
        yield Served("dev", banner.group(1).rstrip("/"), folder, log.read_text, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


NEEDS = {"aws": ("aws-lambda-rie",), "azure": ("azure-functions-runtime", "3.13")}


@pytest.fixture(scope="module", params=["dev", "gcp", "aws", "azure"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require_part: Any
) -> Iterator[Served]:
    if request.param in NEEDS:
        require_part(*NEEDS[request.param])
    tmp = tmp_path_factory.mktemp(request.param)
    with dev_server(tmp) if request.param == "dev" else artifact_of(request.param, tmp) as found:
        yield found


def test_a_piece_arrives_before_the_next_is_made(served: Served) -> None:
    with served.ask("/sync/one") as answer:
        assert answer.readline() == b"GET http one\n"
        assert (answer.status, answer.getheader("x-one"), answer.getheader("content-type")) == (201, "1", "text/plain")
        assert answer.msg.get_all("set-cookie") == ["a=1", "b=2"]
        assert "closed one" not in served.notes()
        served.open("one")
        assert answer.read() == b"second\n"
    served.wait_for_note("closed one")


def test_events_arrive_as_they_are_sent(served: Served) -> None:
    with served.ask("/async/two") as answer:
        assert json.loads(answer.readline().removeprefix(b"data: ")) == {"word": "two", "function": "http"}
        assert answer.getheader("content-type") == "text/event-stream"
        assert answer.getheader("cache-control") == "no-cache"
        served.open("two")
        assert answer.read() == b"\nevent: end\nid: 2\ndata: two\ndata: lines\n\n"
    served.wait_for_note("closed two")


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_mounted_applications_pieces_arrive_as_it_makes_them(served: Served, kind: str) -> None:
    with served.ask(f"/mounted/{kind}/{kind}") as answer:
        assert answer.readline() == b"mounted\n"
        assert (answer.status, answer.getheader("content-type")) == (202, "text/plain")
        assert f"closed {kind}" not in served.notes()
        served.open(kind)
        assert answer.read() == b"second\n"
    served.wait_for_note(f"closed {kind}")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_answer_that_fails_midway_has_no_good_end(served: Served, kind: str) -> None:
    with served.ask(f"/broken/{kind}") as answer:
        assert answer.readline() == b"first\n"
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    limit = time.monotonic() + LIMIT
    while "the source failed midway" not in served.log():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_slow_reader_holds_the_body_back_and_one_that_leaves_closes_it(served: Served, kind: str) -> None:
    (served.folder / "made").unlink(missing_ok=True)
    with served.ask(f"/endless/{kind}") as answer:
        assert len(answer.read(2**20)) == 2**20
        before = -1
        while before != (before := served.made()):
            time.sleep(0.5)
        assert before < 200  # what fits the buffers between, not what could be made
        assert len(answer.read(2**20)) == 2**20
        assert f"closed {kind} endless" not in served.notes()
    if served.target != "aws":
        served.wait_for_note(f"closed {kind} endless")
        return
    limit = time.monotonic() + LIMIT
    while served.made() < before + 100:  # Lambda tells no function that its caller hung up
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("served", ["dev", "gcp", "aws"], indirect=True)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_answer_past_the_deadline_is_broken_off(served: Served, kind: str) -> None:
    with served.ask(f"/late/{kind}") as answer:
        assert answer.readline() == b"first\n"
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    served.wait_for_note(f"closed {kind} late")


def test_head_is_answered_without_the_body(served: Served) -> None:
    with served.ask("/sync/head", "HEAD") as answer:
        assert (answer.status, answer.getheader("x-one"), answer.read()) == (201, "1", b"")
    assert "closed head" not in served.notes()  # it was never begun


def test_routes_beside_it_answer_as_ever(served: Served) -> None:
    with served.ask("/plain") as answer:
        assert json.loads(answer.read()) == {"plain": "yes"}
        assert answer.getheader("content-type") == "application/json"
    with served.ask("/refused") as answer:
        assert (answer.status, json.loads(answer.read())["detail"]) == (418, "no stream today")
    with served.ask("/empty") as answer:
        assert (answer.status, answer.read()) == (200, b"")


def test_a_stream_that_was_not_declared_is_a_500_that_says_how_in_the_log(served: Served) -> None:
    with served.ask("/undeclared") as answer:
        assert answer.status == 500
        assert b"stream=True" not in answer.read()
    assert "@app.get('/undeclared', stream=True)" in served.log()


@pytest.mark.parametrize("served", ["dev", "gcp", "aws"], indirect=True)
def test_work_after_the_answer_waits_for_it_and_is_done_in_order(served: Served) -> None:
    with served.ask("/after/gate", "POST") as answer:
        assert json.loads(answer.read()) == {"left": "gate"}
    assert "during gate" not in served.notes()
    served.open("gate")
    served.wait_for_note("after gate http")
    assert [line for line in served.notes() if "gate" in line] == ["during gate", "after gate http"]


def test_an_open_event_stream_does_not_hold_up_the_end_of_the_dev_server(tmp_path: Path) -> None:
    with dev_server(tmp_path) as served, served.ask("/async/never") as answer:
        assert answer.readline().startswith(b"data: ")
        served.process.send_signal(signal.SIGINT)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        served.process.wait(LIMIT)
        assert served.notes() == ["closed never"]


def test_a_built_local_artifact_answers_when_all_is_there_and_done(tmp_path: Path) -> None:
    with artifact_of("local", tmp_path) as served:
        served.open("one")
        with served.ask("/sync/one") as answer:
            assert (answer.status, answer.getheader("x-one")) == (201, "1")
            assert answer.read() == b"GET http one\nsecond\n"
        with served.ask("/broken/async") as answer:
            assert answer.status == 502
        with served.ask("/after/one", "POST") as answer:
            assert json.loads(answer.read()) == {"left": "one"}
        assert served.notes() == ["closed one", "during one", "after one http"]
