from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portable.cli import main
from portable.cli.parser import COMMANDS, make_parser
from portable.cli.reference import page

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("build", …)``: the exit status, and what went to standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as ended:  # argparse
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["new", "shop"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def portable(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "portable.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def add_function(project: Path, name: str, body: str) -> None:
    app = (project / "app.py").read_text()
    added = f"\n\n@app.function()\ndef {name}(payload: dict[str, int]) -> dict[str, int]:\n    {body}\n"
    (project / "app.py").write_text(app + added)


# --- help


def test_the_reference_page_is_true() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text("utf-8") == page(), "python -m portable.cli.reference FILE"


def test_every_command_and_option_has_help() -> None:
    parser = make_parser()
    (commands,) = (action for action in parser._actions if isinstance(action.choices, dict))
    assert commands.choices is not None
    assert list(commands.choices) == list(COMMANDS)
    for name, one in commands.choices.items():  # type: ignore[attr-defined]
        assert one.description.strip(), name
        for action in one._actions:
            assert action.help, f"{name} {action.dest}"


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_in_80_columns(run: Run, name: str) -> None:
    status, out, err = run(*[name] * bool(name), "--help")
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80


def test_no_arguments_show_the_help(run: Run) -> None:
    status, out, _ = run()
    assert status == 0
    assert "usage: portable" in out


def test_version(run: Run) -> None:
    assert run("--version")[1] == "portable 0.1.0\n"


def test_help_imports_nothing_it_does_not_need() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nfrom portable.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'asyncio', 'dataclasses', 'fastapi', 'msgspec', 'pluggy', 'portable_aws', 'portable_local',"
        " 'portable.app', 'portable.build', 'portable.manifest', 'portable.run', 'subprocess'}"
        " & set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- mistakes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bild --target aws", "portable: no command 'bild'; did you mean 'build'?"),
        ("zzz", "portable: no command 'zzz'; there are new, dev, invoke"),
        ("build --target asw", "portable build: no target 'asw'; did you mean 'aws'?"),
        ("check --target zzz", "portable check: no target 'zzz'; there are aws, azure, container, gcp, local"),
        ("build --targt aws", "portable build: no option --targt; did you mean --target?"),
        ("openapi --bad=1", "portable openapi: no option --bad; see portable openapi --help"),
        ("check --target aws more", "portable check: no place for 'more'; see portable check --help"),
        ("check --target aws --all", "portable check: --target or --all: one of them"),
        ("plan --from aws --to aws", "portable plan: --from and --to are both aws"),
        ("report --target aws", "is no artifact: it has no manifest.json; `portable build`"),
        ("run nowhere --env 1=2", "portable run: --env 1=2: NAME=VALUE"),
        ("verify --targets aws,lokal", "portable verify: no target 'lokal'; did you mean 'local'?"),
        ("doctor --target zzz", "portable doctor: no target 'zzz'"),
        ("build --target local --project nowhere", "nowhere is no folder; a project is"),
        ("build --target local --app other:app", "portable build: no module 'other'"),
        ("build --target local --python 2.7", "portable build: local does not run Python 2.7; it runs 3"),
        ("run dist/aws", "portable run: dist/aws is no artifact"),
        ("new Shop", "portable new: app name 'Shop' is not allowed"),
        ("invoke htpp", "portable invoke: app 'shop' has no function 'htpp'"),
        ("invoke http --event nowhere.json", "portable invoke: nowhere.json cannot be read: No such file"),
        ("invoke http --event app.py", "portable invoke: app.py is not JSON"),
        ("events wite-down", "no function, handler or route 'wite-down'; did you mean 'write-down'?"),
        ("events http --source http-api", "portable events: a neutral event has no source"),
        ("events http --target local --source zzz", "portable events: no source 'zzz' of http events"),
    ],
)
def test_a_mistake_is_one_message(project: Path, run: Run, line: str, message: str) -> None:
    status, _, err = run(*line.split())
    assert status == 2
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("build", "required: --target; targets: aws, azure, container, gcp, local"),
        ("plan --from aws", "required: --to; targets: aws"),
        ("dev --port 65536", "a number from 0 to 65535, got '65536'"),
        ("run dist --port -1", "a number from 0 to 65535"),
        ("invoke", "required: FUNCTION\n"),
    ],
)
def test_what_an_option_needs_is_said(capsys: pytest.CaptureFixture[str], line: str, message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_pipe_that_has_fewer_characters(project: Path, encoding: str) -> None:
    app = project / "app.py"
    app.write_text(app.read_text("utf-8").replace("max_attempts=5", "max_attempts=3"), "utf-8")
    command = [sys.executable, "-m", "portable.cli", "check", "--target", "gcp", "--project", str(project)]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True, check=False)
    assert done.stderr == b""
    assert done.returncode == 1
    assert b"-> max_attempts=5" in done.stdout


def test_an_app_that_does_not_import(project: Path) -> None:
    (project / "app.py").write_text("import json\n\njson.loads('{')\n")
    done = portable("build", "--target", "local", cwd=project)
    assert done.returncode == 2
    assert done.stderr.splitlines()[:3] == [
        "portable build: app does not import:",
        '  File "app.py", line 3, in <module>',
        "    json.loads('{')",
    ]
    assert "Traceback" not in done.stderr
    assert not (project / "dist").exists()


def test_interrupted(project: Path, run: Run) -> None:
    (project / "app.py").write_text("raise KeyboardInterrupt\n")
    assert run("check", "--target", "local")[0] == 130


def test_a_reader_that_leaves(project: Path) -> None:
    command = f"{sys.executable} -m portable.cli doctor | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


# --- new


def test_a_new_project_passes_its_test(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert sorted(path.name for path in project.iterdir() if path.name[0] not in "_.") == [
        "README.md",
        "app.py",
        "pyproject.toml",
        "test_app.py",
    ]


@pytest.mark.parametrize("target", ["aws", "gcp", "azure", "local"])
def test_a_new_project_asks_nothing_that_a_cloud_has_not(project: Path, run: Run, target: str) -> None:
    status, out, _ = run("check", "--target", target)
    assert status == 0
    assert "\nerror" not in out
    assert "  http: 2 routes, bucket:book, queue:guests\n" in out


def test_new_leaves_what_is_there(project: Path, run: Run) -> None:
    assert run("new", "inner")[0] == 0
    status, _, err = run("new", "inner")
    assert (status, err) == (2, "portable new: inner is there already; choose another name\n")


# --- events and invoke


def test_an_event_printed_is_an_event_taken(project: Path, run: Run) -> None:
    add_function(project, "recount", "return {name: 2 * count for name, count in payload.items()}")
    (project / "event.json").write_text('{"a": 1}')
    status, out, _ = run("invoke", "recount", "--event", "event.json")
    assert (status, json.loads(out)) == (0, {"a": 2})
    for function, route in (("http", "GET /hello/{name}"), ("write-down", "write_down")):
        status, out, _ = run("events", route)
        assert status == 0
        (project / "event.json").write_text(out)
        assert run("invoke", function, "--event", "event.json")[0] == 0
    status, out, _ = run("events", "list_guests")
    (project / "event.json").write_text(out)
    status, out, _ = run("invoke", "http", "--event", "event.json")
    assert out.startswith("200\ncontent-type: application/json\n")
    assert json.loads(out.partition("\n\n")[2]) == ["Ada"]


def test_a_handler_that_fails(project: Path, run: Run) -> None:
    add_function(project, "fail", "1 / 0")
    (project / "event.json").write_text("{}")
    status, _, err = run("invoke", "fail", "--event", "event.json")
    assert status == 1
    assert err.splitlines()[0] == "Traceback (most recent call last):"
    assert err.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert "invoke.py" not in err


@pytest.mark.parametrize("target", ["aws", "gcp", "azure", "local"])
def test_a_clouds_own_event(project: Path, run: Run, target: str) -> None:
    status, out, _ = run("events", "http", "--target", target)
    assert status == 0
    assert "/hello/sample" in out
    json.loads(out)


# --- build


def test_build_prints_what_it_wrote(project: Path, run: Run) -> None:
    status, out, err = run("build", "--target", "local")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:4]] == ["files", "portable", "msgspec", "app"]
    assert max(map(len, out.splitlines())) <= 80 + len(str(project))
    assert (project / "dist/local/bundle.zip").is_file()


def test_errors_stop_a_build(project: Path, run: Run) -> None:
    app = (project / "app.py").read_text()
    (project / "app.py").write_text(app.replace("max_attempts=5", "max_attempts=3"))
    status, _, err = run("build", "--target", "gcp")
    assert status == 1
    assert err.startswith("error app.py:14: queue guests: ")
    assert "→ max_attempts=5" in err
    assert not (project / "dist").exists()


# --- openapi


def test_openapi_is_printed_and_written(project: Path, run: Run) -> None:
    status, out, _ = run("openapi", "--server", "https://api.example.com")
    assert status == 0
    document = json.loads(out)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "shop"
    assert document["servers"] == [{"url": "https://api.example.com"}]
    assert document["paths"]
    assert run("openapi", "--output", "openapi.json")[:2] == (0, "")
    del document["servers"]
    assert json.loads((project / "openapi.json").read_text("utf-8")) == document


def test_openapi_as_yaml(project: Path, run: Run) -> None:
    yaml = pytest.importorskip("yaml")
    assert run("openapi", "--output", "openapi.yaml")[0] == 0
    assert yaml.safe_load((project / "openapi.yaml").read_text("utf-8")) == json.loads(run("openapi")[1])
    assert run("openapi", "--yaml")[1] == (project / "openapi.yaml").read_text("utf-8")


def test_openapi_of_what_cannot_be_described(project: Path, run: Run) -> None:
    route = '\n\n@app.get("/odd", responses={700: "x"})\ndef odd() -> None: ...\n'
    (project / "app.py").write_text((project / "app.py").read_text() + route)
    status, out, error = run("openapi")
    assert (status, out) == (2, "")
    assert "GET /odd at " in error
    assert "a status is 200 to 599" in error
