"""The pytest plugin, as a user's own pytest loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from portable import App, Message
from portable.resources.bucket import Bucket
from names import NAME

app = App(NAME)
box = app.bucket("box")
work = app.queue("work", max_attempts=2)

@app.put("/box/{key}")
def put(key: str, body: bytes) -> None:
    box.write(key, body)

@app.get("/broken")
def broken() -> None:
    raise RuntimeError("no")

@app.on_message(work)
def run_work(message: Message[str]) -> None:
    if message.body == "poison":
        raise ValueError("never")
    box.write(message.body, b"done")

@app.function()
def name(payload: dict[str, str]) -> str:
    return NAME + payload["end"]
"""

TESTS = """
import app as project
from names import NAME

def test_nothing_is_stored_at_the_start(client):
    assert list(project.box.list()) == []
    assert client.dead_letters("work") == []
    assert client.put("/box/a", body=b"1").status == 204
    assert project.box.read("a") == b"1"
    project.work.send("poison")
    client.send(project.work, "b")
    client.settle()
    assert client.dead_letters("work") == ["poison"]
    assert client.bucket("box").read("b") == b"done"

test_nothing_is_left_over = test_nothing_is_stored_at_the_start

def test_a_mistake_is_a_500(client):
    assert client.get("/broken").status == 500

def test_the_app_is_this_projects(client):
    assert client.call(project.name, {"end": "!"}) == NAME + "!"

def test_without_a_client():
    assert project.name({"end": ""}) == NAME
"""


def make_project(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(APP)
    (folder / "names.py").write_text(f'NAME = "{name}"\n')
    (folder / f"test_{name}.py").write_text(TESTS)


def run_pytest(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "--import-mode=importlib", "-ra",
         "-o", "addopts=", *arguments, str(folder)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in ("one", "two"):
        make_project(tmp_path / name, name)
    return tmp_path


def test_two_projects_in_this_process(projects: Path) -> None:
    status, text = run_pytest(projects)
    assert status == 0, text
    assert "10 passed" in text


def test_the_same_tests_against_the_built_artifacts(projects: Path) -> None:
    status, text = run_pytest(projects, "--target", "local,inprocess", "-v")
    assert status == 0, text
    assert "18 passed" in text, "a test without a client runs once"
    assert "test_a_mistake_is_a_500[local]" in text
    assert "local: python " in text


def test_an_unknown_target_is_refused(projects: Path) -> None:
    status, text = run_pytest(projects, "--target", "moon")
    assert status != 0
    assert "--target moon: there are inprocess, " in text


def test_missing_parts_skip_or_fail(projects: Path, tmp_path: Path) -> None:
    nowhere = {"PORTABLE_PARTS": str(tmp_path / "no-parts"), "CLOUDSDK_ROOT_DIR": ""}
    status, text = run_pytest(projects / "one", "--target", "azure", PORTABLE_REQUIRE_ALL="", **nowhere)
    assert status == 0, text
    assert "1 passed, 4 skipped" in text
    assert "azurite is not here. To get it: portable doctor --install" in text
    status, text = run_pytest(projects / "one", "--target", "azure", PORTABLE_REQUIRE_ALL="1", **nowhere)
    assert status == 1
    assert "azurite is not here" in text


def test_a_project_whose_app_does_not_import(projects: Path) -> None:
    (projects / "one" / "app.py").write_text("import nothing_of_this_name\napp = None\n")
    (projects / "one" / "test_one.py").write_text("def test_it(client):\n    client.get('/')\n")
    for target in ("inprocess", "local"):
        status, text = run_pytest(projects / "one", "--target", target)
        assert status == 1
        assert "No module named 'nothing_of_this_name'" in text


def test_a_client_outside_a_project_says_so(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text("def test_it(client):\n    pass\n")
    status, text = run_pytest(tmp_path)
    assert status == 1
    assert "is in no project: the client fixture takes the app of a folder with an app.py" in text


def test_a_session_without_a_project_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert not {'portable.app', 'msgspec'} & set(sys.modules)\n"
    )
    status, text = run_pytest(tmp_path)
    assert status == 0, text
