"""Processes killed with SIGKILL at random moments: what was acknowledged is there, whole, and nothing else stays.

A failed test shows the seed of its moments; PORTABLE_TEST_SEED=… takes the same ones again.
"""

import inspect
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from portable import Bucket, Queue
from portable.resources import use_platform
from portable_local import bucket as bucket_module
from portable_local.bucket import LocalBucket
from portable_local.platform import LocalPlatform
from portable_local.queue import LocalQueue

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

KILLS = 20
MANY_KILLS = 200

# Each prints a line when an operation is acknowledged, and not before.
WRITER = """
import os, sys
from pathlib import Path
from portable_local.bucket import LocalBucket

bucket, mine, n = LocalBucket("b", Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
while True:
    n += 1
    key = f"{mine}/{n % 3}"
    if n % 7 == 0:
        bucket.delete(key)
    else:
        data = str(n % 10).encode() * (n % 5 * 20_000 + 1)
        bucket.write(key, data, content_type="text/plain", metadata={"n": str(n)}, if_absent=False, if_match=None)
    os.write(1, f"{key} {n}\\n".encode())
"""

PRODUCER = """
import os, sys
from pathlib import Path
from portable_local.queue import LocalQueue

queue, n = LocalQueue("q", Path(sys.argv[1]), 1000), int(sys.argv[3])
while True:
    n += 1
    if n % 4:
        queue.send(f'"{sys.argv[2]} {n}"', attributes={"n": str(n)}, delay=None, group=None, dedup=None)
        os.write(1, f"{sys.argv[2]} {n}\\n".encode())
    else:
        assert queue.send_many([f'"{sys.argv[2]} {n} {i}"' for i in range(3)]) == []
        os.write(1, "".join(f"{sys.argv[2]} {n} {i}\\n" for i in range(3)).encode())
"""

CONSUMER = """
import json, os, sys
from datetime import timedelta
from pathlib import Path
from portable_local.queue import LocalQueue

queue = LocalQueue("q", Path(sys.argv[1]), 1000)
while True:
    for received in queue.receive(3, timedelta(seconds=1), timedelta(milliseconds=300)):
        os.write(1, json.loads(received.body).encode() + b"\\n")
        if received.attempt % 3 == 1 and len(received.id) % 2:
            queue.retry(received, timedelta(milliseconds=20))
        else:
            queue.acknowledge(received)
"""


def data_of(key):
    """What a key's blob holds: from the key alone, so that a torn one shows. One in sixteen is large."""
    import hashlib

    digest = hashlib.sha256(key.encode()).digest()
    return digest * (digest[0] + 1 if digest[1] % 16 else 4096)


# The two ends of an app, as a user writes them: one stores a blob and sends its key, the other stores what comes of it.
APP = f"""
import os, sys, time
from datetime import timedelta
from portable import Bucket, Queue
from portable.resources import set_platform
from portable_local.platform import LocalPlatform

set_platform(LocalPlatform({{"PORTABLE_LOCAL_STATE": sys.argv[1]}}))
photos, work = Bucket("photos"), Queue("work", str, max_attempts=1000)

def say(line):
    os.write(1, line.encode() + b"\\n")

{inspect.getsource(data_of)}
"""
APP_WRITER = (
    APP
    + """
n = int(sys.argv[3])
while True:
    n += 1
    key = f"in/{sys.argv[2]}/{n}"
    photos.write(key, data_of(key))
    say(f"written {key}")
    work.send(key)
    say(f"sent {key}")
    time.sleep(0.001)
"""
)
APP_WORKER = (
    APP
    + """
say("ready")
while True:
    for delivery in work.receive(5, wait=timedelta(seconds=1), lease=timedelta(milliseconds=400)):
        data = photos.read(delivery.body)
        assert data == data_of(delivery.body), "torn"
        photos.write(delivery.body.replace("in/", "out/", 1), data[::-1])
        delivery.ack()
        say(f"done {delivery.body}")
"""
)


@pytest.fixture(autouse=True)
def seed():
    """The random moments of a test, named in what it prints."""
    chosen = int(os.environ.get("PORTABLE_TEST_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"PORTABLE_TEST_SEED={chosen}\n")
    random.seed(chosen)
    return chosen


class Victim:
    """A process of ``script``, started anew each time it is killed. ``lives``: the lines each life printed."""

    def __init__(self, script, folder, name):
        self._command = [sys.executable, "-c", script, str(folder), name]
        self._folder = folder
        self._name = name
        self.lives = []
        self._start()

    @property
    def lines(self):
        return [line for life in self.lives for line in life]

    def _start(self):
        life = len(self.lives) + 1
        self._output = self._folder.parent / f"{self._name}-{life}"
        with self._output.open("wb") as output:
            # A life counts on from far beyond the last one, so that no two operations are alike.
            command = [*self._command, str(life * 1_000_000)]
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE)

    def kill(self, again=True):
        limit = time.monotonic() + 30
        while not self._output.stat().st_size and self.process.poll() is None and time.monotonic() < limit:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.06))
        assert self.process.poll() is None, self.process.stderr.read().decode()
        self.process.kill()
        self.process.communicate()
        self.lives.append(self._output.read_text().splitlines())
        if again:
            self._start()


def _killed(victims, kills):
    for _ in range(kills):
        random.choice(victims).kill()
    for victim in victims:
        victim.kill(again=False)
    return victims


def _assert_sound(file):
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.slow)])
def test_writers(tmp_path, monkeypatch, kills):
    folder = tmp_path / "bucket"
    folder.mkdir()
    victims = _killed([Victim(WRITER, folder, name) for name in ("x", "y")], kills)
    _assert_sound(folder / "index.sqlite")
    monkeypatch.setattr(bucket_module, "_SURE_AFTER", -60.0)
    bucket = LocalBucket("b", folder)
    rows = {row.key: row for row in bucket.list("", None)}
    for victim in victims:
        assert len(victim.lines) > kills // 2
        for key, allowed in _allowed(victim).items():
            found = int(rows[key].metadata["n"]) if key in rows else None
            assert found in allowed, key
            if found is not None:
                data = bucket.read(key, None, None)
                assert data == str(found % 10).encode() * (found % 5 * 20_000 + 1)
                assert rows[key].size == len(data)
    # Nothing is left of what was cut short, and nothing is missing of what was not.
    assert len(list((folder / "blobs").iterdir())) == len(rows)
    assert list((folder / "unsure").iterdir()) == []
    bucket.close()


def _allowed(victim):
    """By key, which write may be the current one (None: deleted): the last acknowledged, or one cut short after it."""
    allowed = {}
    for life in victim.lives:
        for line in life:
            key, n = line.split()
            allowed[key] = {None if int(n) % 7 == 0 else int(n)}
        cut_short = int(life[-1].split()[1]) + 1
        key = f"{life[-1].partition('/')[0]}/{cut_short % 3}"
        allowed.setdefault(key, {None}).add(None if cut_short % 7 == 0 else cut_short)
    return allowed


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.slow)])
def test_producers_and_consumers(tmp_path, kills):
    folder = tmp_path / "queue"
    folder.mkdir()
    producers = [Victim(PRODUCER, folder, name) for name in ("p", "q")]
    consumers = [Victim(CONSUMER, folder, name) for name in ("c", "d")]
    _killed(producers + consumers, kills)
    _assert_sound(folder / "messages.sqlite")
    accepted = {line for victim in producers for line in victim.lines}
    handled = {line for victim in consumers for line in victim.lines}
    assert len(accepted) > kills
    assert handled
    queue = LocalQueue("q", folder, 1000)
    left = set()
    time.sleep(0.4)  # the leases of those killed
    while batch := queue.receive(500, timedelta(0), timedelta(seconds=60)):
        left |= {received.body.strip('"') for received in batch}
    assert accepted <= handled | left
    assert queue.dead_letters(1) == []
    queue.close()


def _is_whole(bucket, key):
    data = data_of(key.replace("out/", "in/", 1))
    return bucket.read(key) == (data[::-1] if key.startswith("out/") else data)


class Onlooker(threading.Thread):
    """Reads what there is while others write: a blob is there whole, or not at all."""

    def __init__(self, platform):
        super().__init__()
        self._platform = platform
        self._end = threading.Event()
        self.seen = 0
        self.torn = []

    def run(self):
        with use_platform(self._platform):
            photos = Bucket("photos")
            while not self._end.wait(0.2):
                keys = [row.key for row in photos.list()]
                for key in random.Random(len(keys)).sample(keys, min(50, len(keys))):
                    self.seen += 1
                    if not _is_whole(photos, key):
                        self.torn.append(key)

    def stop(self):
        self._end.set()
        self.join()


def _drain(work, photos):
    """Do what the killed workers did not come to, until nothing is left: a message that is stuck would never come."""
    while work.depth():
        for delivery in work.receive(100, wait=timedelta(seconds=1)):
            photos.write(delivery.body.replace("in/", "out/", 1), photos.read(delivery.body)[::-1])
            delivery.ack()


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.slow)])
def test_a_writer_and_a_worker_under_load(tmp_path, kills):
    state = tmp_path / "state"
    state.mkdir()
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(state)})
    onlooker = Onlooker(platform)
    onlooker.start()
    writers = [Victim(APP_WRITER, state, name) for name in ("v", "w")]
    workers = [Victim(APP_WORKER, state, name) for name in ("m", "n")]
    _killed(writers + workers, kills)
    onlooker.stop()
    assert onlooker.seen > kills
    assert onlooker.torn == []
    written, sent = (
        {line[len(word) :] for one in writers for line in one.lines if line.startswith(word)}
        for word in ("written ", "sent ")
    )
    done = {line[5:] for one in workers for line in one.lines if line.startswith("done ")}
    assert len(sent) > kills
    assert len(done) > kills // 4
    with use_platform(platform):
        photos, work = Bucket("photos"), Queue("work", str, max_attempts=1000)
        time.sleep(0.5)  # the leases of those killed
        _drain(work, photos)
        there = {row.key for row in photos.list()}
        assert written <= there
        assert {key.replace("in/", "out/", 1) for key in sent | done} <= there
        assert [key for key in there if not _is_whole(photos, key)] == []
        assert work.dead_letters() == []
    platform.close()
    _assert_sound(state / "buckets" / "photos" / "index.sqlite")
    _assert_sound(state / "queues" / "work" / "messages.sqlite")
