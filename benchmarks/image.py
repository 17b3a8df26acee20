"""An edit of one line until the registry on loopback has the image: ours, and a daemon's build and push of the same.

    .venv/bin/python benchmarks/image.py [--rounds 7]

Each round edits the app and times whole processes, one after the other: `portable build --push`, which also makes
the bundle and the zip; and `docker build` and `docker push` of the Dockerfile that a build before wrote, whose layers
below the app's are in the daemon's cache. The floor is the interpreter that starts and imports the registry's client.
CPU is the processes' own, user's and system's: of Docker's only the client's, whose daemon does the work.
The parts: `portable doctor --target image`.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from portable.run import parts
from portable.run.processes import answers, free_port, running
from portable.run.python_image import write_python_image

APP = """
from portable import App

app = App("shop")


@app.get("/hello/{name}")
def hello(name: str) -> str:
    return f"NUMBER {name}"
"""
PROJECT = '[project]\nname = "shop"\nversion = "1.0"\ndependencies = ["requests"]\n'
PORTABLE = [sys.executable, "-m", "portable.cli", "build"]


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    port = free_port()
    folder.mkdir()
    settings = folder / "config.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n"
    )
    command = [parts.need("docker-registry").path, "serve", settings]
    with running("registry", command, ready=lambda _: answers(port, "/v2/")):
        yield f"127.0.0.1:{port}"


@contextmanager
def docker(folder: Path) -> Iterator[str]:
    socket = f"unix://{folder}/socket"
    command = [parts.need("docker").path, "-H", socket, "--data-root", folder / "data", "--exec-root", folder / "exec"]
    command += ["-p", folder / "pid", "--bridge=none", "--iptables=false", "--ip-masq=false"]

    def ready(_: object) -> bool:
        return subprocess.run(["docker", "-H", socket, "version"], capture_output=True, check=False).returncode == 0

    try:
        with running("dockerd", command, ready=ready, timeout=60):
            yield socket
    finally:
        for line in Path("/proc/mounts").read_text().splitlines():
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[1]], check=False)


def run(command: list[str], **environment: str) -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    scratch = Path(tempfile.mkdtemp(prefix="portable-image-"))
    try:
        with registry(scratch / "registry") as host, docker(scratch) as socket:
            times = measure(scratch, host, socket, rounds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    floor = statistics.median(wall for wall, _ in times["floor"])
    print("| edit, build, push | s, median | least | CPU s | ratio to the floor |\n| --- | --- | --- | --- | --- |")
    for name, rows in times.items():
        walls = [wall for wall, _ in rows]
        middle, cpu = statistics.median(walls), statistics.median(cpu for _, cpu in rows)
        print(f"| {name} | {middle:.2f} | {min(walls):.2f} | {cpu:.2f} | {middle / floor:.1f} |")


def measure(scratch: Path, host: str, socket: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    base = f"{host}/bases/python:3.13"
    layout = write_python_image(scratch / "base", "3.13")
    skopeo = str(parts.need("skopeo").path)
    run([skopeo, "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{base}"])
    project = scratch / "shop"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    ours = [*PORTABLE, "--project", str(project), "--target", "aws", "--base", base, "--push", f"{host}/shop:ours"]
    context = project / "dist" / "aws"

    def edit(number: int) -> None:
        (project / "app.py").write_text(APP.replace("NUMBER", str(number)))

    def theirs() -> None:
        told = ["docker", "-H", socket]
        run([*told, "build", "--quiet", "--tag", f"{host}/shop:theirs", str(context)], DOCKER_BUILDKIT="0")
        run([*told, "push", "--quiet", f"{host}/shop:theirs"])

    contenders: dict[str, Callable[[], None]] = {
        "floor": lambda: run([sys.executable, "-c", "import requests"]),
        "portable build --push": lambda: run(ours),
        "docker build, docker push": theirs,
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        edit(number)
        for name, do in contenders.items():
            started, used = time.perf_counter(), used_by_children()
            do()
            if number:  # the first fills the caches
                times[name].append((time.perf_counter() - started, used_by_children() - used))
    return times


if __name__ == "__main__":
    main()
