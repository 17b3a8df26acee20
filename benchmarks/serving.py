"""A container's HTTP server beside its peers: `python benchmarks/serving.py [--seconds 2] [--rounds 3]`.

A hello in JSON over 32 kept connections: from a sync and from an async handler where a framework has both, and as raw
ASGI or RSGI where a server is shown alone. The servers take turns, and each has one worker; none writes an access log.
wrk asks where it is installed (`apt-get install wrk`); else a client of ours, which bounds the requests a second too.
Beside those stand the microseconds of processor time that a request costs the server and its children. granian and
functions-framework are left out where they are not installed (`pip install granian functions-framework`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import uvloop
from dev_server import FASTAPI, PORTABLE, first_answer, free_port, load

ENTRY = """
SPEC = "app:app"
PLATFORM = "local"
FUNCTIONS = {"http": {"kind": "http", "source": "http", "modules": (), "timeout": None}}
SUBSCRIPTIONS = {}
"""
ASGI = """
async def app(scope, receive, send):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"17")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"hello":"world"}'})

class RSGI:
    async def __rsgi__(self, scope, protocol):
        protocol.response_bytes(200, [("content-type", "application/json")], b'{"hello":"world"}')

rsgi = RSGI()
"""
FUNCTION = """
def hello(request):
    return '{"hello":"world"}', 200, {"content-type": "application/json"}
"""
PEER = "uvicorn+FastAPI"
TICK = os.sysconf("SC_CLK_TCK")


def contenders(python: str) -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """Command and paths by name; PORT stands for the port."""
    found: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "portable container": ([python, "-m", "portable_container"], ("/async", "/sync")),
        PEER: ([python, "-m", "uvicorn", "peer:app", "--no-access-log", "--port", "PORT"], ("/async", "/sync")),
        "uvicorn, raw ASGI": ([python, "-m", "uvicorn", "raw:app", "--no-access-log", "--port", "PORT"], ("/async",)),
    }
    if find_spec("granian") is not None:
        for name, interface, target in (("ASGI", "asgi", "raw:app"), ("RSGI", "rsgi", "raw:rsgi")):
            command = [python, "-m", "granian", "--interface", interface, "--port", "PORT", "--no-log", target]
            found[f"granian, raw {name}"] = (command, ("/async",))
        command = [python, "-m", "granian", "--interface", "asgi", "--port", "PORT", "--no-log", "peer:app"]
        found["granian+FastAPI"] = (command, ("/async", "/sync"))
    if find_spec("functions_framework") is not None:
        command = [
            python,
            "-m",
            "functions_framework",
            "--source",
            "function.py",
            "--target",
            "hello",
            "--port",
            "PORT",
        ]
        found["functions-framework"] = ([*command, "--host", "127.0.0.1"], ("/sync",))
    return found


def family(process: int) -> list[int]:
    """A process and those it started."""
    found = [process]
    for parent in found:
        for task in Path("/proc", str(parent), "task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def processor_seconds(process: int) -> float:
    """What a server and its children have used so far."""
    total = 0
    for one in family(process):
        fields = Path("/proc", str(one), "stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def start(folder: str, command: list[str], port: int) -> subprocess.Popen[bytes]:
    words = [str(port) if word == "PORT" else word for word in command]
    environment = {**os.environ, "PORT": str(port), "HOST": "127.0.0.1", "PORTABLE_LOCAL_STATE": f"{folder}/state"}
    with open(os.devnull, "wb") as nowhere:
        return subprocess.Popen(words, cwd=folder, env=environment, stdout=nowhere, stderr=nowhere)


def ask(wrk: str, port: int, path: str, connections: int, seconds: int) -> int:
    """How many answers wrk has had."""
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}", f"http://127.0.0.1:{port}{path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{' '.join(command)}\n{said}")
    return int(said.partition(" requests in ")[0].split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    chosen = parser.parse_args()
    files = {
        "app.py": PORTABLE,
        "portable_entry.py": ENTRY,
        "peer.py": FASTAPI,
        "raw.py": ASGI,
        "function.py": FUNCTION,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        measure(folder, contenders(sys.executable), chosen)


def measure(folder: str, commands: dict[str, tuple[list[str], tuple[str, ...]]], chosen: argparse.Namespace) -> None:
    wrk = shutil.which("wrk")
    rates: dict[tuple[str, str], list[float]] = {}
    costs: dict[tuple[str, str], list[float]] = {}
    ports = {name: free_port() for name in commands}
    servers = {name: start(folder, command, ports[name]) for name, (command, _) in commands.items()}
    try:
        for name, process in servers.items():
            first_answer(process, ports[name])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for _ in range(chosen.rounds):
                for path in ("/async", "/sync"):
                    for name, (_, paths) in commands.items():
                        if path not in paths:
                            continue
                        before = processor_seconds(servers[name].pid)
                        if wrk is None:
                            answered = len(runner.run(load(ports[name], path, chosen.connections, chosen.seconds)))
                        else:
                            answered = ask(wrk, ports[name], path, chosen.connections, chosen.seconds)
                        used = processor_seconds(servers[name].pid) - before
                        rates.setdefault((path, name), []).append(answered / chosen.seconds)
                        costs.setdefault((path, name), []).append(used / answered * 1e6)
    finally:
        for process in servers.values():
            process.send_signal(signal.SIGTERM)
        for process in servers.values():
            process.wait()
    print(f"asked by {'a client of ours' if wrk is None else 'wrk'}")
    print(f"{'':29}{'requests/s':>11}{'ratio':>7}{'µs of processor':>17}{'ratio':>7}")
    for (path, name), found in sorted(rates.items()):
        rate, cost = statistics.median(found), statistics.median(costs[path, name])
        peer = (path, PEER)
        times, cheaper = rate / statistics.median(rates[peer]), statistics.median(costs[peer]) / cost
        print(f"{path:8}{name:21}{rate:11,.0f}{times:7.2f}{cost:17.1f}{cheaper:7.2f}")


if __name__ == "__main__":
    main()
