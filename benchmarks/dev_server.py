"""`portable dev` beside uvicorn with FastAPI: `python benchmarks/dev_server.py [--seconds 1.5] [--rounds 3]`.

A hello in JSON, from a sync and from an async handler, over 32 kept connections and over one. The servers take turns,
so that a machine that slows down slows all of them; read the ratios. Both write an access log (to /dev/null), portable
dev with its inspection on. Then the time from the command to the first answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORTABLE = """
from portable import App
app = App("hello")
@app.get("/sync")
def hello() -> dict[str, str]:
    return {"hello": "world"}
@app.get("/async")
async def hello_async() -> dict[str, str]:
    return {"hello": "world"}
"""
FASTAPI = PORTABLE.replace("from portable import App", "from fastapi import FastAPI").replace(
    'App("hello")', "FastAPI()"
)
BODY = b'{"hello":"world"}'


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, path: str, end: float, times: list[float]) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        self.end = end
        self.times = times
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.answer = b""
        self.begun = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if not self.answer.endswith(BODY):
            return
        now = time.perf_counter()
        self.times.append(now - self.begun)
        if now < self.end:
            self.ask()
        else:
            self.transport.close()
            self.done.set_result(None)


async def load(port: int, path: str, connections: int, seconds: float) -> list[float]:
    """Seconds of each request."""
    times: list[float] = []
    loop, end = asyncio.get_running_loop(), time.perf_counter() + seconds
    clients = [
        (await loop.create_connection(lambda: Client(path, end, times), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return times


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_answer(process: subprocess.Popen[bytes], port: int) -> float:
    """Seconds until a server that was just started has answered."""
    begun = time.perf_counter()
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(b"GET /async HTTP/1.1\r\nhost: localhost\r\n\r\n")
                if connection.recv(1000):
                    return time.perf_counter() - begun
        except OSError:
            time.sleep(0.002)
    raise SystemExit("a server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "app.py").write_text(PORTABLE)
        Path(folder, "peer.py").write_text(FASTAPI)
        commands = {
            "portable dev": ["portable.cli", "dev", "--port"],
            "uvicorn+FastAPI": ["uvicorn", "peer:app", "--port"],
        }
        measure(folder, commands, chosen)


def start(folder: str, command: list[str], port: int) -> subprocess.Popen[bytes]:
    with open(os.devnull, "wb") as nowhere:
        words = [sys.executable, "-m", *command, str(port)]
        return subprocess.Popen(words, cwd=folder, stdout=nowhere, stderr=nowhere)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait()


def measure(folder: str, commands: dict[str, list[str]], chosen: argparse.Namespace) -> None:
    starts: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(2 * chosen.rounds):
        for name, command in commands.items():
            port = free_port()
            process = start(folder, command, port)
            starts[name].append(first_answer(process, port))
            stop(process)
    ports = {name: free_port() for name in commands}
    servers = {name: start(folder, command, ports[name]) for name, command in commands.items()}
    for name, process in servers.items():
        first_answer(process, ports[name])
    rates: dict[tuple[str, str], list[float]] = {}
    alone: dict[tuple[str, str], list[float]] = {}
    for _ in range(chosen.rounds):
        for path in ("/async", "/sync"):
            for name, port in ports.items():
                many = asyncio.run(load(port, path, 32, chosen.seconds))
                rates.setdefault((path, name), []).append(len(many) / chosen.seconds)
                alone.setdefault((path, name), []).extend(asyncio.run(load(port, path, 1, chosen.seconds)))
    for process in servers.values():
        stop(process)
    print(f"{'':24}{'requests/s':>12}{'ratio':>8}{'p50 at one, ms':>18}")
    for (path, name), found in rates.items():
        ratio = statistics.median(found) / statistics.median(rates[path, "uvicorn+FastAPI"])
        middle = statistics.median(alone[path, name]) * 1000
        print(f"{path:8}{name:16}{statistics.median(found):12,.0f}{ratio:8.2f}{middle:18.3f}")
    for name, found in starts.items():
        print(f"first answer, {name:16} median {statistics.median(found) * 1000:.0f} ms, least {min(found) * 1000:.0f}")


if __name__ == "__main__":
    main()
