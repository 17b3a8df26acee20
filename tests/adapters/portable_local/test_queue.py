"""What local queues do beyond what every queue does."""

import sqlite3
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from portable.errors import ConfigError, UnsupportedError
from portable_local import queue as queue_module
from portable_local.queue import LocalQueue

NOW = timedelta(0)
LONG = timedelta(seconds=60)


@pytest.fixture
def queue(tmp_path):
    queue = LocalQueue("emails", tmp_path, 2)
    yield queue
    queue.close()


def send(queue, body='"x"', delay=None):
    return queue.send(body, attributes={}, delay=delay, group=None, dedup=None)


def test_a_last_lease_that_ends_makes_a_dead_letter(queue):
    sent = send(queue)
    for _ in range(2):
        [received] = queue.receive(1, LONG, timedelta(milliseconds=10))
        time.sleep(0.02)
    assert (received.id, received.attempt) == (sent, 2)
    assert queue.receive(1, NOW, LONG) == []
    [letter] = queue.dead_letters(10)
    assert (letter.id, letter.attempt, letter.body) == (sent, 2, '"x"')


def test_a_late_word_changes_nothing(queue):
    send(queue)
    [first] = queue.receive(1, NOW, timedelta(milliseconds=1))
    time.sleep(0.005)
    [second] = queue.receive(1, NOW, LONG)
    queue.acknowledge(first)
    queue.retry(first, None)
    queue.acknowledge_many([first])
    assert queue.receive(1, NOW, LONG) == []
    queue.retry(second, None)  # the second is the last attempt
    assert [letter.attempt for letter in queue.dead_letters(10)] == [2]


def test_dead_letters_are_counted_and_moved_back(queue):
    for body in ('"a"', '"b"'):
        queue.dead_letter(body, {"colour": "red"})
    send(queue, '"c"', timedelta(hours=1))
    assert (queue.depth(), queue.dead_letter_count()) == (1, 2)
    assert queue.redrive() == 2
    assert (queue.depth(), queue.dead_letter_count()) == (3, 0)
    again = queue.receive(10, NOW, LONG)
    assert [(one.body, one.attempt, one.attributes) for one in again] == [
        ('"a"', 1, {"colour": "red"}),
        ('"b"', 1, {"colour": "red"}),
    ]
    assert queue.redrive() == 0


def test_those_who_wait_are_woken(queue):
    start = time.monotonic()
    send(queue, delay=timedelta(milliseconds=300))
    assert queue.receive(1, timedelta(seconds=10), LONG)
    assert 0.29 < time.monotonic() - start < 1


def test_a_claim_is_in_the_order_sent(queue):
    send(queue, "3", timedelta(milliseconds=20))
    send(queue, "1")
    send(queue, "2")
    time.sleep(0.03)
    assert [received.body for received in queue.receive(10, NOW, LONG)] == ["3", "1", "2"]


def test_a_body_that_is_too_large(queue, monkeypatch):
    monkeypatch.setattr(queue_module, "LARGEST_BODY", 100)
    send(queue, "x" * 100)
    with pytest.raises(UnsupportedError, match="at most 100 bytes"):
        send(queue, "é" * 51)
    assert [failure.index for failure in queue.send_many(["a", "é" * 51, "b"])] == [1]
    assert len(queue.receive(10, NOW, LONG)) == 3


def test_claims_do_not_grow_with_the_backlog(queue):
    """Counted in steps of SQLite's virtual machine, which repeat exactly."""

    def steps():
        count = 0

        def step():
            nonlocal count
            count += 1

        with queue._database.connection() as connection:
            connection.set_progress_handler(step, 1)
        assert len(queue.receive(10, NOW, LONG)) == 10
        with queue._database.connection() as connection:
            connection.set_progress_handler(None, 1)
        return count

    queue.send_many(["x"] * 100)
    few = steps()
    queue.send_many(["x"] * 20_000)
    queue.receive(10_000, NOW, LONG)
    assert steps() <= few * 1.1


TAKE = """
import sys
from datetime import timedelta
from pathlib import Path
from portable_local.queue import LocalQueue
queue = LocalQueue("q", Path(sys.argv[1]), 5)
while batch := queue.receive(7, timedelta(seconds=1), timedelta(seconds=60)):
    print(*(received.body for received in batch), sep="\\n")
    queue.acknowledge_many(batch)
"""


def test_claims_of_processes_never_overlap(queue, tmp_path):
    assert queue.send_many([str(n) for n in range(2000)]) == []
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    bodies = [body for process in processes for body in process.communicate(timeout=60)[0].split()]
    assert sorted(map(int, bodies)) == list(range(2000))


def test_a_file_of_another_version_is_named_and_left_alone(tmp_path) -> None:
    file = tmp_path / "messages.sqlite"
    with sqlite3.connect(file) as old:
        old.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        old.execute("INSERT INTO messages (body) VALUES ('kept')")
    old.close()
    before = file.read_bytes()
    queue = LocalQueue("q", tmp_path, 5)
    with pytest.raises(ConfigError, match=r"messages\.sqlite was made by another version of portable"):
        queue.send("{}", attributes={}, delay=None, group=None, dedup=None)
    assert file.read_bytes() == before
