"""Functions that are deployed as an image: one for all of them, named by its digest in the infrastructure files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from portable.build.artifact import Built, Wanted, build
from portable.build.image.plan import ImageWanted
from portable.build.project import Project
from portable.deploy import Place, Step
from portable.errors import ConfigError
from portable.run import emulators
from portable.run.parts import Found
from portable.run.target import open_artifact
from portable_aws._sdk import Client
from portable_aws.build import TARGET as AWS
from portable_aws.deploy import DEPLOYER
from portable_gcp.build import TARGET as GCP

from .conftest import APP, Layout, write_base

Make = Callable[..., Project]
TIMED = '\n\n@app.on_schedule(cron="0 8 * * *")\ndef send() -> None:\n    pass\n'
BOTH = ("x86_64", "arm64")
TO = "registry.example.com/team/shop"


def split(make_project: Make, more: str = "") -> Project:
    settings = f'[project]\nname = "shop"\n[tool.portable.aws]\nsplit = true\n[tool.portable.gcp]\nsplit = true\n{more}'
    return make_project({"app.py": APP + TIMED, "pyproject.toml": settings})


def pushed(project: Project, target: Any, tmp_path: Path, *architectures: str) -> Built:
    """Built to be pushed: nothing is, by a build itself."""
    base = tmp_path / "two"
    if not base.exists():
        write_base(base, ("amd64", "arm64"))
    return build(project, target, Wanted(oci=ImageWanted(str(base), f"{TO}:1", architectures), arch=architectures[0]))


def functions_of(built: Built) -> dict[str, dict[str, Any]]:
    """Properties of the functions in the template."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, tag, node: None)
    template = yaml.load((built.folder / "infra" / "template.yaml").read_text(), Loader)
    found = template["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == "AWS::Lambda::Function"}


def test_lambda_functions_are_of_one_image_each_with_its_command(make_project: Make, tmp_path: Path) -> None:
    arm = '[tool.portable.aws.functions.send]\narch = "arm64"\n'
    built = pushed(split(make_project, arm), AWS, tmp_path, *BOTH)
    [note] = [one for one in built.findings if "split is of bundles" in one.message]
    assert (note.severity, note.where) == ("info", "pyproject.toml:4")
    assert [path.name for path in built.zips] == ["bundle.zip"]
    assert built.image is not None
    found = functions_of(built)
    # Lambda takes no index: each function has the image for its own architecture.
    wanted = {"HttpFunction": ("x86_64", "linux/amd64", "http"), "SendFunction": ("arm64", "linux/arm64", "send")}
    assert {*found} == {*wanted}
    for name, (arch, platform, command) in wanted.items():
        said = found[name]
        assert said["PackageType"] == "Image"
        assert said["Code"] == {"ImageUri": f"{TO}@{built.image.platforms[platform]['digest']}"}
        assert said["ImageConfig"] == {"Command": [f"portable_entry.{command}"]}
        assert said["Architectures"] == [arch]
        assert {"Runtime", "Handler", "Layers"}.isdisjoint(said)
    assert "S3Key" not in (built.folder / "infra" / "template.yaml").read_text()


def test_an_image_without_a_functions_architecture_is_refused(make_project: Make, tmp_path: Path) -> None:
    project = split(make_project, '[tool.portable.aws.functions.send]\narch = "arm64"\n')
    with pytest.raises(ConfigError, match="function send is to run on arm64, and the image is for x86_64: --arch x86_"):
        pushed(project, AWS, tmp_path, "x86_64")


@pytest.mark.slow  # its dependencies are fetched; the files alone: tests/adapters/portable_gcp/test_terraform.py
def test_google_functions_become_services_of_one_image(make_project: Make, tmp_path: Path) -> None:
    built = pushed(split(make_project), GCP, tmp_path, "x86_64")
    assert built.image is not None
    found = json.loads((built.folder / "infra" / "main.tf.json").read_bytes())["resource"]
    assert "google_cloudfunctions2_function" not in found
    services = found["google_cloud_run_v2_service"]
    for name, service in services.items():
        [container] = service["template"]["containers"]
        assert container["image"] == f"{TO}@{built.image.digest}"
        assert {"name": "FUNCTION_TARGET", "value": name} in container["env"]
    assert {*services} == {"http", "send"}


def test_an_image_holds_all_that_split_bundles_share_out(make_project: Make, base: Path) -> None:
    project = split(make_project)
    (project.root / "unused.py").write_text("x = 1\n")
    built = build(project, AWS, Wanted(oci=ImageWanted(str(base))))
    assert (built.folder / "bundle" / "unused.py").is_file()
    assert Layout(built.folder / "image").config()["config"]["Cmd"] == ["portable_entry.http"]
    assert {path.name for path in build(project, AWS, Wanted()).zips} == {"bundle-http.zip", "bundle-send.zip"}


@pytest.mark.slow
def test_cloudformation_makes_functions_of_the_image(
    make_project: Make, tmp_path: Path, require_part: Callable[..., Found]
) -> None:
    """By ``portable deploy``: no zip is uploaded, and what is deployed again is the same."""
    require_part("ministack")
    arm = '[tool.portable.aws.functions.send]\narch = "arm64"\n'
    built = pushed(split(make_project, arm), AWS, tmp_path, *BOTH)
    assert built.image is not None
    artifact = open_artifact(built.folder)
    with emulators.ministack(log=tmp_path / "log") as emulator:
        place = Place("dev", {}, emulator.environment)
        steps: list[Step] = []
        outputs = DEPLOYER.apply(artifact, place, steps.append)
        assert "zip" not in {one.kind for one in steps}
        client = Client("lambda", place.environment).get()
        for name, platform in (("HttpFunction", "linux/amd64"), ("SendFunction", "linux/arm64")):
            found = client.get_function(FunctionName=outputs[name])
            assert found["Configuration"]["PackageType"] == "Image"
            assert found["Code"]["ImageUri"] == f"{TO}@{built.image.platforms[platform]['digest']}"
        assert list(DEPLOYER.preview(artifact, place)) == []
