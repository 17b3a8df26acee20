"""What the settings say of images, by target and stage, and beside the command's options."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import check
from portable.build.image.settings import image_settings
from portable.build.project import Project
from portable.cli import main
from portable.errors import ConfigError
from portable_aws.build import TARGET as AWS
from portable_local.build import TARGET as LOCAL

from .conftest import APP, Layout, write_base

Make = Callable[..., Project]
SETTINGS = """
[tool.portable.image]
base = "registry.example.com/python:3.13"
push = "registry.example.com/team/shop:dev"
arch = ["arm64", "x86_64"]

[tool.portable.aws.image]
arch = "arm64"

[tool.portable.stages.prod.image]
push = "registry.example.com/team/shop:1"
"""


def with_settings(make_project: Make, settings: str) -> Project:
    return make_project({"app.py": APP, "pyproject.toml": settings})


def test_a_targets_and_a_stages_are_laid_over_the_common_ones(make_project: Make, target: Any) -> None:
    project = with_settings(make_project, SETTINGS)
    found = image_settings(project, AWS)
    assert found.base == "registry.example.com/python:3.13"
    assert found.push == "registry.example.com/team/shop:dev"
    assert found.arch == ("arm64",)
    assert image_settings(project, target).arch == ("arm64", "x86_64")
    assert image_settings(project.at_stage("prod"), AWS).push == "registry.example.com/team/shop:1"


def test_a_layouts_folder_is_the_projects(make_project: Make) -> None:
    project = with_settings(make_project, '[tool.portable.image]\nbase = "bases/python"\n')
    assert image_settings(project, AWS).base == "bases/python"  # no folder yet, so it is Docker Hub's
    write_base(project.root / "bases" / "python")
    assert image_settings(project, AWS).base == str(project.root / "bases" / "python")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[tool.portable.image]\n\nbas = 'x'", "pyproject.toml:3: an image has no setting 'bas'; did you mean 'base'?"),
        ("[tool.portable.image]\nbase = 3", ":2: [tool.portable.image] base is a text, got 3"),
        ("[tool.portable.image]\nbase = 'A:b:c'", ":2: [tool.portable.image] base: 'A:b:c' is no reference"),
        ("[tool.portable.image]\nbase = './here'", ":2: [tool.portable.image] base = './here' is no folder of an OCI"),
        ("[tool.portable.image]\npush = 'Shop'", ":2: [tool.portable.image] push: 'Shop' is no reference"),
        (
            f"[tool.portable.image]\npush = 'x@sha256:{'0' * 64}'",
            ":2: [tool.portable.image] push = 'x@sha256:" + "0" * 64 + "': an image is pushed to a tag",
        ),
        ("[tool.portable.image]\narch = 'arm'", ":2: [tool.portable.image] arch is one or a list of x86_64, arm64"),
        ("[tool.portable.image]\narch = ['arm64', 'arm64']", "[tool.portable.image] arch names one twice"),
        ("[tool.portable.aws]\nimage = 'x'", ":2: [tool.portable.aws.image] is a table of base, push and arch"),
        ("[tool.portable.aws.image]\npush = ''", ":2: [tool.portable.aws.image] push is a text, got ''"),
        ("[tool.portable]\nimage = 'x'", "[tool.portable] has no setting 'image'"),
        ("[tool.portable.stages.dev.image]\npush = 4", ":2: [tool.portable.image] push is a text, got 4"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(settings: str, message: str, make_project: Make) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(with_settings(make_project, settings).at_stage(None), AWS)


def test_a_target_without_images_has_no_such_table(make_project: Make) -> None:
    project = with_settings(make_project, "[tool.portable.local.image]\nbase = 'x'\n")
    with pytest.raises(ConfigError, match=r":1: \[tool.portable.local\] has no setting 'image'"):
        check(project, LOCAL)


def test_options_go_before_them(
    make_project: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_settings(make_project, '[tool.portable.image]\nbase = "base"\narch = ["arm64", "x86_64"]\n')
    write_base(project.root / "base", ("amd64", "arm64"))
    monkeypatch.chdir(project.root)
    made = project.root / "dist" / "aws" / "image"
    assert main(["build", "--target", "aws"]) == 0
    assert not made.exists()
    assert main(["build", "--target", "aws", "--image"]) == 0
    assert [one["platform"]["architecture"] for one in Layout(made).top["manifests"]] == ["arm64", "amd64"]
    assert main(["build", "--target", "aws", "--base", str(write_base(tmp_path / "x")), "--arch", "x86_64"]) == 0
    assert Layout(made).config()["architecture"] == "amd64"
    capsys.readouterr()
    assert main(["build", "--target", "aws", "--push"]) == 2
    assert 'push = "…" in [tool.portable.image]' in capsys.readouterr().err
