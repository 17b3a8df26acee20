"""Processes that write one local table at once and are killed with SIGKILL: what was acknowledged is there, no
transaction is torn, no sum is lost, and the index and the log of changes say what the items say.
"""

import os
import random
import subprocess
import sys
import time

import pytest

from portable import Table
from portable.resources import use_platform
from portable_local.platform import LocalPlatform

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

KILLS = 12

# It prints a line when an operation is acknowledged, and not before.
WRITER = """
import os, sys
from portable import Table
from portable.resources import set_platform
from portable_local.platform import LocalPlatform

set_platform(LocalPlatform({"PORTABLE_LOCAL_STATE": sys.argv[1]}))
table, mine, n = Table("items", key="id", indexes={"by-owner": "owner"}), sys.argv[2], int(sys.argv[3])
while True:
    n += 1
    with table.transaction() as change:
        change.update("left", add={mine: 1, "sum": 1})
        change.update("right", add={mine: 1, "sum": 1})
        change.put({"id": f"{mine}{n % 50}", "n": n, "owner": mine})
    os.write(1, f"{n}\\n".encode())
"""


@pytest.fixture
def table(tmp_path):
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(tmp_path)})
    with use_platform(platform):
        table = Table("items", key="id", indexes={"by-owner": "owner"})
        table.put({"id": "left"})
        table.put({"id": "right"})
        yield table
    platform.close()


def run_and_kill(folder, writer, first, moment):
    """The number of the last operation that was acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), writer, str(first)], stdout=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    assert line, "the writer did not begin"
    time.sleep(moment)
    process.kill()
    lines = [line, *process.stdout]
    process.stdout.close()
    process.wait()
    return int([one for one in lines if one.endswith("\n")][-1])


def follow(table):
    """What the log of changes says the items are, and how many changes there were."""
    driver, items, seen = table.driver(), {}, 0
    while changes := driver.changes(seen, 1000):
        for change in changes:
            key = (change.new or change.old)["id"]
            assert items.get(key) == change.old
            items[key] = change.new
            seen = change.number
    return items


def test_kills_lose_nothing_and_tear_nothing(table, tmp_path):
    seed = int(os.environ.get("PORTABLE_TEST_SEED") or time.time_ns())
    moments = random.Random(seed)
    done = {"a": 0, "b": 0}
    for kill in range(KILLS):
        # The other writes meanwhile, so that locks are held when one is killed.
        beside = "b" if kill % 2 else "a"
        writer = "a" if kill % 2 else "b"
        other = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), beside, str(done[beside])], stdout=subprocess.PIPE, text=True
        )
        done[writer] = run_and_kill(tmp_path, writer, done[writer], moments.random() / 10)
        other.kill()
        lines = [one for one in other.stdout if one.endswith("\n")]
        other.stdout.close()
        other.wait()
        done[beside] = int(lines[-1]) if lines else done[beside]
        left, right = table.get("left"), table.get("right")
        assert {**left, "id": ""} == {**right, "id": ""}
        for name in done:
            made = left.get(name, 0)
            # The last one may have been made without a chance to say so.
            assert made >= done[name], f"seed {seed}: {name} lost {done[name] - made}"
            done[name] = made
        assert left.get("sum", 0) == sum(done.values())
    items = {item["id"]: item for item in table.scan()}
    assert follow(table) == items
    for name, number in done.items():
        owned = list(table.query(name, index="by-owner"))
        assert {item["id"] for item in owned} == {one for one in items if one.startswith(name)}
        assert len(owned) == min(number, 50)
        assert max(item["n"] for item in owned) == number
