"""schemathesis against ``portable dev``: every kind of request the document allows, and many it does not.

What is checked is what schemathesis checks: no 500, only documented statuses, content types and bodies; what does not
fit is refused, what fits is taken; methods and credentials as the document has them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
PHASES = "examples,coverage,fuzzing"
PICTURES = """
import struct, zlib
import schemathesis
from hypothesis import strategies as st

def part(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
png = b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"\\0\\0")) + part(b"IEND", b"")
schemathesis.openapi.media_type("image/png", st.just(png))
schemathesis.openapi.media_type("image/jpeg", st.just(b"\\xff\\xd8\\xff\\xe0 and no more"))
"""
ENVIRONMENT = {
    "PORTABLE_SECRET_MAILER_KEY": "made-up",
    "PORTABLE_CONFIG_ACCOUNTS_PER_MINUTE": "1000000",  # else most requests would be a 429, and little be tried
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[dict[str, Path]], str]]:
    """Serve a project of these files, and give its URL."""
    started: list[subprocess.Popen[bytes]] = []

    def start(files: dict[str, Path]) -> str:
        project = tmp_path / "project"
        project.mkdir()
        for name, source in files.items():
            shutil.copy(source, project / name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = (tmp_path / "dev.log").open("wb")
        command = [sys.executable, "-m", "portable.cli", "dev", "--port", str(port), "--no-reload"]
        with log:
            process = subprocess.Popen(
                command, cwd=project, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **ENVIRONMENT}
            )
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/openapi.json", timeout=30).close()
            except OSError:
                said = (tmp_path / "dev.log").read_text(errors="replace")
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.1)
            else:
                return url

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def attack(url: str, folder: Path, most: int, *options: str) -> None:
    """Fail with what schemathesis has found."""
    folder.mkdir()
    (folder / "pictures.py").write_text(PICTURES)
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
    command += ["--url", url, f"{url}/openapi.json", "--phases", PHASES, "--checks", "all", "--seed", "1"]
    command += ["--max-examples", str(most), "--no-color", "--request-timeout", "60", *options]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "pictures", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = done.stdout[done.stdout.find("= FAILURES =") :]
    assert done.returncode == 0, found + done.stderr
    tried = re.search(r"(\d+) generated", done.stdout)
    assert tried is not None, done.stdout
    assert int(tried[1]) > 10, done.stdout


def example(name: str) -> dict[str, Path]:
    files = [*EXAMPLES.joinpath(name).glob("*.py"), EXAMPLES / name / "pyproject.toml"]
    return {file.name: file for file in files if not file.name.startswith("test_")}


WIDE = ("-H", "X-Key: wide", "-H", "Authorization: Bearer wide")


@pytest.mark.parametrize("name", ["accounts", "thumbnails"])
def test_nothing_is_found_against_an_example(name: str, serve: Callable[..., str], tmp_path: Path) -> None:
    attack(serve(example(name)), tmp_path / "attack", 5)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["accounts", "thumbnails"])
def test_nothing_is_found_against_an_example_by_many_requests(
    name: str, serve: Callable[..., str], tmp_path: Path
) -> None:
    attack(serve(example(name)), tmp_path / "attack", 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_found_against_every_kind_of_route(serve: Callable[..., str], tmp_path: Path) -> None:
    attack(serve({"app.py": HERE / "wide.py"}), tmp_path / "attack", 20, *WIDE)
