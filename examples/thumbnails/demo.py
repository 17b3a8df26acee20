"""`make demo`: the app under `portable dev`, photographs sent through it, and where to look.

Runs until Ctrl-C; with `--once` it ends when the thumbnails are made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from photographs import find_photographs

HERE = Path(__file__).parent
PATIENCE = 60  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="end when the thumbnails are made")
    parser.add_argument("--port", type=int, default=8000)
    chosen = parser.parse_args()
    try:
        photographs = find_photographs()
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    url = f"http://127.0.0.1:{chosen.port}"
    command = [sys.executable, "-m", "portable.cli", "dev", "--port", str(chosen.port)]
    server = subprocess.Popen(command, cwd=HERE)
    try:
        wait_for(lambda: server.poll() is not None or answers(url), "the server to start")
        if server.poll() is not None:
            return server.returncode
        keys = {name: send(url, name, data) for name, data in photographs.items()}
        wait_for(lambda: made(url) >= set(keys.values()), "the thumbnails")
        call(f"{url}/_portable/schedules/daily-report/run", b"{}")
        show(url, keys)
        if not chosen.once:
            server.wait()
    except KeyboardInterrupt:
        pass
    except TimeoutError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.terminate()
        server.wait(timeout=20)
    return 0


def call(url: str, data: bytes | None = None, **headers: str) -> bytes:
    request = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def fetch(url: str) -> Any:
    return json.loads(call(url))


def made(url: str) -> set[str]:
    return {row["key"] for row in fetch(f"{url}/images") if row["thumbnail"]}


def answers(url: str) -> bool:
    try:
        fetch(f"{url}/images")
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def wait_for(condition: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.25)


def send(url: str, name: str, data: bytes) -> str:
    kind = "image/png" if name.endswith(".png") else "image/jpeg"
    sent = json.loads(call(f"{url}/images?notify=you@example.com", data, **{"content-type": kind}))
    print(f"sent {name:<18} {len(data):>9,} bytes")
    key: str = sent["key"]
    return key


def show(url: str, keys: dict[str, str]) -> None:
    print(f"\nThe app          {url}/images\nThe dashboard    {url}/_portable/\n\nThumbnails")
    for name, key in keys.items():
        print(f"  {name:<18} {url}/thumbnails/{key}")
    state = HERE / ".portable"
    print(f"\nOn disk          {state.relative_to(Path.cwd()) if state.is_relative_to(Path.cwd()) else state}")
    print("\nCtrl-C ends the server; what it keeps is there again the next time.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
