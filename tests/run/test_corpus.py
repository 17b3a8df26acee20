"""A generated corpus: what it holds, and that it is answered alike on every target."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable.build.project import Project, find_project
from portable.errors import ConfigError
from portable.manifest import Manifest, describe_app
from portable.plugins import adapter
from portable.run import parts, traffic
from portable.run.corpus import FILE, corpus
from portable.run.target import open_artifact
from portable.run.traffic import EventStep, RequestStep, SettleStep, SnapshotStep
from portable.run.verify import verify

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    ignored = shutil.ignore_patterns(".portable", "dist", "__pycache__")
    return find_project(shutil.copytree(CORPUS, tmp_path / "corpus", ignore=ignored))


@pytest.fixture
def manifest(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manifest]:
    monkeypatch.syspath_prepend(str(project.root))
    sys.modules.pop("app", None)
    import app

    yield describe_app(app.app, "app:app", project.root)
    sys.modules.pop("app", None)


def test_what_a_corpus_holds(manifest: Manifest, project: Project) -> None:
    written = traffic.load(project.root, manifest)
    assert written is not None
    steps = corpus(manifest, 150, 0, written)
    *drawn, settle, snapshot = steps
    assert isinstance(settle, SettleStep)
    assert isinstance(snapshot, SnapshotStep)
    assert len({msgspec.json.encode(step) for step in drawn}) == len(drawn) == 150
    asked = [step for step in drawn if isinstance(step, RequestStep)]
    events = [step for step in drawn if isinstance(step, EventStep)]
    assert (len(asked), len(events)) == (100, 50)
    assert {step.function for step in events} == {
        function.name for function in manifest.functions if function.kind != "http"
    }
    assert {step.method for step in asked} >= {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}
    names = [[name for name, _ in step.headers] for step in asked]
    assert any(len(set(one)) < len(one) for one in names), "a header is repeated"
    assert {"cookie", "origin", "range", "if-none-match", "accept-encoding"} <= {name for one in names for name in one}
    kinds = {value.partition(";")[0] for step in asked for name, value in step.headers if name == "content-type"}
    assert len(kinds) > 4, "bodies of several kinds"
    assert any(len(step.event["messages"]) > 1 for step in events if step.function == "take-several")
    bodies = [step.base64 for step in asked if step.base64]
    assert any(b"customer" in body for body in bodies), "words of the project's own"
    for step in asked:
        traffic.request_of(step, project.root)


def test_equal_seeds_draw_equal_corpora(manifest: Manifest) -> None:
    first = corpus(manifest, 10, 7)
    assert first == corpus(manifest, 10, 7)
    assert first != corpus(manifest, 10, 8)


def test_an_app_without_anything_to_send_to(manifest: Manifest) -> None:
    with pytest.raises(ConfigError, match="no routes and no triggers"):
        corpus(msgspec.structs.replace(manifest, functions=[]), 3, 0)


def test_without_hypothesis(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ConfigError, match=r"pip install 'portable-functions\[verify\]'"):
        corpus(manifest, 3, 0)


def test_a_corpus_finds_what_differs(project: Project, memory_cloud: Any) -> None:
    def bend(function: str, answer: Any) -> Any:
        if function == "http" and answer["status"] == 404:
            return {**answer, "status": 410}
        return answer

    memory_cloud(None, "one")
    memory_cloud(None, "two", bend)
    said: list[str] = []
    found = verify(project, ["one", "two"], corpus=60, seed=3, say=said.append)
    assert (found.steps, found.source) == (62, "a corpus of seed 3")
    assert {one.field for one in found.undeclared} == {"status"}
    kept = project.root / ".portable" / "verify" / FILE
    assert f"the corpus is in {kept}" in said
    shutil.copy(kept, project.root / traffic.FILE)
    again = traffic.load(project.root, open_artifact(kept.with_name("one")).manifest)
    assert again is not None
    assert len(again) == found.steps, "a corpus is a verify.json"


@pytest.fixture
def require_targets(require_part: Callable[..., Any]) -> Callable[..., None]:
    def require(*targets: str) -> None:
        for target in targets:
            found = adapter(target)
            python = found.build.pythons[0]
            for name in found.run.parts:
                require_part(name, python if parts.named(name).python(python) else None)
            for name in found.run.emulators:
                require_part(name)

    return require


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_corpus_is_answered_alike_on_every_target(project: Project, require_targets: Callable[..., None]) -> None:
    targets = ["local", "aws", "gcp", "azure", "container"]
    require_targets(*targets)
    report = verify(project, targets, corpus=330, seed=1)
    assert report.status == 0, report.text()
    assert report.steps == 332
    assert [one.target for one in report.targets] == targets
    assert all(one.parts for one in report.targets)
