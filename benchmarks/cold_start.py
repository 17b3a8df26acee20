"""Cold start under AWS's own runtime client: `python benchmarks/cold_start.py [--rounds 9] [--instructions]`.

Each contender's process is `python -m awslambdaric HANDLER`, against a Lambda Runtime API of our own on loopback that
hands out one `GET /hello`. Figures, medians over rounds in which the contenders take turns:

- total: from the start of the process to its answer, wall-clock milliseconds;
- after RIC: CPU milliseconds from the moment AWS's client is imported to the answer, which is what a user's code adds;
- modules: how many are loaded that the client had not loaded; peak: resident memory, MB;
- instructions, when asked for: millions from the start of the interpreter to the first answer, without the client, over
  the interpreter alone (with `os`, which `site` always imports; `site` itself is left out, as it is the machine's).

Every contender's files are compiled before, as a build does. `portable` runs from a bundle that `portable build` wrote.
"""

from __future__ import annotations

import argparse
import compileall
import http.server
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import contenders

from portable.run import parts

NAMES = [name for name in contenders.NAMES if name != "mounted-fastapi"]  # it starts as FastAPI does
PYTHON = Path(sys._base_executable)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
APPS = {"1 route": (0, False), "50 routes": (50, False), "50 routes, half typed": (50, True)}
AFTER = """
import json, resource, sys, time
import awslambdaric.bootstrap
before, begin = len(sys.modules), time.process_time_ns()
module, name = sys.argv[1].split(".")
handler = getattr(__import__(module), name)
class Context:
    aws_request_id = "id"; function_name = "f"; memory_limit_in_mb = 128
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    def get_remaining_time_in_millis(self): return 1000
answer = handler(json.loads(sys.argv[2]), Context())
spent = time.process_time_ns() - begin
assert answer["statusCode"] == 200, answer
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([spent / 1e6, len(sys.modules) - before, peak]))
"""
COUNTED = AFTER.replace("import awslambdaric.bootstrap\n", "")


class RuntimeAPI(http.server.ThreadingHTTPServer):
    """Hands one event to whoever asks, and says when the answer came."""

    def __init__(self, event: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.event = json.dumps(event).encode()
        self.answered = threading.Event()
        self.at = 0.0
        self.answer = b""
        self.handed_out = False

    def handle_error(self, request: object, client_address: object) -> None:
        """The client is killed once it has answered."""


class _Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: RuntimeAPI

    def do_GET(self) -> None:
        if self.server.handed_out:
            time.sleep(5)
            return
        self.server.handed_out = True
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "id")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 10_000))
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
        self.send_header("Content-Type", "application/json")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:f")
        self.send_header("Content-Length", str(len(self.server.event)))
        self.end_headers()
        self.wfile.write(self.server.event)

    def do_POST(self) -> None:
        self.server.answer = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.at = time.perf_counter()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.answered.set()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--instructions", action="store_true")
    chosen = parser.parse_args()
    client = parts.need("awslambdaric", VERSION).path
    events = {name: contenders.event_for(name, "GET", "/hello") for name in NAMES}
    with tempfile.TemporaryDirectory() as scratch:
        prepared = {
            (label, name): _prepare(Path(scratch) / f"{name}-{routes}-{typed}", name, routes, typed)
            for label, (routes, typed) in APPS.items()
            for name in NAMES
        }
        figures: dict[tuple[str, str], list[list[float]]] = {key: [] for key in prepared}
        for _ in range(chosen.rounds):
            for key, (path, handler) in prepared.items():
                environment = _environment(path, client)
                total = _under_client(environment, handler, events[key[1]])
                figures[key].append([total, *_run(AFTER, environment, handler, events[key[1]])])
        counts = {}
        if chosen.instructions:
            bare = _instructions("import os", os.environ | {"PYTHONHASHSEED": "0"})
            for key, (path, handler) in prepared.items():
                environment = _environment(path, client) | {"PYTHONHASHSEED": "0"}
                counts[key] = _instructions(COUNTED, environment, handler, json.dumps(events[key[1]])) - bare
    _report(chosen.rounds, figures, counts)


def _prepare(folder: Path, name: str, routes: int, typed: bool) -> tuple[str, str]:
    handler = contenders.write(folder, name, routes, typed)
    path = str(folder)
    if name == "portable":
        path, handler = _build(folder), "portable_entry.http"
    else:
        path = os.pathsep.join([path, sysconfig.get_path("purelib")])
    compileall.compile_dir(folder, quiet=2)
    return path, handler


def _build(folder: Path) -> str:
    (folder / "handler_module.py").unlink()
    (folder / "pyproject.toml").write_text('[project]\nname = "bench"\nversion = "1"\ndependencies = []\n')
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--python", VERSION]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    bundle = folder / "bundle"
    shutil.copytree(folder / "dist" / "aws" / "bundle", bundle)
    return str(bundle)


def _environment(path: str, client: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | {"PYTHONPATH": os.pathsep.join([path, str(client)]), "AWS_LAMBDA_FUNCTION_NAME": "f"}


def _under_client(environment: dict[str, str], handler: str, event: dict[str, object]) -> float:
    api = RuntimeAPI(event)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    environment = environment | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}"}
    begin = time.perf_counter()
    process = subprocess.Popen([PYTHON, "-SP", "-m", "awslambdaric", handler], env=environment)
    try:
        if not api.answered.wait(30):
            raise SystemExit(f"{handler} did not answer")
        assert b'"statusCode": 200' in api.answer, api.answer
        return (api.at - begin) * 1000
    finally:
        process.kill()
        process.wait()
        api.shutdown()
        api.server_close()


def _run(script: str, environment: dict[str, str], handler: str, event: dict[str, object]) -> list[float]:
    command = [PYTHON, "-SP", "-c", script, handler, json.dumps(event)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _instructions(script: str, environment: dict[str, str], *arguments: str) -> float:
    command = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        PYTHON,
        "-SP",
        "-c",
        script,
        *arguments,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if "Collected" in line)
    return int(line.split(":")[1]) / 1e6


def _report(
    rounds: int, figures: dict[tuple[str, str], list[list[float]]], counts: dict[tuple[str, str], float]
) -> None:
    print(f"Python {sys.version.split()[0]}, medians of {rounds} rounds")
    for label in APPS:
        print(f"\n| {label} | total ms | after RIC, CPU ms | modules | peak MB | million instructions |")
        print("| --- | --- | --- | --- | --- | --- |")
        for name in NAMES:
            total, after, modules, peak = map(statistics.median, zip(*figures[label, name], strict=True))
            count = counts.get((label, name))
            shown = "—" if count is None else f"{count:.0f}"
            print(f"| {name} | {total:.0f} | {after:.1f} | {modules:.0f} | {peak:.1f} | {shown} |")


if __name__ == "__main__":
    main()
