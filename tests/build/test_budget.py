"""Sizes by distribution, and budgets that stop a build."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import build, check
from portable.build.budget import BudgetError, Measured
from portable.build.project import Project
from portable.cli.bars import bar, excess_lines, size_lines
from portable.errors import ConfigError

Make = Callable[..., Project]
Wheels = Callable[..., Path]


def project_with(make_project: Make, budget: str, files: Mapping[str, str] | None = None) -> Project:
    return make_project({"pyproject.toml": budget, "requirements.txt": "", **(files or {})})


def over(project: Project, target: Any, **more: Any) -> BudgetError:
    with pytest.raises(BudgetError) as caught:
        build(project, target, **more)
    return caught.value


@pytest.mark.parametrize("folder", ["", "vendored/packages"])
def test_each_distribution_weighs_what_its_files_do(
    make_project: Make, target: Any, wheels: Wheels, folder: str
) -> None:
    wheels("smallthing", "1.0", ["other-thing"])
    wheels("other_thing", "2.0")
    target.dependency_folder = folder
    built = build(make_project({"requirements.txt": "smallthing\n"}), target)
    root = built.folder / "bundle"
    found = {part.name: part for part in built.parts[""]}
    assert found.keys() == {"app", "portable", "smallthing", "other-thing"}
    mine = [
        file
        for file in (root / folder).rglob("*")
        if file.is_file() and file.relative_to(root / folder).parts[0].startswith("smallthing")
    ]
    assert any(file.suffix == ".pyc" for file in mine)
    assert (found["smallthing"].files, found["smallthing"].size) == (len(mine), sum(f.stat().st_size for f in mine))
    assert sum(part.size for part in found.values()) == sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
    recorded = json.loads((built.folder / "manifest.json").read_bytes())["sizes"][""]
    assert recorded["other-thing"] == {
        "files": found["other-thing"].files,
        "size": found["other-thing"].size,
        "packed": found["other-thing"].packed,
    }
    rows = size_lines(built.parts)
    assert max(map(len, rows)) <= 80
    assert [row.split()[0] for row in rows[1:-1]] == [part.name for part in built.parts[""]]
    assert "(3 more)" in "\n".join(size_lines(built.parts, 1))


def test_a_bar_is_as_long_as_the_share() -> None:
    assert bar(1.0, 0.5, 10) == "█████░░░░░"
    assert bar(0.001, 1.0, 10) == "░"
    assert bar(0.0) == ""


def test_sizes_over_the_budget_stop_the_build(make_project: Make, target: Any) -> None:
    project = project_with(make_project, "[tool.portable.budget]\nzip = '900 MB'\n")
    built = build(project, target)
    before = (built.folder / "manifest.json").read_bytes()
    budget = """
[tool.portable.budget]
zip = "1 kB"
unpacked = 2000
packages.portable = "0.5 MiB"
packages.app = "1 MB"

[tool.portable.plain.budget.functions.take-order]
zip = "2 kB"
"""
    error = over(project_with(make_project, budget), target)
    found = {(one.limit.what, one.limit.function): one for one in error.excesses}
    assert found.keys() == {("zip", ""), ("unpacked", ""), ("packages.portable", ""), ("zip", "take-order")}
    assert found["packages.portable", ""].limit.most == 2**19
    assert found["unpacked", ""].found == sum(part.size for part in error.parts[""])
    assert [one.limit.where for one in error.excesses] == [f"pyproject.toml:{line}" for line in (3, 4, 5, 9)]
    assert "pyproject.toml:3: bundle.zip is" in str(error)
    table = excess_lines(error.excesses)
    assert "2.0 kB" in table[3]
    assert table[-1].strip() == "pyproject.toml:9: functions.take-order.zip"
    assert max(map(len, table)) <= 80
    assert (built.folder / "manifest.json").read_bytes() == before
    assert not list(built.folder.parent.glob("*.fresh*"))


def test_a_stage_has_a_budget_of_its_own(make_project: Make, target: Any) -> None:
    text = '[tool.portable.budget]\nzip = "900 MB"\n\n[tool.portable.stages.prod.budget]\nzip = "1 kB"\n'
    project = project_with(make_project, text)
    build(project, target)
    assert [one.limit.most for one in over(project.at_stage("prod"), target).excesses] == [1000]


def test_a_package_that_is_in_no_bundle_is_said(make_project: Make, target: Any) -> None:
    project = project_with(make_project, '[tool.portable.budget]\npackages."Ruamel_yaml" = "1 MB"\n')
    [finding] = build(project, target).findings
    assert (finding.severity, finding.where) == ("info", "pyproject.toml:2")
    assert "ruamel-yaml, which is in no bundle" in finding.message


def test_what_only_a_run_shows_is_measured_once_the_sizes_are_right(make_project: Make, target: Any) -> None:
    budget = "[tool.portable.budget]\ncold_start = '300 ms'\n\n[tool.portable.budget.functions.http]\nimports = 10\n"
    seen: list[set[str]] = []

    def measure(folder: Path, wanted: Collection[str]) -> Measured:
        assert wanted == {"cold_start", "imports"}
        seen.append({file.name for file in folder.iterdir()})
        return Measured({"http": 0.25, "take-order": 0.5}, {"http": 11, "take-order": 90})

    project = project_with(make_project, budget)
    error = over(project, target, measure=measure)
    assert seen
    assert {"manifest.json", "bundle"} <= seen[0]
    assert [(one.of, *one.cells) for one in error.excesses] == [
        ("take-order, cold start", "500 ms", "300 ms", "200 ms"),
        ("http, imports", "11", "10", "1"),
    ]
    assert not (project.root / "dist" / "plain").exists()
    [finding] = build(project, target, measure=lambda *_: Measured(unknown="no Python here")).findings
    assert (finding.severity, finding.where) == ("warning", "pyproject.toml:2")
    assert finding.message == "what the budget says of starting is not checked: no Python here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain.budget = 3", "pyproject.toml:2: [tool.portable.plain.budget] is a table, got 3"),
        ("budget.zap = '1 MB'", "pyproject.toml:2: a budget has no 'zap'; did you mean 'zip'?"),
        ("budget.zip = '1 Mb'", 'pyproject.toml:2: zip is text like "5 MB", in B, kB, MB, GB, KiB, MiB, GiB; got'),
        ("budget.cold_start = '1 MB'", "pyproject.toml:2: cold_start is text like \"300 ms\", in ms, s; got '1 MB'"),
        ("budget.imports = '9'", "pyproject.toml:2: imports is a number of modules, got '9'"),
        ("budget.packages = '9'", "pyproject.toml:2: [tool.portable.budget.packages] is a table, got '9'"),
        ("budget.packages.pillow = -1", "pyproject.toml:2: pillow is text like"),
        ("budget.functions.htp.zip = '1 MB'", "pyproject.toml:2: 'htp' is no function; did you mean 'http'?"),
        ("plain.budget.zip = true", "pyproject.toml:2: zip is text like"),
    ],
)
def test_a_wrong_budget_is_refused_with_its_line(make_project: Make, target: Any, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(project_with(make_project, f"[tool.portable]\n{text}\n"), target)
    assert said in str(caught.value)
