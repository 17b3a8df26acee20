"""Messages through `portable dev`'s worker: `python benchmarks/dev_queue.py [--messages 100000] [--batch 10]`.

A real server of a real project; messages are sent while it works, as another process of the app would. Says how fast
they went, that none was lost, and what the server's processes held in memory at each tenth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from portable import Queue
from portable.resources import use_platform
from portable_local.platform import LocalPlatform

APP = """
import os

from portable import App, Message

app = App("load")
jobs = app.queue("jobs", int, max_attempts=1000)
seen = os.open("seen", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@app.on_message(jobs, batch_size={batch})
def take(messages: list[Message[int]]) -> None:
    os.write(seen, b"".join(b"%07d\\n" % message.body for message in messages))
"""
LINE = 8
CHUNK = 500
AHEAD = 5_000  # messages sent and not yet handled: a backlog, and no endless one


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=100_000)
    arguments.add_argument("--batch", type=int, default=10)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "app.py").write_text(APP.format(batch=options.batch))
        (root / "seen").touch()
        command = [sys.executable, "-m", "portable.cli", "dev", "--port", "0", "--no-reload"]
        with (root / "log").open("wb") as log:
            server = subprocess.Popen(command, cwd=root, stdout=log, stderr=log)
        try:
            _work(root, server, options.messages)
        finally:
            server.terminate()
            server.wait(timeout=30)


def _work(root: Path, server: subprocess.Popen[bytes], count: int) -> None:
    seen = root / "seen"
    platform = LocalPlatform({"PORTABLE_LOCAL_STATE": str(root / ".portable" / "state")})
    with use_platform(platform):
        queue = Queue("jobs", int, max_attempts=1000)
        queue.send_many(range(100))  # it starts, and imports what it needs
        _wait(server, root, lambda: seen.stat().st_size >= 100 * LINE)
        begin, cpu, sent, memory = time.monotonic(), _cpu(server.pid), 100, []
        while seen.stat().st_size < (100 + count) * LINE:
            handled = seen.stat().st_size // LINE
            if sent < 100 + count and sent - handled < AHEAD:
                upto = min(sent + CHUNK, 100 + count)
                assert queue.send_many(range(sent, upto)) == []
                sent = upto
            else:
                time.sleep(0.01)
            if (handled - 100) * 10 >= count * len(memory):
                memory.append(_memory(server.pid))
            assert server.poll() is None, (root / "log").read_text()
        seconds, cpu = time.monotonic() - begin, _cpu(server.pid) - cpu
        _wait(server, root, lambda: queue.depth() == 0)
        numbers = seen.read_bytes().split()
        lost = set(range(100 + count)) - set(map(int, numbers))
        again = len(numbers) - len(set(numbers))
        letters = len(queue.dead_letters())
    platform.close()
    print(f"Python {sys.version.split()[0]}: {count:,} messages, {count / seconds:,.0f} a second")
    print(
        f"{cpu / count * 1e6:.0f} µs of the server's CPU each; {len(lost)} lost, {again} twice, {letters} dead letters"
    )
    print(f"MB of memory at each tenth: {', '.join(f'{one:.1f}' for one in memory)}")
    assert not lost
    assert not letters


def _wait(server: subprocess.Popen[bytes], root: Path, done: object) -> None:
    while not done():  # type: ignore[operator]
        assert server.poll() is None, (root / "log").read_text()
        time.sleep(0.02)


def _family(pid: int) -> list[int]:
    """A process and all that came of it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _memory(pid: int) -> float:
    """MB that are the processes' own (private pages)."""
    total = 0
    for one in _family(pid):
        rows = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))
    return total / 1024


def _cpu(pid: int) -> float:
    """Seconds of CPU so far."""
    ticks = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


if __name__ == "__main__":
    main()
