"""One warm invocation, microseconds of CPU: `python benchmarks/dispatch.py [--rounds 7]`.

Each contender runs in a process of its own; the processes take turns, round by round, so that a machine that slows down
slows all of them. The figure is the least of the rounds; the ratio to `raw` is what to read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import contenders

BODY = json.dumps({"id": 7, "name": "Ada", "tags": ["x" * 60 for _ in range(16)]})
CASES: dict[str, tuple[Any, ...]] = {
    "hello": ("GET", "/hello"),
    "GET /users/{id}": ("GET", "/users/7"),
    "POST 1 KB, typed": ("POST", "/users", BODY),
    "last of 50 routes": ("GET", "/last"),
}
BATCH_BODY = json.dumps({"id": 7, "name": "Ada", "tags": ["x" * 12 for _ in range(4)]})
CHILD = """
import importlib, json, sys, time
sys.path[:0] = json.loads(sys.argv[1])
handler = importlib.import_module("handler_module").handler
cases = json.loads(sys.argv[2])
class Context:
    aws_request_id = "id"; function_name = "f"; memory_limit_in_mb = 128
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    def get_remaining_time_in_millis(self): return 1000
context = Context()
for event in cases.values():
    answer = handler(event, context)
    assert answer is None or answer.get("statusCode", 200) in (200, 201), answer
    assert not (answer or {}).get("batchItemFailures"), answer
print("ready", flush=True)
for line in sys.stdin:
    event = cases[line.strip()]
    n, spent = 200, 0
    while spent < 50_000_000:  # nanoseconds
        begin = time.process_time_ns()
        for _ in range(n): handler(event, context)
        spent = time.process_time_ns() - begin
        if spent < 50_000_000: n *= 2
    print(spent / n / 1000, flush=True)
"""


def main() -> None:
    """Print three tables: requests, batches, and what more routes cost."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    print(f"Python {sys.version.split()[0]}, µs of CPU an invocation, least of {rounds} rounds\n")
    with tempfile.TemporaryDirectory() as scratch:
        _requests(Path(scratch) / "requests", rounds)
        _batches(Path(scratch) / "batches", rounds)
        _curve(Path(scratch) / "curve", rounds)


def _requests(scratch: Path, rounds: int) -> None:
    running = {}
    for name in contenders.NAMES:
        contenders.write(scratch / name, name, routes=50, typed=True)
        running[name] = _start(
            scratch / name, {case: contenders.event_for(name, *asked) for case, asked in CASES.items()}
        )
    best = _take_turns(running, list(CASES), rounds)
    _table("ratio to raw", contenders.NAMES, list(CASES), best, lambda name, case: best["raw", case])


def _batches(scratch: Path, rounds: int) -> None:
    events = {f"SQS, {size} typed": contenders.batch(size, BATCH_BODY) for size in (1, 10, 100)}
    running = {}
    for name in contenders.BATCH_NAMES:
        contenders.write_batch(scratch / name, name)
        running[name] = _start(scratch / name, events)
    best = _take_turns(running, list(events), rounds)
    _table("ratio to raw", contenders.BATCH_NAMES, list(events), best, lambda name, case: best["raw", case])


def _curve(scratch: Path, rounds: int) -> None:
    """The last of some routes; by name and count."""
    names = ("portable", "chalice", "powertools", "mangum-fastapi")
    counts = [1, 10, 100, 1000]
    running = {}
    for name in names:
        for count in counts:
            folder = scratch / f"{name}-{count}"
            contenders.write(folder, name, routes=count)
            running[name, count] = _start(folder, {"last": contenders.event_for(name, "GET", "/last")})
    best = _take_turns(running, ["last"], rounds)
    figures = {(name, f"{count} routes"): best[(name, count), "last"] for name in names for count in counts}
    _table(
        "ratio to one route",
        names,
        [f"{count} routes" for count in counts],
        figures,
        lambda n, _: figures[n, "1 routes"],
    )


def _take_turns(
    running: dict[Any, subprocess.Popen[str]], cases: list[str], rounds: int
) -> dict[tuple[Any, str], float]:
    best: dict[tuple[Any, str], float] = {}
    for _ in range(rounds):
        for case in cases:
            for name, process in running.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(case + "\n")
                process.stdin.flush()
                spent = float(process.stdout.readline())
                best[name, case] = min(spent, best.get((name, case), spent))
    for process in running.values():
        process.communicate(timeout=10)
    return best


def _table(
    ratio: str, names: Iterable[str], cases: list[str], best: dict[Any, float], base: Callable[..., float]
) -> None:
    print(f"| ({ratio}) |" + "".join(f" {case} |" for case in cases))
    print("| --- |" + " --- |" * len(cases))
    for name in names:
        cells = [f" {best[name, case]:.2f} ({best[name, case] / base(name, case):.2f}) |" for case in cases]
        print(f"| {name} |" + "".join(cells))
    print()


def _start(folder: Path, events: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps([str(folder)]), json.dumps(events)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"{folder.name} did not start"
    return process


if __name__ == "__main__":
    main()
