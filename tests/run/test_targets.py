"""`portable verify` over an app made of the edges where clouds differ, with every target's real parts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build.project import find_project
from portable.plugins import adapter
from portable.run import parts
from portable.run.verify import verify

FIDELITY = Path(__file__).parent / "fidelity"
TOPICS = FIDELITY.with_name("topics")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def require_target(require_part: Callable[..., Any]) -> Callable[[str], None]:
    def require(target: str) -> None:
        found = adapter(target)
        python = found.build.pythons[0]
        for name in found.run.parts:
            require_part(name, python if parts.named(name).python(python) else None)
        for name in found.run.emulators:
            require_part(name)

    return require


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["aws", "gcp", "azure"])
def test_a_target_answers_as_the_local_one_does(
    target: str, require_target: Callable[[str], None], tmp_path: Path
) -> None:
    require_target(target)
    ignored = shutil.ignore_patterns(".portable", "dist", "__pycache__")
    project = find_project(shutil.copytree(FIDELITY, tmp_path / "fidelity", ignore=ignored))
    report = verify(project, ["local", target])
    assert report.status == 0, f"\n{report.text()}\n\n{log_of(project.root, target)}"
    assert report.steps > 90
    assert [one.target for one in report.targets] == ["local", target]
    assert all(one.parts for one in report.targets)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_a_topic_reaches_its_handlers_as_on_the_local_target(
    target: str, require_target: Callable[[str], None], tmp_path: Path
) -> None:
    require_target(target)
    project = find_project(shutil.copytree(TOPICS, tmp_path / "topics"))
    report = verify(project, ["local", target])
    assert report.status == 0, f"\n{report.text()}\n\n{log_of(project.root, target)}"
    assert report.steps == 17


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [path.parent.name for path in sorted(EXAMPLES.glob("*/verify.json"))])
def test_an_example_is_the_same_on_every_target(
    name: str, require_target: Callable[[str], None], tmp_path: Path
) -> None:
    targets = ["local", "aws", "gcp", "azure"]
    for target in targets:
        require_target(target)
    ignored = shutil.ignore_patterns(".portable", "dist", "__pycache__")
    report = verify(find_project(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=ignored)), targets)
    assert report.status == 0, report.text()
    assert [one.target for one in report.targets] == targets


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_forms_and_the_ready_made_middleware_are_the_same_on_every_target(
    require_target: Callable[[str], None], tmp_path: Path
) -> None:
    targets = ["local", "aws", "gcp", "azure"]
    for target in targets:
        require_target(target)
    report = verify(find_project(shutil.copytree(FIDELITY.with_name("forms"), tmp_path / "forms")), targets)
    assert report.status == 0, report.text()
    assert report.steps > 40
    assert [one.target for one in report.targets] == targets


def log_of(root: Path, target: str) -> str:
    log = root / ".portable" / "verify" / f"{target}.log"
    return log.read_text("utf-8")[-3000:] if log.is_file() else ""
