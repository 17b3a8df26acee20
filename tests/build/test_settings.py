"""What the settings ask of functions, by target and stage, and where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from portable.build.artifact import build
from portable.build.deployment import Deployment, describe_deployment
from portable.build.description import describe_project
from portable.build.infrastructure import infrastructure_files
from portable.build.places import find_line
from portable.build.project import Project, merged
from portable.build.settings import existing_resources, function_settings
from portable.errors import ConfigError
from portable.run.target import open_artifact

Make = Callable[..., Project]

SETTINGS = """
[tool.portable]
log_retention = 7

[tool.portable.functions."*"]
environment = { LEVEL = "info" }

[tool.portable.functions.http]
memory = 256
min_instances = 1

[tool.portable.plain.functions.http]
memory = 512
concurrency = 10

[tool.portable.resources]
"queue:orders" = { name = "acme-orders" }

[tool.portable.stages.prod]
log_retention = 90

[tool.portable.stages.prod.functions.http]
min_instances = 3
environment = { LEVEL = "warning", MODE = "live" }
"""


def asked(make_project: Make, stage: str | None, text: str = SETTINGS) -> Project:
    return make_project({"pyproject.toml": text}).at_stage(stage)


def test_settings_are_laid_over_one_another(make_project: Make) -> None:
    project = asked(make_project, None)
    manifest = describe_project(project).manifest
    found = function_settings(project, "plain", manifest, "arm64")
    assert (found["http"].memory, found["http"].concurrency, found["http"].min_instances) == (512, 10, 1)
    assert found["http"].arch == "arm64"
    assert found["take-order"].environment == {"LEVEL": "info"}
    assert (found["take-order"].memory, project.log_retention) == (None, 7)
    assert function_settings(project, "aws", manifest)["http"].memory == 256
    assert existing_resources(project, manifest) == {"queue:orders": "acme-orders"}


def test_a_stage_is_laid_over_them(make_project: Make) -> None:
    project = asked(make_project, "prod")
    http = function_settings(project, "plain", describe_project(project).manifest)["http"]
    assert (http.memory, http.min_instances, project.log_retention, project.stage) == (512, 3, 90, "prod")
    assert http.environment == {"LEVEL": "warning", "MODE": "live"}
    assert asked(make_project, "dev").stage == "dev"
    with pytest.raises(ConfigError, match=r"pyproject\.toml:\d+: there is no stage 'prdo'; did you mean 'prod'"):
        asked(make_project, "prdo")
    with pytest.raises(ConfigError, match="stage 'Prod': lower-case"):
        asked(make_project, "Prod")
    assert asked(make_project, "anything", "").stage == "anything"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.portable.functions.htpt]\nmemory = 1", r":2: \[tool.portable.functions\] names 'htpt', .*mean 'http'"),
        ("[tool.portable.functions.http]\nmemry = 1", r":3: a function has no setting 'memry'; did you mean 'memory'"),
        ("[tool.portable.functions.http]\n\nmemory = '1'", r":4: http\.memory is a whole number from 1 on, got '1'"),
        ("[tool.portable.functions]\nhttp.timeout = 0", r":3: http\.timeout is seconds, more than 0, got 0"),
        ("[tool.portable.functions.http]\narch = 'arm'", "http.arch is x86_64 or arm64, got 'arm'"),
        ("[tool.portable.functions.http]\nenvironment = {A = 1}", "http.environment is a table of texts"),
        ("[tool.portable.functions.http]\nenvironment = {PORTABLE_X = 'y'}", "'PORTABLE_X' cannot be a variable"),
        ("[tool.portable.functions]\nhttp = 5", "http is a table of settings, got 5"),
        ("[tool.portable.plain.functions.x]\nmemory = 1", r"\[tool.portable.plain.functions\] names 'x'"),
        ("[tool.portable.resources]\n'queue:order' = {name = 'x'}", "no resource 'queue:order'; did you mean"),
        ("[tool.portable.resources]\n'queue:orders' = 'x'", "a resource is bound by"),
        ("[tool.portable.stages.dev]\napp = 'x:y'", "a stage has no setting 'app' of its own"),
        ("[tool.portable]\nlog_retention = 0", "log_retention is a number of days, got 0"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(make_project: Make, text: str, says: str) -> None:
    def read() -> None:
        project = asked(make_project, None, f"\n{text}\n")
        manifest = describe_project(project).manifest
        function_settings(project, "plain", manifest)
        existing_resources(project, manifest)

    with pytest.raises(ConfigError, match=says):
        read()


def test_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('a = 1\n[b]\n"c.d" = 2\ne.f = 3\n[[g]]\n# h = 1\n[b.i] # j\nk = { l = 1 }\n')
    places = {("a",): 1, ("b", "c.d"): 3, ("b", "e", "f"): 4, ("g",): 5, ("b", "i", "k", "l"): 8, ("b", "z"): 2}
    assert {keys: find_line(file, keys) for keys in places} == places
    assert find_line(file, ("nowhere",)) == find_line(tmp_path / "none", ("a",)) == 1


def test_merging() -> None:
    under = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merged(under, {"a": {"c": [3], "e": {"f": None, "g": 1}}, "d": None}) == {
        "a": {"b": 1, "c": [3], "e": {"g": 1}}
    }
    assert under == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


# --- infrastructure files


def with_files(target: object) -> object:
    def infrastructure(deployment: Deployment) -> dict[str, object]:
        http = deployment.functions["http"]
        document = {"Resources": {"Http": {"Memory": http.memory, "Zip": deployment.zip_of("http")}}, "Stays": ["é"]}
        return {"template.yaml": document, "main.json": {"a": 1}, "run.sh": f"#!/bin/sh\n# {deployment.form}\n"}

    target.infrastructure = infrastructure  # type: ignore[attr-defined]
    target.infrastructure_forms = ("first", "second")  # type: ignore[attr-defined]
    return target


def files(project: Project, target: object, form: str | None = None) -> dict[str, bytes]:
    manifest = describe_project(project).manifest
    bundles = target.bundles(manifest, {})  # type: ignore[attr-defined]
    deployment = describe_deployment(project, target, manifest, bundles, python="3.13", arch="x86_64", form=form)
    return infrastructure_files(target, deployment, project.root)


def test_the_users_own_part_is_laid_over(make_project: Make, target: object) -> None:
    override = (
        "template.yaml:\n  Resources:\n    Http: {Memory: 128, Role: !GetAtt Mine.Arn, Name: !Sub '${A}-x'}\n"
        "    Mine: {Ref: !Ref A}\n"
    )
    project = make_project({"pyproject.toml": "", "infra/plain.yaml": override})
    found = files(project, with_files(target), "second")
    assert found["infra/template.yaml"].decode() == (
        "Resources:\n  Http:\n    Memory: 128\n    Zip: bundle.zip\n    Role:\n      Fn::GetAtt:\n      - Mine\n"
        "      - Arn\n"
        "    Name:\n      Fn::Sub: ${A}-x\n  Mine:\n    Ref:\n      Ref: A\nStays:\n- é\n"
    )
    assert found["infra/main.json"] == b'{\n  "a": 1\n}\n'
    assert found["infra/run.sh"] == b"#!/bin/sh\n# second\n"
    with pytest.raises(ConfigError, match="no infrastructure files of form 'third'; there are first, second"):
        files(project, with_files(target), "third")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"infra/plain.yaml": "templte.yaml: {}"}, "no file 'templte.yaml' can be laid over; did you mean"),
        ({"infra/plain.yaml": "- a"}, "infra/plain.yaml: each file's name, and under it a mapping"),
        ({"infra/plain.yaml": "a: ["}, "infra/plain.yaml is not valid YAML"),
        ({"infra/plain.json": "{"}, "infra/plain.json is not valid JSON"),
        ({"infra/plain.json": "{}", "infra/plain.yml": ""}, r"infra/plain\.yml and infra/plain\.json: keep one"),
    ],
)
def test_an_override_that_cannot_be_laid_over(
    make_project: Make, target: object, override: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        files(make_project({"pyproject.toml": "", **override}), with_files(target))


def test_they_are_part_of_the_artifact(make_project: Make, target: object) -> None:
    project = make_project({"pyproject.toml": SETTINGS}).at_stage("prod")
    built = build(project, with_files(target))  # type: ignore[arg-type]
    text = (built.folder / "infra" / "template.yaml").read_text()
    assert "Memory: 512" in text
    said = (built.folder / "manifest.json").read_text()
    assert open_artifact(built.folder).manifest.functions[0].memory == 512  # what its entry was told
    assert '"infra/run.sh"' in said
    assert '"stage": "prod"' in said
