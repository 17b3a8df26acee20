"""What a build and a check say of schedules: the compiled forms in the artifact, and the clocks' next changes."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portable.build.artifact import Wanted, build, check
from portable.build.description import describe_project
from portable.build.project import Project, find_project
from portable.build.schedules import check_clock_changes
from portable.cli import main
from portable.plugins import adapter

APP = """
from datetime import timedelta
from portable import App, Tick
app = App("clocks")

@app.on_schedule(cron="30 2 * * *", timezone="Europe/Paris")
def night(tick: Tick) -> None: ...

@app.on_schedule(cron="0 9 13 * 5")
def unlucky(tick: Tick) -> None: ...

@app.on_schedule(every=timedelta(hours=36))
def often(tick: Tick) -> None: ...

@app.on_schedule(cron="0 12 * * *", timezone="America/New_York")
def noon(tick: Tick) -> None: ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP), "utf-8")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "clocks"\nversion = "1"\n', "utf-8")
    return tmp_path


def test_the_changes_of_clocks_are_said_on_every_target(project: Path) -> None:
    manifest = describe_project(Project(project, "app:app")).manifest
    spring, autumn = check_clock_changes(manifest, datetime(2026, 1, 1, tzinfo=UTC))
    assert spring.message == (
        "cron '30 2 * * *': in Europe/Paris, 02:00 to 03:00 on 2026-03-29 is skipped; what is due then does not run "
        "that day"
    )
    assert "02:00 to 03:00 on 2026-10-25 comes twice; what is due then runs the first time" in autumn.message
    assert (spring.severity, spring.where) == ("info", "app.py:6")
    for target in ("aws", "gcp", "azure", "local"):
        said = [one.message for one in check(Project(project, "app:app"), adapter(target).build)[1]]
        assert sum("is skipped" in one for one in said) == 1


def test_the_artifact_says_what_the_cloud_is_told(project: Path) -> None:
    built = build(find_project(project), adapter("aws").build, Wanted(for_here=True))
    document = json.loads((built.folder / "manifest.json").read_bytes())["schedules"]
    [extra] = document["unlucky"][1:]
    assert json.loads(extra.pop("input")) == {
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "time": "<aws.scheduler.scheduled-time>",
        "portable": "overlap",
    }
    assert document == {
        "night": [{"expression": "cron(30 2 * * ? *)", "timezone": "Europe/Paris"}],
        "unlucky": [
            {"expression": "cron(0 9 13 * ? *)", "timezone": "UTC"},
            {"expression": "cron(0 9 ? * 6 *)", "timezone": "UTC", "drops": "overlap"},
        ],
        "often": [{"expression": "rate(36 hours)"}],
        "noon": [{"expression": "cron(0 12 * * ? *)", "timezone": "America/New_York"}],
    }


def test_a_check_prints_what_the_cloud_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert main(["check", "--target", "azure"]) == 0
    said = capsys.readouterr().out
    assert "  night at 0 30 0,1 * * * UTC; the entry drops some" in said
    assert "  unlucky at 0 0 9 13 * * UTC\n" in said
    assert "  often at 0 0 0,12 * * * UTC; the entry drops some" in said
    assert "app.py:6: cron '30 2 * * *' in Europe/Paris: timers on Azure run in UTC" in " ".join(said.split())
