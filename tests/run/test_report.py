"""What a report says of built artifacts: imports under the artifact's own interpreter, cold starts, budgets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portable.build.project import Project, find_project
from portable.cli.bars import start_lines, waterfall_lines
from portable.errors import ConfigError
from portable.plugins import adapter
from portable.run.building import build_to_run
from portable.run.coldstart import ColdStart, measure, measure_cold_starts
from portable.run.imports import Loading, load_function, parse_imports
from portable.run.report import make_report
from portable.run.target import open_artifact

APP = """
from portable import App

import heavy

app = App("shop")


@app.get("/hello/{name}")
def hello(name: str) -> str:
    return f"hello {name}, {heavy.WORDS}"


@app.function()
def fail(payload: dict) -> dict:
    raise ValueError("not today")
"""

TARGETS = {
    "local": ("python",),
    "aws": ("python", "aws-lambda-rie", "awslambdaric"),
    "gcp": ("python",),
    "azure": ("python", "azure-functions-runtime"),
    "container": ("python",),
}


def shop(folder: Path, settings: str = "", app: str = APP) -> Project:
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(app)
    (folder / "heavy.py").write_text(
        "import html.entities\nimport time\n\ntime.sleep(0.2)\nWORDS = len(html.entities.html5)\n"
    )
    (folder / "pyproject.toml").write_text(settings)
    return find_project(folder)


def test_importtime_is_read_as_a_tree() -> None:
    printed = "\n".join(
        [
            "import time: self [us] | cumulative | imported package",
            "import time:       100 |        100 |     b.c",
            "something the app prints",
            "import time:       200 |        300 |   b",
            "import time:        50 |         50 |   d",
            "import time:      1000 |       1350 | a",
            "import time:         7 |          7 | z",
        ]
    )
    a, z = parse_imports(printed)
    assert [one.name for one in a.children] == ["b", "d"]
    assert (a.own, a.total, z.name, z.start) == (0.001, 0.00135, "z", 0.00135)
    [c] = a.children[0].children
    assert (c.name, c.children, a.children[1].start) == ("b.c", [], 0.0003)
    loading = Loading("http", 5, [a, z])
    assert [(depth, one.name) for depth, one in loading.every()] == [(0, "a"), (1, "b"), (2, "b.c"), (1, "d"), (0, "z")]
    rows = waterfall_lines(loading, 3)
    assert [row.split()[0] for row in rows] == ["http:", "a", "b", "b.c", "and"]
    assert max(map(len, rows)) <= 80


@pytest.mark.parametrize(
    "target",
    ["local", "aws", "container", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gcp", "azure"))],
)
def test_imports_and_cold_starts_under_each_clouds_client(
    target: str, tmp_path: Path, require_part: Callable[..., object]
) -> None:
    project = shop(tmp_path / "shop")
    python = adapter(target).build.pythons[0]
    for part in TARGETS[target]:
        require_part(part, python)
    folder = build_to_run(project, target, tmp_path / "out")
    before = sorted(str(file) for file in folder.rglob("*"))
    loading = load_function(open_artifact(folder), adapter(target).build, "http", 1)
    names = {one.name: depth for depth, one in loading.every()}
    assert names["html.entities"] > names["heavy"] > names["app"]
    assert len(names) <= loading.modules == sum(1 for _ in loading.every())
    assert not {"pytest", "pluggy", "site"} & names.keys()
    starts, used = measure_cold_starts(folder, 1)
    found = {one.function: one for one in starts}
    assert found.keys() == {"http", "fail"}
    assert found["http"].failure == ""
    assert found["http"].median > 0
    assert "not today" in found["fail"].failure or target != "aws"
    assert set(TARGETS[target]) <= {*used, "python"}
    assert sorted(str(file) for file in folder.rglob("*")) == before


def test_an_app_that_does_not_load_is_said(tmp_path: Path) -> None:
    app = "import os\nfrom portable import App\n\napp = App('shop')\n\n\n@app.get('/')\ndef home() -> str: ...\n"
    project = shop(
        tmp_path / "shop", app=f"{app}\n\nif 'PYTEST_VERSION' not in os.environ:\n    raise OSError('no lamp')\n"
    )
    report = make_report(build_to_run(project, "local", tmp_path / "out"))
    assert report.loadings == []
    assert "function http does not load" in report.unknown
    assert report.unknown.endswith("OSError: no lamp")
    measured = measure(tmp_path / "out")
    assert measured.unknown == report.unknown


def test_variables_of_settings_and_of_the_command_reach_what_is_measured(tmp_path: Path) -> None:
    app = "import os\nfrom portable import App\n\napp = App(os.environ['SHOP_SIGN'])\n\n\n"
    app += "@app.get('/')\ndef home() -> str:\n    return lamp\n\n\n"
    app += "lamp = os.environ['SHOP_LAMP'] if 'PYTEST_VERSION' not in os.environ else 'off'\n"
    settings = "[tool.portable.functions.'*'.environment]\nSHOP_SIGN = 'open'\n"
    folder = build_to_run(shop(tmp_path / "shop", settings, app=app), "local", tmp_path / "out")
    artifact = open_artifact(folder)
    assert (artifact.environment, artifact.variables) == ({"http": {"SHOP_SIGN": "open"}}, {"SHOP_SIGN": "open"})
    missing = make_report(folder)
    assert "it reads SHOP_LAMP, which is not set; --env SHOP_LAMP=… sets it here" in missing.unknown
    told = make_report(folder, 1, {"SHOP_LAMP": "on"})
    assert told.unknown == ""
    assert [one.function for one in told.loadings] == ["http"]
    assert [one.failure for one in told.starts] == [""]


def test_a_slow_first_answer_is_timed_though_it_fails() -> None:
    rows = start_lines([ColdStart("http", [0.3, 0.1, 0.2]), ColdStart("fail", [0.4], "ValueError: not today")])
    assert rows[1].split()[:7] == ["http", "200", "ms", "100", "ms", "300", "ms"]
    assert "ValueError: not today" in rows[3]


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTABLE_")}
    command = [sys.executable, "-m", "portable.cli", *arguments, "--target", "local", "--project", str(project.root)]
    return subprocess.run(
        command, env=environment | {"COLUMNS": "80"}, capture_output=True, text=True, check=False, encoding="utf-8"
    )


def test_the_command_and_a_budget_of_what_a_run_shows(tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", "[tool.portable.budget]\nunpacked = '900 MB'\n")
    built = run(project, "build")
    assert built.returncode == 0, built.stderr
    manifest = project.root / "dist" / "local" / "manifest.json"
    kept = manifest.read_bytes()
    shop(project.root, "[tool.portable.budget]\nimports = 5\nfunctions.http.cold_start = '1 ms'\n")
    refused = run(project, "build")
    assert refused.returncode == 1
    for said in ("http, imports", "fail, imports", "http, cold start", "pyproject.toml:3", "nothing is written"):
        assert said in refused.stderr
    assert "fail, cold start" not in refused.stderr
    assert manifest.read_bytes() == kept
    told = run(project, "report", "--cold-start", "--runs", "1")
    assert told.returncode == 1, told.stderr
    for said in ("shop for local", "heavy", "cold start, runs: 1, under python", "over the budget", "not today"):
        assert said in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80
    shop(project.root, "[tool.portable.budget]\nimports = 5000\ncold_start = '900 s'\n")
    assert run(project, "build").returncode == 0
    assert run(project, "report").returncode == 0


def test_what_cannot_be_reported_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no artifact"):
        make_report(tmp_path)
