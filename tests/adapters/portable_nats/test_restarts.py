"""Nothing is lost when the server is killed again and again while messages and blobs are written and worked on."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portable import Bucket, PreconditionFailedError, Queue, UnavailableError
from portable.resources import use_platform
from portable.run.processes import LOOPBACK, accepts, free_port
from portable_nats._sdk import JetStreamError
from portable_nats.platform import NATSPlatform
from portable_nats.provision import provision

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 15
WRITERS = 3
WORKERS = 2
SIZE = 300_000  # two chunks
WAITING = 300  # messages: writers wait while so many were accepted and not done, so that the end is never far off
STUCK_SECONDS = 60  # without one more done: a message on its way to a worker that is gone comes again after 30


class Killed:
    """A server that is killed and started again, on the same port and the same files."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self._command = [program, "-a", LOOPBACK, "-p", str(self.port), "-js", "-sd", folder]
        self._log = (folder.parent / "server.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=subprocess.STDOUT)
        while not accepts(self.port):
            assert self._process.poll() is None, "the server does not start again"
            time.sleep(0.01)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it with everything in its files."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, how)
        self._process.wait()


@pytest.fixture
def server(require_part: Callable[..., Any], tmp_path: Path) -> Iterator[Killed]:
    server = Killed(require_part("nats-server").path, tmp_path / "state")
    server.start()
    yield server
    server.kill()
    server._log.close()


class Load:
    """Writers and workers, and what they were told."""

    def __init__(self, queue: Queue[Any], bucket: Bucket) -> None:
        self.queue, self.bucket = queue, bucket
        self.over, self.drained = threading.Event(), threading.Event()
        self.accepted: set[str] = set()
        self.written: dict[str, bytes] = {}
        self.done: Counter[str] = Counter()
        self.adds = Counter[int]()
        self.failures: list[BaseException] = []
        self._lock = threading.Lock()

    def send(self, position: int) -> None:
        number = 0
        while not self.over.is_set():
            if len(self.accepted) - len(self.done) > WAITING:
                time.sleep(0.05)
                continue
            body = f"{position}-{number}"
            number += 1
            with contextlib.suppress(UnavailableError):  # then it may be there or not
                self.queue.send(
                    body,
                    delay=timedelta(seconds=1) if number % 10 == 0 and not self.queue.options.get("ordered") else None,
                )
                with self._lock:
                    self.accepted.add(body)

    def write(self, position: int) -> None:
        number = 0
        while not self.over.is_set():
            key, data = f"{position}/{number % 7}", f"{position}-{number}|".encode().ljust(SIZE, b"x")
            number += 1
            try:
                self.bucket.write(key, data)
            except UnavailableError:
                self.written.pop(key, None)  # the old blob or the new one
            else:
                self.written[key] = data

    def count(self, position: int) -> None:
        """Add to a number that all of them share, each time under the condition that nobody else did."""
        while not self.over.is_set():
            with contextlib.suppress(UnavailableError, PreconditionFailedError):
                etag = self.bucket.stat("count").etag
                value = int(self.bucket.read("count", if_match=etag))
                self.bucket.write("count", str(value + 1), if_match=etag)
                self.adds[position] += 1

    def work(self, position: int) -> None:
        driver = self.queue.driver()
        chance = random.Random(position)
        while not self.drained.is_set():
            with contextlib.suppress(UnavailableError):
                for received in driver.receive(10, timedelta(seconds=1), timedelta(seconds=5)):
                    if received.attempt == 1 and chance.random() < 0.1:
                        driver.retry(received, None)
                        continue
                    with self._lock:
                        self.done[self.queue.decode(received.body)] += 1
                    driver.acknowledge(received)

    def run(self, platform: NATSPlatform, call: Callable[[int], None], position: int) -> None:
        with use_platform(platform):
            try:
                call(position)
            except BaseException as error:
                self.failures.append(error)


def left_in_the_stream(queue: Queue[Any]) -> Iterator[str]:
    """Bodies of what lies there still: a killed server may keep what was acknowledged, and nothing else."""
    driver = queue.driver()
    number = 1
    while True:
        question = {"seq": number, "next_by_subj": "portable.queue.jobs"}
        try:
            message = driver.link.call(driver._calls.server.api("STREAM.MSG.GET.jobs", question))["message"]
        except JetStreamError:
            return
        yield queue.decode(base64.b64decode(message["data"]))
        number = message["seq"] + 1


@pytest.mark.parametrize("ordered", [False, True])
def test_nothing_is_lost_when_the_server_is_killed(server: Killed, ordered: bool) -> None:
    environment = {
        "NATS_URL": f"nats://{LOOPBACK}:{server.port}",
        "PORTABLE_QUEUE_JOBS": "jobs",
        "PORTABLE_DEADLETTER_JOBS": "jobs-dead",
    }
    environment["PORTABLE_BUCKET_FILES"] = "files"
    queue: Queue[Any] = Queue("jobs", max_attempts=1000, ordered=ordered)
    bucket = Bucket("files")
    provision([queue, bucket], environment)
    platform = NATSPlatform(environment)
    load = Load(queue, bucket)
    with contextlib.closing(platform), use_platform(platform):
        bucket.write("count", "0")
        calls = [load.send] * WRITERS + [load.write] * WRITERS + [load.count] * 2 + [load.work] * WORKERS
        threads = [
            threading.Thread(target=load.run, args=(platform, call, position)) for position, call in enumerate(calls)
        ]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            time.sleep(random.uniform(0.3, 1.5))
            server.kill()
            time.sleep(random.uniform(0.0, 0.3))
            server.start()
        load.over.set()
        for thread in threads[:-WORKERS]:
            thread.join(60)
        done, limit = 0, time.monotonic() + STUCK_SECONDS
        while (load.accepted | set(left_in_the_stream(queue))) - load.done.keys() and time.monotonic() < limit:
            if len(load.done) > done:
                done, limit = len(load.done), time.monotonic() + STUCK_SECONDS
            time.sleep(0.5)
        load.drained.set()
        for thread in threads:
            thread.join(60)
        assert not load.failures
        assert load.accepted - load.done.keys() == set()
        assert set(left_in_the_stream(queue)) - load.done.keys() == set()  # none is stuck
        assert queue.driver().dead_letters(10) == []
        for key, data in load.written.items():
            assert bucket.read(key) == data
        for row in bucket.list():  # what was not acknowledged is whole too
            data = bucket.read(row.key)
            assert row.key == "count" or (len(data) == SIZE and data.endswith(b"x"))
        assert int(bucket.read("count")) >= sum(load.adds.values())
    # The load was one: every kind of call went through many times, between the kills and across them.
    assert len(load.accepted) > 100
    assert len(load.written) > 5
    assert sum(load.adds.values()) > 10


@pytest.fixture
def places(server: Killed) -> dict[str, str]:
    return {"NATS_URL": f"nats://{LOOPBACK}:{server.port}", "PORTABLE_QUEUE_JOBS": "jobs"}


@pytest.fixture
def jobs(places: dict[str, str]) -> Iterator[Queue[Any]]:
    """An ordered queue with three messages."""
    queue: Queue[Any] = Queue("jobs", ordered=True)
    provision([queue], places)
    platform = NATSPlatform(places)
    with contextlib.closing(platform), use_platform(platform):
        for body in ("first", "second", "third"):
            queue.send(body)
        yield queue


def about(queue: Queue[Any]) -> Any:
    driver = queue.driver()
    return driver.link.call(driver._calls.server.api("CONSUMER.INFO.jobs.workers"))


def test_an_acknowledged_message_that_a_killed_server_waits_for_holds_nothing_back(
    server: Killed, places: dict[str, str], jobs: Queue[Any]
) -> None:
    """The files as a kill can leave them: the second is gone, the first was kept, and the consumer's state is from when
    the second was under way.
    """
    moment, lease = timedelta(seconds=0.3), timedelta(minutes=5)
    state, before, under_way = server.folder, server.folder.with_name("before"), server.folder.with_name("under-way")
    consumer = Path("jetstream/$G/streams/jobs/obs/workers/o.dat")
    server.stop()
    shutil.copytree(state, before)
    server.start()
    driver = jobs.driver()
    driver.acknowledge(*driver.receive(1, moment, lease))
    assert [received.id for received in driver.receive(1, moment, lease)] == ["2"]
    server.stop()
    shutil.copy(state / consumer, under_way)
    shutil.rmtree(state)
    shutil.copytree(before, state)
    server.start()
    driver.link.call(driver._calls.server.api("STREAM.MSG.DELETE.jobs", {"seq": 2}))
    server.stop()
    shutil.copy(under_way, state / consumer)
    server.start()
    found = about(jobs)
    assert (found["num_ack_pending"], found["num_pending"], found["delivered"]["stream_seq"]) == (1, 1, 2)

    platforms = [NATSPlatform(places) for _ in range(4)]  # workers that notice it at once
    taken: list[str] = []
    waiting = threading.Barrier(len(platforms))

    def work(platform: NATSPlatform) -> None:
        with use_platform(platform):
            waiting.wait()
            while len(taken) < 2 and time.monotonic() < limit:
                for received in jobs.driver().receive(1, moment, lease):
                    taken.append(jobs.decode(received.body))
                    jobs.driver().acknowledge(received)

    limit = time.monotonic() + STUCK_SECONDS
    jobs.send("fourth")
    threads = [threading.Thread(target=work, args=(platform,)) for platform in platforms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * STUCK_SECONDS)
    for platform in platforms:
        platform.close()
    assert taken == ["third", "fourth"]
    assert about(jobs)["num_ack_pending"] == 0


def test_a_message_that_is_worked_on_still_holds_back_the_next(jobs: Queue[Any]) -> None:
    driver = jobs.driver()
    (first,) = driver.receive(1, timedelta(seconds=1), timedelta(minutes=5))
    for _ in range(2):
        assert driver.receive(1, timedelta(seconds=0.3), timedelta(minutes=5)) == []
    assert about(jobs)["num_ack_pending"] == 1
    driver.acknowledge(first)
    assert [
        jobs.decode(received.body) for received in driver.receive(1, timedelta(seconds=1), timedelta(minutes=5))
    ] == ["second"]
