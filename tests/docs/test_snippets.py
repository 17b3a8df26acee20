"""What the documentation shows is tried: Python runs, requests are answered as shown, commands print what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from itertools import groupby
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Snippet, name_of, snippets_of

from portable.app import App
from portable.testing import TestClient

SNIPPETS = [snippet for page in PAGES for snippet in snippets_of(page)]
PROJECTS = {page: list(found) for page, found in groupby((s for s in SNIPPETS if s.kind == "file"), lambda s: s.page)}
ANSWERS = [snippet for snippet in SNIPPETS if snippet.kind == "answer"]
SCRIPTS = {
    page: list(found)
    for page, found in groupby((s for s in SNIPPETS if s.language == "python" and not s.kind), lambda s: s.page)
}
TUTORIAL = ROOT / "docs" / "tutorial.md"


def test_markers_are_known() -> None:
    kinds = {snippet.kind for snippet in SNIPPETS}
    assert kinds <= {"", "file", "fragment", "answer", "output"}


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.language == "python"], ids=str)
def test_python_compiles(snippet: Snippet) -> None:
    compile(snippet.text, str(snippet), "exec", dont_inherit=True)


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.language in ("json", "toml")], ids=str)
def test_data_can_be_read(snippet: Snippet) -> None:
    read = json.loads if snippet.language == "json" else tomllib.loads
    assert isinstance(read(snippet.text), dict)


@pytest.mark.parametrize("page", SCRIPTS, ids=name_of)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    run_scripts(page, tmp_path)


def run_scripts(page: Path, folder: Path) -> dict[str, object]:
    """The namespace after the page's snippets, which count as a file of this folder: a project with nothing else."""
    file = folder / page.name
    file.touch()
    space: dict[str, object] = {"__name__": "snippet"}
    for snippet in SCRIPTS[page]:
        # Padded, so that a traceback names the page's own line.
        source = "\n" * (snippet.line - 1) + snippet.text
        exec(compile(source, str(file), "exec", dont_inherit=True), space)
    return space


def test_the_readmes_app_answers(tmp_path: Path) -> None:
    app = run_scripts(ROOT / "README.md", tmp_path)["app"]
    assert isinstance(app, App)
    with TestClient(app, overrides={app.secret("partner-keys"): "till a-key-of-the-tills"}) as client:
        assert client.get("/orders/7?verbose=true").json() == {"order": 7, "verbose": True}
        assert client.get("/orders/seven").status == 404
        assert client.post("/orders", json={"item": "tea"}).status == 401
        headers = {"x-api-key": "a-key-of-the-tills", "idempotency-key": "1"}
        first, again = (client.post("/orders", json={"item": "tea"}, headers=headers) for _ in range(2))
        assert (first.status, first.json()) == (202, again.json())
        del headers["idempotency-key"]
        assert client.post("/orders", body="{", headers=headers).status == 400
        assert client.post("/orders", json={"item": "tea", "count": 0}, headers=headers).status == 422
        client.bucket("photos").write("cat.png", b"a cat")
        client.bucket("photos").write("cat.txt", b"no cat")
        assert client.settle().delivered == 2


@pytest.mark.parametrize("snippet", ANSWERS, ids=str)
def test_requests_are_answered_as_shown(snippet: Snippet, tmp_path: Path) -> None:
    write_project(snippet.page, tmp_path)
    method, path, *body = snippet.about.split(" ", 2)
    done = run_python(
        tmp_path,
        "-c",
        "import json, sys; from app import app; from portable.testing import TestClient\n"
        "with TestClient(app) as client:\n"
        "    method, path, *body = sys.argv[1:]\n"
        "    print(client.request(method, path, **({'json': json.loads(body[0])} if body else {})).text())",
        method,
        path,
        *body,
    )
    assert json.loads(done) == json.loads(snippet.text)


@pytest.mark.parametrize("page", PROJECTS, ids=name_of)
def test_a_pages_project_passes_its_tests(page: Path, tmp_path: Path) -> None:
    write_project(page, tmp_path)
    for script in tmp_path.glob("script*.py"):
        run_python(tmp_path, script.name)
    if list(tmp_path.glob("test_*.py")):
        run_python(tmp_path, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")


def write_project(page: Path, folder: Path) -> None:
    """The page's files, and what an installation would have made of its entry points."""
    for snippet in PROJECTS[page]:
        path = folder / snippet.about
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snippet.text, "utf-8")
    settings = folder / "pyproject.toml"
    project = tomllib.loads(settings.read_text("utf-8"))["project"] if settings.exists() else {}
    if "entry-points" in project:
        installed = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        installed.mkdir()
        installed.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
        )
        lines = [
            line
            for group, points in project["entry-points"].items()
            for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
        ]
        installed.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")


def run_python(folder: Path, *arguments: str, status: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTABLE_")}
    environment |= {"PYTHONPATH": str(folder), "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_the_tutorials_commands_print_what_is_shown(tmp_path: Path) -> None:
    shown = {snippet.about: snippet.text for snippet in snippets_of(TUTORIAL) if snippet.kind == "output"}
    assert run_python(tmp_path, "-m", "portable.cli", "new", "guestbook") == shown.pop("portable new guestbook")
    project = tmp_path / "guestbook"
    created = {path.name: path.read_text("utf-8") for path in project.iterdir()}
    write_project(TUTORIAL, project)
    for name, text in created.items():
        if name != "app.py":
            assert project.joinpath(name).read_text("utf-8") == text
    check = ("-m", "portable.cli", "check", "--target")
    assert run_python(project, *check, "aws") == shown.pop("portable check --target aws")
    app = project / "app.py"
    app.write_text(app.read_text("utf-8").replace("max_attempts=5", "max_attempts=3"), "utf-8")
    answered = run_python(project, *check, "gcp", status=1)
    assert answered == shown.pop("portable check --target gcp, with max_attempts=3")
    assert shown == {}
