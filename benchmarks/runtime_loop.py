"""This framework's own runtime loop beside AWS's client: start to the first answer, and an invocation's round trip.

    python benchmarks/runtime_loop.py [--rounds 15] [--calls 2000]

Both serve the same bundle, built here, to the same small Runtime API on loopback; rounds are interleaved, and medians
given, with ratios to AWS's client. CPU is that of the process from its start to its first answer; a round trip is from
one answer to the next.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from portable.build.project import find_project
from portable.run import parts
from portable.run.building import build_to_run
from portable.run.target import open_artifact

APP = """
from portable import App

app = App("bench")


@app.get("/users/{user_id}")
def get_user(user_id: int) -> dict:
    return {"id": user_id, "name": "ann", "tags": ["a", "b", "c"], "text": "x" * 120}
"""
SETTINGS = """
[project]
name = "bench"
version = "1"
[tool.portable.aws]
runtime = "portable"
http = "function-url"
"""
EVENT = json.dumps(
    {
        "version": "2.0",
        "rawPath": "/users/7",
        "rawQueryString": "",
        "headers": {"host": "x", "accept": "*/*"},
        "requestContext": {"http": {"method": "GET", "sourceIp": "1.2.3.4"}, "domainName": "x"},
        "isBase64Encoded": False,
    }
).encode()
NEXT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 11111111-2222\r\n"
    b"Lambda-Runtime-Deadline-Ms: 99999999999999\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:x:1:function:f\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(EVENT), EVENT)
)
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
LOOP = "from portable_aws.runtime_loop import main; main()"


class API:
    """Answers ``next`` and takes answers, on whatever connections the client makes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.connection: socket.socket | None = None
        self.data = b""

    def request(self) -> bytes:
        """The first line of the next request, its body read."""
        while True:
            head, mark, rest = self.data.partition(b"\r\n\r\n")
            if mark:
                size = next(
                    (
                        int(line.partition(b":")[2])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                if len(rest) >= size:
                    self.data = rest[size:]
                    return head.partition(b"\r\n")[0]
            received = b"" if self.connection is None else self.connection.recv(65536)
            if not received:
                if self.connection is not None:
                    self.connection.close()
                self.connection, _ = self.listener.accept()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.data = b""
                continue
            self.data += received

    def serve(self, calls: int) -> list[float]:
        """The instants at which the answers were there."""
        assert self.connection is not None or not self.data
        instants: list[float] = []
        while len(instants) < calls:
            if b"invocation/next" in self.request():
                assert self.connection is not None
                self.connection.sendall(NEXT)
            else:
                instants.append(time.perf_counter())
                assert self.connection is not None
                self.connection.sendall(ACCEPTED)
        return instants

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.listener.close()


def measure(command: list[str], environment: dict[str, str], folder: Path, calls: int) -> tuple[float, float, float]:
    """Milliseconds to the first answer, CPU milliseconds of that start, and microseconds of a round trip."""
    api = API()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env={**environment, "AWS_LAMBDA_RUNTIME_API": api.address}, cwd=folder, stderr=subprocess.DEVNULL
    )
    first = api.serve(1)[0] - begun
    took = 0.0
    if calls > 1:
        instants = api.serve(calls)
        took = statistics.median(b - a for a, b in pairwise(instants))
    process.kill()
    process.wait()
    api.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return first * 1000, cpu * 1000, took * 1e6


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project"
        project.mkdir()
        (project / "app.py").write_text(APP)
        (project / "pyproject.toml").write_text(SETTINGS)
        artifact = open_artifact(build_to_run(find_project(project), "aws", Path(scratch) / "dist"))
        folder = artifact.bundle_of("http")
        python = str(parts.need("python", artifact.python).path)
        client = parts.need("awslambdaric", artifact.python)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(folder), str(client.path)]),
            "LAMBDA_TASK_ROOT": str(folder),
            "_HANDLER": "portable_entry.http",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        commands = {
            "bare interpreter": [python, "-S", "-c", "pass"],
            f"awslambdaric {client.version}": [python, "-S", "-m", "awslambdaric", "portable_entry.http"],
            "the runtime loop": [python, "-S", "-c", LOOP],
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for number in range(options.rounds):
            for name, command in commands.items():
                if name == "bare interpreter":
                    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                    subprocess.run(command, env=environment, check=True)
                    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
                    cpu = (spent.ru_utime + spent.ru_stime - used.ru_utime - used.ru_stime) * 1000
                    found[name].append(((time.perf_counter() - begun) * 1000, cpu, 0.0))
                else:
                    calls = options.calls if number < 3 else 1
                    found[name].append(measure(command, environment, folder, calls))
        base = None
        print(f"Python {artifact.python}, {options.rounds} rounds")
        for name, rows in found.items():
            first = statistics.median(row[0] for row in rows)
            cpu = statistics.median(row[1] for row in rows[3:] or rows)
            trips = [row[2] for row in rows if row[2]]
            trip = statistics.median(trips) if trips else 0.0
            if trip and base is None:
                base = first, trip
            ratio = (
                ""
                if not trip or base is None
                else f"  start {first / base[0]:.2f} x, round trip {trip / base[1]:.2f} x"
            )
            print(f"{name:<24} first answer {first:7.1f} ms, CPU {cpu:6.1f} ms, round trip {trip:6.1f} us{ratio}")


if __name__ == "__main__":
    main()
