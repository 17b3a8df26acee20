"""The image of a project: what it holds, that equal inputs are equal images, and that an edit changes one layer."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Built, Wanted, build
from portable.build.image.plan import ImageWanted
from portable.build.project import Project
from portable.cli import main
from portable.errors import ConfigError
from portable.run.parts import Found
from portable_aws.build import TARGET as AWS

from .conftest import APP, Layout, write_base

Make = Callable[..., Project]
TITLE = "org.opencontainers.image."


def built(project: Project, base: Path, target: Any = AWS, **more: Any) -> Built:
    architectures = more.get("architectures", ("x86_64",))
    return build(project, target, Wanted(oci=ImageWanted(str(base), **more), arch=architectures[0]))


def shop(make_project: Make, name: str = "shop", **files: str) -> Project:
    described = '[project]\nname = "shop"\nversion = "1.4.0"\n'
    return make_project({"app.py": APP, "pyproject.toml": described, **files}, name=name)


def layout(one: Built) -> Layout:
    assert one.image is not None
    assert one.image.folder == one.folder / "image"
    return Layout(one.image.folder)


def files(found: Layout, layer: dict[str, Any]) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(found.blob(layer["digest"])))) as tar:
        return {one.name for one in tar.getmembers() if one.isfile()}


def test_an_image_holds_the_bundle(make_project: Make, base: Path) -> None:
    one = built(shop(make_project), base, revision="abc123")
    found = layout(one)
    under, framework, app = found.top["layers"]
    assert under["digest"] == Layout(base).top["layers"][0]["digest"]
    assert {"app/app.py", "app/portable_entry.py"} <= files(found, app)
    assert {"app/portable/app.py", "app/portable_aws/runtime_loop.py"} <= files(found, framework)
    bundle = one.folder / "bundle"
    held = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {f"app/{path}" for path in held} == files(found, app) | files(found, framework)
    config = found.config()["config"]
    assert (config["User"], config["WorkingDir"], config["Cmd"]) == ("65532:65532", "/app", ["portable_entry.http"])
    variables = dict(text.split("=", 1) for text in config["Env"])
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert (variables["HOME"], variables["PYTHONPATH"]) == ("/tmp", "/app")
    said = {
        f"{TITLE}title": "shop",
        f"{TITLE}version": "1.4.0",
        f"{TITLE}revision": "abc123",
        f"{TITLE}base.digest": Layout(base).index["manifests"][0]["digest"],
    }
    assert config["Labels"] == found.top["annotations"] == said
    assert len(found.config()["rootfs"]["diff_ids"]) == len(found.top["layers"]) == 3
    for layer, diff_id in zip(found.top["layers"][1:], found.config()["rootfs"]["diff_ids"][1:], strict=True):
        import hashlib

        plain = gzip.decompress(found.blob(layer["digest"]))
        assert diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


def test_the_artifacts_manifest_says_what_the_image_is(make_project: Make, base: Path) -> None:
    one = built(shop(make_project), base)
    said = json.loads((one.folder / "manifest.json").read_bytes())
    assert one.image is not None
    assert said["image"]["digest"] == one.image.digest == layout(one).index["manifests"][0]["digest"]
    [layers] = [platform["layers"] for platform in said["image"]["platforms"].values()]
    assert [layer["name"] for layer in layers] == ["base", "portable", "app"]
    assert said["image"]["base"] == {"name": "", "digest": one.image.base_digest}
    listed = {path for path in said["files"] if path.startswith("image/")}
    assert listed == {
        path.relative_to(one.folder).as_posix() for path in (one.folder / "image").rglob("*") if path.is_file()
    }
    assert "Dockerfile" in said["files"]


def test_equal_inputs_are_one_digest_in_any_folder(
    make_project: Make, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = built(shop(make_project), base)
    # Another folder, another cache, the base elsewhere: nothing of it is an input.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another-cache"))
    monkeypatch.setenv("TZ", "Pacific/Apia")
    second = built(shop(make_project, "else/where"), write_base(tmp_path / "moved" / "base"))
    contents = [
        {path.relative_to(one.folder): path.read_bytes() for path in one.folder.rglob("*") if path.is_file()}
        for one in (first, second)
    ]
    assert contents[0] == contents[1]


def test_an_edit_changes_the_apps_layer_alone(make_project: Make, base: Path) -> None:
    project = shop(make_project)
    before = layout(built(project, base)).top["layers"]
    (project.root / "app.py").write_text(APP.replace("hello", "hi"))
    after = layout(built(project, base)).top["layers"]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]
    assert after[-1]["size"] < 10_000


def test_a_second_build_makes_no_layer_again(make_project: Make, base: Path) -> None:
    project = shop(make_project)

    def inodes() -> dict[str, int]:
        blobs = layout(built(project, base)).folder / "blobs" / "sha256"
        return {file.name: file.stat().st_ino for file in blobs.iterdir() if file.stat().st_nlink > 1}

    first = inodes()
    assert len(first) == 3  # base, portable, app: links to what is kept
    (project.root / "manual.txt").write_text("one more")
    assert len({*inodes().items()} - {*first.items()}) == 1


def test_a_build_again_does_nothing(make_project: Make, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = shop(make_project)
    first = built(project, base, push="r.io/shop:1")
    assert not first.is_unchanged
    before = first.folder.stat().st_ino
    again = built(project, base, push="r.io/shop:1")
    assert again.is_unchanged
    assert again.folder.stat().st_ino == before
    assert again.image == first.image
    # The same base under another project marks it as used, and changes nothing here.
    built(shop(make_project, "another"), base)
    assert built(project, base, push="r.io/shop:1").is_unchanged
    assert not built(project, base, push="r.io/shop:2").is_unchanged
    assert not built(project, base, revision="abc").is_unchanged
    assert not build(project, AWS, Wanted()).is_unchanged
    assert build(project, AWS, Wanted()).is_unchanged
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    assert not build(project, AWS, Wanted()).is_unchanged


def test_the_command_again_says_the_same(make_project: Make, base: Path) -> None:
    """Processes of their own: the second keeps what it looked at, the third goes by that."""
    project = shop(make_project)

    def said() -> list[str]:
        command = [sys.executable, "-m", "portable.cli", "build", "--target", "aws", "--base", str(base)]
        return subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True).stdout.splitlines()

    first, second, third = said(), said(), said()
    assert "nothing changed since the last build: the artifact is as it was" in third
    assert not [line for line in first if "nothing changed" in line]
    kept = [line for line in first if "sha256:" in line or "linux/amd64" in line]
    assert len(kept) == 2
    assert [[line for line in lines if line in kept] for lines in (second, third)] == [kept, kept]
    shutil.rmtree(base)
    write_base(base, User="x")
    other = [line for line in said() if "sha256:" in line]
    assert len(other) == 1
    assert other[0] not in kept


def test_what_an_image_stands_on_is_looked_at_again(make_project: Make, base: Path, tmp_path: Path) -> None:
    project = shop(make_project)
    first = built(project, base)
    assert first.image is not None
    shutil.rmtree(base)
    other = built(project, write_base(base, User="x"))
    assert other.image is not None
    assert other.image.base_digest != first.image.base_digest
    [layer] = (other.image.folder / "blobs" / "sha256").glob(layout(other).top["layers"][-1]["digest"][7:])
    layer.unlink()
    assert not built(project, base).is_unchanged
    assert layer.is_file()


def test_several_architectures_are_an_index(make_project: Make, tmp_path: Path) -> None:
    base = write_base(tmp_path / "two", ("amd64", "arm64"))
    one = built(shop(make_project), base, architectures=("x86_64", "arm64"))
    found = layout(one)
    assert found.top["mediaType"].endswith("image.index.v1+json")
    assert [entry["platform"]["architecture"] for entry in found.top["manifests"]] == ["amd64", "arm64"]
    manifests = [found.document(entry["digest"]) for entry in found.top["manifests"]]
    assert [found.config(each)["architecture"] for each in manifests] == ["amd64", "arm64"]
    assert manifests[0]["layers"][1:] == manifests[1]["layers"][1:]  # no dependency, so nothing differs
    assert one.image is not None
    assert list(one.image.platforms) == ["linux/amd64", "linux/arm64"]


def test_the_time_is_what_source_date_epoch_says(
    make_project: Make, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shop(make_project)
    assert "created" not in layout(built(project, base)).config()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    found = layout(built(project, base))
    assert found.config()["created"] == found.top["annotations"][f"{TITLE}created"] == "2020-09-13T12:26:40Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH='yesterday' is no number of seconds"):
        built(project, base)


def test_what_cannot_be_an_image_is_said_first(make_project: Make, base: Path, target: Any) -> None:
    project = shop(make_project)
    with pytest.raises(ConfigError, match="target plain has no images; leave --image out"):
        built(project, base, target)
    with pytest.raises(ConfigError, match="no architecture 's390x'"):
        built(project, base, architectures=("x86_64", "s390x"))
    with pytest.raises(ConfigError, match="an image is pushed to a tag"):
        built(project, base, push="r.io/x@sha256:" + "a" * 64)
    with pytest.raises(ConfigError, match="--for-here takes this machine's dependencies"):
        build(project, AWS, Wanted(oci=ImageWanted(str(base)), for_here=True))
    assert not (project.root / "dist").exists()


def test_the_command_line(
    make_project: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shop(make_project)
    monkeypatch.chdir(project.root)
    base = write_base(tmp_path / "two", ("amd64", "arm64"))
    assert main(["build", "--target", "aws", "--base", str(base), "--arch", "arm64,x86_64"]) == 0
    said = capsys.readouterr().out
    digest = Layout(project.root / "dist" / "aws" / "image").index["manifests"][0]["digest"]
    assert digest in said
    assert "linux/arm64: base" in said
    assert said.index("linux/arm64") < said.index("linux/amd64")
    assert main(["build", "--target", "aws", "--arch", "arm64", "--arch", "x86_64"]) == 2
    assert "--arch arm64,x86_64: a bundle is for one; several are for --image" in capsys.readouterr().err


def test_others_read_the_layout(
    make_project: Make, base: Path, tmp_path: Path, require_part: Callable[..., Found]
) -> None:
    skopeo, umoci = require_part("skopeo").path, require_part("umoci").path
    one = built(shop(make_project), base)
    said = json.loads(subprocess.check_output([skopeo, "inspect", f"oci:{one.folder}/image:latest"]))
    assert one.image is not None
    assert (said["Digest"], said["Architecture"]) == (one.image.digest, "amd64")
    unpacked = tmp_path / "unpacked"
    command = [umoci, "unpack", "--rootless", "--image", f"{one.folder}/image:latest", unpacked]
    subprocess.run(command, check=True, capture_output=True)
    bundle, root = one.folder / "bundle", unpacked / "rootfs" / "app"
    assert {path.relative_to(bundle): path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == {
        path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    process = json.loads((unpacked / "config.json").read_bytes())["process"]
    assert process["cwd"] == "/app"
    assert process["args"][-1] == "portable_entry.http"
    assert not os.access(root / "app.py", os.X_OK)


@pytest.mark.slow
def test_each_architecture_has_its_own_dependencies(make_project: Make, tmp_path: Path) -> None:
    """MarkupSafe has a compiled module; the machine stands in its ELF header (62: x86-64, 183: AArch64)."""
    described = '[project]\nname = "shop"\ndependencies = ["markupsafe==3.0.2"]\n'
    project = make_project({"app.py": APP, "pyproject.toml": described})
    base = write_base(tmp_path / "two", ("amd64", "arm64"))
    one = built(project, base, architectures=("arm64", "x86_64"))
    assert one.image is not None
    found = layout(one)
    machines = {}
    for platform, said in one.image.platforms.items():
        [dependencies] = [layer for layer in said["layers"] if layer["name"] == "dependencies"]
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(found.blob(dependencies["digest"])))) as tar:
            [compiled] = [entry for entry in tar.getmembers() if entry.name.endswith(".so")]
            header = tar.extractfile(compiled).read(20)  # type: ignore[union-attr]
        machines[platform] = int.from_bytes(header[18:20], "little")
    assert machines == {"linux/arm64": 183, "linux/amd64": 62}
