"""A durable queue on this machine, publish + claim + acknowledge: `python benchmarks/local_queue.py [--backlog]`.

The local driver beside SQLite with the same promises written by hand (`raw`), and three queues from the index. Each
contender runs in a process of its own; they take turns, round by round. The figure is the least of the rounds: CPU a
message without waiting for the disk, which an fsync is made of (`normal`), and with it by the clock (`full`).
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

BATCHES = (1, 10, 100)
BACKLOGS = (0, 1_000, 10_000, 100_000)
MESSAGES = {"normal": 300, "full": 200}  # short rounds, of which some find the machine quiet
CHILD = r"""
import sys, time
name, durability, folder = sys.argv[1:]
BODY = '{"id":7,"email":"ann@example.com","text":"' + "x" * 60 + '"}'

def raw():
    import sqlite3
    db = sqlite3.connect(folder + "/raw.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = " + durability)
    db.execute("CREATE TABLE q (id INTEGER PRIMARY KEY AUTOINCREMENT, due INTEGER, attempt INTEGER, body TEXT)")
    db.execute("CREATE INDEX q_due ON q (due)")
    insert = "INSERT INTO q (due, attempt, body) VALUES (?, 0, ?)"
    claim = ("UPDATE q SET due = ?, attempt = attempt + 1 WHERE id IN (SELECT id FROM q WHERE due <= ? ORDER BY due "
             "LIMIT ?) RETURNING id, attempt, body")
    def one(batch):
        if batch == 1:
            now = time.time_ns() // 1000
            db.execute(insert, (now, BODY))
            [(id, attempt, body)] = db.execute(claim, (now + 30_000_000, now, 1)).fetchall()
            db.execute("DELETE FROM q WHERE id = ? AND attempt = ?", (id, attempt))
            return
        now = time.time_ns() // 1000
        db.execute("BEGIN IMMEDIATE")
        db.executemany(insert, [(now, BODY)] * batch)
        db.execute("COMMIT")
        rows = db.execute(claim, (now + 30_000_000, now, batch)).fetchall()
        assert len(rows) == batch
        db.execute("BEGIN IMMEDIATE")
        db.executemany("DELETE FROM q WHERE id = ? AND attempt = ?", [row[:2] for row in rows])
        db.execute("COMMIT")
    def fill(count):
        now = time.time_ns() // 1000
        db.execute("BEGIN IMMEDIATE")
        db.executemany(insert, [(now, BODY)] * count)
        db.execute("COMMIT")
    return one, fill

def driver():
    from datetime import timedelta
    from pathlib import Path
    from portable_local.queue import LocalQueue
    queue = LocalQueue("q", Path(folder), 5, durability)
    zero, lease = timedelta(0), timedelta(seconds=30)
    def one(batch):
        if batch == 1:
            queue.send(BODY, attributes={}, delay=None, group=None, dedup=None)
            [received] = queue.receive(1, zero, lease)
            queue.acknowledge(received)
            return
        queue.send_many([BODY] * batch)
        received = queue.receive(batch, zero, lease)
        assert len(received) == batch
        queue.acknowledge_many(received)
    def fill(count):
        queue.send_many([BODY] * count)
    return one, fill

def portable():
    import json
    from portable import Queue
    from portable.resources import set_platform
    from portable_local.platform import LocalPlatform
    set_platform(LocalPlatform({"PORTABLE_LOCAL_STATE": folder, "PORTABLE_LOCAL_DURABILITY": durability}))
    queue, body = Queue("emails"), json.loads(BODY)
    def one(batch):
        if batch == 1:
            queue.send(body)
        else:
            queue.send_many([body] * batch)
        deliveries = queue.receive(batch)
        assert len(deliveries) == batch
        for delivery in deliveries:
            delivery.body
        if batch == 1:
            deliveries[0].ack()
        else:
            queue.ack_many(deliveries)
    def fill(count):
        queue.send_many([body] * count)
    return one, fill

def huey():
    from huey.storage import SqliteStorage
    storage = SqliteStorage("q", folder + "/huey.db", fsync=durability == "full")
    data = BODY.encode()
    def one(batch):
        for _ in range(batch):
            storage.enqueue(data)
        for _ in range(batch):
            assert storage.dequeue() is not None
    def fill(count):
        for _ in range(count):
            storage.enqueue(data)
    return one, fill

def persist_queue():
    from persistqueue import SQLiteAckQueue
    queue = SQLiteAckQueue(folder, auto_commit=True)
    def one(batch):
        for _ in range(batch):
            queue.put(BODY)
        for _ in range(batch):
            queue.ack(id=queue.get(block=False, raw=True)["pqid"])
    def fill(count):
        for _ in range(count):
            queue.put(BODY)
    return one, fill

def litequeue():
    from litequeue import LiteQueue
    queue = LiteQueue(folder + "/lite.db")
    def one(batch):
        for _ in range(batch):
            queue.put(BODY)
        for _ in range(batch):
            queue.done(queue.pop().message_id)
    def fill(count):
        for _ in range(count):
            queue.put(BODY)
    return one, fill

one, fill = globals()[name]()
one(1)
print("ready", flush=True)
for line in sys.stdin:
    what, batch, count = line.split()
    if what == "fill":
        fill(int(count))
        print("0 0", flush=True)
        continue
    batch, rounds = int(batch), int(count) // int(batch)
    clock, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        one(batch)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    print(cpu / rounds / batch * 1e6, clock / rounds / batch * 1e6, flush=True)
"""

ALL = ("raw", "driver", "portable", "huey", "persist_queue", "litequeue")


class Contender:
    """A process that does what it is told."""

    def __init__(self, name: str, durability: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        command = [sys.executable, "-c", CHILD, name, durability, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n", f"{name} did not start"

    def tell(self, what: str, batch: int, count: int) -> tuple[float, float]:
        """CPU and clock, microseconds a message."""
        self._process.stdin.write(f"{what} {batch} {count}\n")
        self._process.stdin.flush()
        cpu, clock = map(float, self._process.stdout.readline().split())
        return cpu, clock

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)


def measure(durability: str, names: tuple[str, ...], rounds: int, scratch: Path) -> None:
    """One table: contenders by batches."""
    figure = 1 if durability == "full" else 0  # an fsync is waited for, not computed
    running = {name: Contender(name, durability, scratch / durability / name) for name in names}
    best: dict[tuple[str, int], float] = {}
    for _ in range(rounds):
        for batch in BATCHES:
            for name, contender in running.items():
                spent = contender.tell("work", batch, MESSAGES[durability])[figure]
                best[name, batch] = min(spent, best.get((name, batch), spent))
    for contender in running.values():
        contender.end()
    what = "µs by the clock" if figure else "µs of CPU"
    print(f"\n{durability}: {what} a message (ratio to raw), least of {rounds} rounds\n")
    print("| | one at a time | ten | a hundred |\n| --- | --- | --- | --- |")
    for name in names:
        cells = [f" {best[name, batch]:.1f} ({best[name, batch] / best['raw', batch]:.2f}) |" for batch in BATCHES]
        print(f"| {name.replace('_', '-')} |" + "".join(cells))


def measure_backlog(names: tuple[str, ...], rounds: int, scratch: Path) -> None:
    """One table: what a message costs behind others."""
    running = {name: Contender(name, "normal", scratch / "backlog" / name) for name in names}
    best: dict[tuple[str, int], float] = {}
    before = 0
    for backlog in BACKLOGS:
        for contender in running.values():
            contender.tell("fill", 0, backlog - before)
        before = backlog
        for _ in range(rounds):
            for name, contender in running.items():
                count = 10 if name == "litequeue" and backlog else 300
                spent = contender.tell("work", 1, count)[0]
                best[name, backlog] = min(spent, best.get((name, backlog), spent))
    for contender in running.values():
        contender.end()
    print(f"\nbehind a backlog: µs of CPU a message, one at a time (ratio to raw), least of {rounds} rounds\n")
    print("| |" + "".join(f" {backlog:,} |" for backlog in BACKLOGS) + "\n| --- |" + " --- |" * len(BACKLOGS))
    for name in names:
        cells = [f" {best[name, one]:.1f} ({best[name, one] / best['raw', one]:.2f}) |" for one in BACKLOGS]
        print(f"| {name.replace('_', '-')} |" + "".join(cells))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--backlog", action="store_true", help="what a message costs behind others, too")
    options = arguments.parse_args()
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory() as scratch:
        measure("normal", ALL, options.rounds, Path(scratch))
        measure("full", ("raw", "driver", "portable", "huey"), options.rounds, Path(scratch))
        if options.backlog:
            measure_backlog(ALL, options.rounds, Path(scratch))


if __name__ == "__main__":
    main()
