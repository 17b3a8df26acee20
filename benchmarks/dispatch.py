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
from pathlib import Path

import contenders

BODY = json.dumps({"id": 7, "name": "Ada", "tags": ["x" * 60 for _ in range(16)]})
CASES = {
    "hello": contenders.event("GET", "/hello"),
    "GET /users/{id}": contenders.event("GET", "/users/7"),
    "POST 1 KB, typed": contenders.event("POST", "/users", BODY),
    "last of 50 routes": contenders.event("GET", "/last"),
}
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
    assert answer["statusCode"] in (200, 201), answer
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
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        running = {name: _start(Path(scratch) / name, name) for name in contenders.NAMES}
        best: dict[tuple[str, str], float] = {}
        for _ in range(rounds):
            for case in CASES:
                for name, process in running.items():
                    process.stdin.write(case + "\n")
                    process.stdin.flush()
                    spent = float(process.stdout.readline())
                    best[name, case] = min(spent, best.get((name, case), spent))
        for process in running.values():
            process.stdin.close()
            process.wait(timeout=10)
    print(f"Python {sys.version.split()[0]}, µs of CPU an invocation (ratio to raw), least of {rounds} rounds\n")
    print("| |" + "".join(f" {case} |" for case in CASES))
    print("| --- |" + " --- |" * len(CASES))
    for name in contenders.NAMES:
        cells = [f" {best[name, case]:.2f} ({best[name, case] / best['raw', case]:.2f}) |" for case in CASES]
        print(f"| {name} |" + "".join(cells))


def _start(folder: Path, name: str) -> subprocess.Popen[str]:
    contenders.write(folder, name, routes=50, typed=True)
    paths = json.dumps([str(folder)])
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, paths, json.dumps(CASES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n", f"{name} did not start"
    return process


if __name__ == "__main__":
    main()
