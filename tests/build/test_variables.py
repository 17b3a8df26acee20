"""Variables that an app reads while it is imported: of the settings, of the shell, and what is said of missing ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from portable.build.description import describe_project, imported_app
from portable.build.project import Project
from portable.build.settings import variables_of
from portable.build.variables import declared_variables, unset_variable
from portable.cli.parser import main
from portable.dev.worker import prepare
from portable.errors import BuildError, ConfigError

Make = Callable[..., Project]

APP = """
import os

from portable import App

app = App(os.environ["SHOP_NAME"])


@app.get("/", function="front")
def front() -> str:
    return os.environ.get("SHOP_SIGN", "")
"""
SETTINGS = """
[tool.portable.functions."*".environment]
SHOP_NAME = "corner"
SHOP_SIGN = "open"

[tool.portable.functions.front.environment]
SHOP_SIGN = "sale"

[tool.portable.gcp.functions."*".environment]
SHOP_NAME = "cloud"

[tool.portable.stages.prod.functions."*".environment]
SHOP_NAME = "high-street"
"""


def test_an_app_is_imported_with_the_variables_of_its_functions(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project({"app.py": APP, "pyproject.toml": SETTINGS})
    monkeypatch.setenv("SHOP_NAME", "another-shells")  # what is deployed does not depend on it
    assert describe_project(project).manifest.app == "corner"
    assert describe_project(project, "gcp").manifest.app == "cloud"
    assert describe_project(project.at_stage("prod"), "aws").manifest.app == "high-street"
    assert os.environ["SHOP_NAME"] == "another-shells"
    with imported_app(project):
        assert os.environ["SHOP_SIGN"] == "sale"
    assert "SHOP_SIGN" not in os.environ
    manifest = describe_project(project).manifest
    assert variables_of(project, "gcp", manifest) == {"front": {"SHOP_NAME": "cloud", "SHOP_SIGN": "sale"}}
    assert declared_variables(make_project({"app.py": APP}, "none"), "aws") == {}


def test_a_missing_variable_is_named_with_the_way_out(
    make_project: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SHOP_NAME", raising=False)
    project = make_project({"app.py": APP})
    monkeypatch.chdir(project.root)
    with pytest.raises(BuildError, match=r'environment has no SHOP_NAME(.|\n)*functions."\*".environment') as caught:
        describe_project(project)
    assert "frozen os" not in str(caught.value)
    for command in (["check", "--target", "aws"], ["build", "--target", "gcp"], ["openapi"]):
        assert main(command) == 2
        assert "SHOP_NAME=… portable" in capsys.readouterr().err
    monkeypatch.setenv("SHOP_NAME", "here")
    assert describe_project(project).manifest.app == "here"
    other = make_project({"app.py": "limits = {}\nlimit = limits['SHOP_NAME']\n"}, "other")
    with pytest.raises(BuildError) as caught:
        describe_project(other)
    assert "environment" not in str(caught.value)


def test_a_missing_variable_is_seen_in_what_another_process_printed() -> None:
    for code in ("import os; os.environ['SHOP_NAME']", "{}['SHOP_NAME']"):
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
        assert unset_variable(done.stderr) == ("SHOP_NAME" if "os" in code else "")
        assert unset_variable(done.stderr.rstrip()) == unset_variable(done.stderr)


def test_dev_has_them_below_the_shells(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project({"app.py": APP, "pyproject.toml": SETTINGS})
    monkeypatch.chdir(project.root)
    for name in ("SHOP_NAME", "PORTABLE_LOCAL_STATE"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("SHOP_SIGN", "")
    monkeypatch.delenv("SHOP_SIGN")
    prepare(project.root)
    assert (os.environ["SHOP_NAME"], os.environ["SHOP_SIGN"]) == ("mine", "sale")


def test_what_is_no_table_is_refused_where_settings_are_read(make_project: Make) -> None:
    for text in ('functions."*".environment = 5', "functions.front = 5", 'functions."*".environment.SHOP_NAME = 5'):
        project = make_project({"app.py": APP.replace('os.environ["SHOP_NAME"]', '"x"'), "pyproject.toml": ""})
        (project.root / "pyproject.toml").write_text(f"[tool.portable]\n{text}\n")
        project = make_project({"app.py": APP.replace('os.environ["SHOP_NAME"]', '"x"')})
        manifest = describe_project(project).manifest
        with pytest.raises(ConfigError, match=r"pyproject.toml:2"):
            variables_of(project, "aws", manifest)
