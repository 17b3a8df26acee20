"""Make a new project: an app with a route, a queue and a bucket, its test, and the
settings every command reads. It runs and passes its test as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]

APP = '''\
"""Greets who asks, and writes every greeting into a guest book."""

from typing import TypedDict

from portable import App, Message

app = App("$NAME")


class Guest(TypedDict):
    name: str


guests = app.queue("guests", Guest, max_attempts=5)
book = app.bucket("book")


@app.get("/hello/{name}")
def hello(name: str) -> dict[str, str]:
    """Greet at once; the guest book is written in the background."""
    guests.send({"name": name})
    return {"greeting": f"Hello, {name}!"}


@app.get("/guests")
def list_guests() -> list[str]:
    """Who has been here."""
    return [info.key for info in book.list()]


@app.on_message(guests, batch_size=1)
def write_down(message: Message[Guest]) -> None:
    """One line a guest. Return: done. Raise: another attempt, and after five the dead-letter queue."""
    book.write(message.body["name"], b"was here", content_type="text/plain")
'''

TEST = '''\
"""The app in this process, over queues and buckets of this test's own."""

from app import app

from portable.testing import TestClient


def test_a_guest_is_greeted_and_written_down() -> None:
    with TestClient(app) as client:
        answer = client.get("/hello/Ada")
        assert answer.status == 200
        assert answer.json() == {"greeting": "Hello, Ada!"}
        client.settle()  # messages are delivered
        assert client.get("/guests").json() == ["Ada"]


def test_no_such_page() -> None:
    with TestClient(app) as client:
        assert client.get("/nowhere").status == 404
'''

PYPROJECT = """\
[project]
name = "$NAME"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["portable-functions"]

[dependency-groups]
test = ["pytest>=8"]

[tool.portable]
app = "app:app"

[tool.pytest.ini_options]
pythonpath = ["."]
"""

README = """\
# $NAME

    portable dev                       # http://127.0.0.1:8000/hello/Ada
    python -m pytest                   # the app's test
    portable check --target aws        # what a cloud cannot give
    portable build --target aws        # dist/aws: the folder and the zip to deploy
    portable run dist/aws              # that artifact under AWS's own runtime client
    portable verify                    # every target, the same traffic, compared
"""

IGNORE = ".env\n.portable/\n.venv/\n__pycache__/\ndist/\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``portable.cli.parser``."""
    parser.add_argument("name", metavar="NAME", help="of the app and of its folder: a-z, 0-9 and dashes")


def run(options: argparse.Namespace) -> int:
    """See ``portable.cli.parser``."""
    from portable.errors import ConfigError
    from portable.resources import check_name

    name = check_name("app", options.name)
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already; choose another name")
    folder.mkdir(exist_ok=True)
    files = {"app.py": APP, "test_app.py": TEST, "pyproject.toml": PYPROJECT, "README.md": README, ".gitignore": IGNORE}
    for path, text in files.items():
        (folder / path).write_text(text.replace("$NAME", name), "utf-8")
    print(f"{folder}/ holds {', '.join(sorted(files))}\n\n  cd {folder}\n  portable dev")
    return 0
