"""What an image stands on, as the folder of an OCI layout; from a registry: ``test_registry.py``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portable.build.image.base import open_base
from portable.errors import BuildError, ConfigError

from .conftest import Layout, write_base


def opened(folder: Path, *architectures: str, python: str = "3.13"):
    return open_base(str(folder), architectures or ("x86_64",), python, folder / "memory.json")


def test_a_layout(base: Path) -> None:
    found = opened(base)
    assert found.reference is None
    assert found.digest == Layout(base).index["manifests"][0]["digest"]
    image = found.images["x86_64"]
    assert image.platform == {"architecture": "amd64", "os": "linux"}
    layer = Layout(base).top["layers"][0]
    assert found.blob(image.layers[0]).read_bytes() == Layout(base).blob(layer["digest"])


def test_a_layout_of_several_architectures(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "two", ("amd64", "arm64"))
    found = opened(folder, "x86_64", "arm64")
    assert [found.images[one].config["architecture"] for one in ("x86_64", "arm64")] == ["amd64", "arm64"]
    only = write_base(tmp_path / "others", ("s390x", "arm64"))
    with pytest.raises(ConfigError, match=r"has no image for linux/amd64; it has linux/arm64, linux/s390x"):
        opened(only)


def test_an_image_for_another_machine_is_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"is for linux/amd64, and linux/arm64 is asked for"):
        opened(base, "arm64")


def test_an_image_with_another_python_is_refused(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base", Env=["PYTHON_VERSION=3.12.4"])
    assert opened(folder, python="3.12")
    with pytest.raises(ConfigError, match=r"holds Python 3\.12\.4, and the dependencies are for 3\.13: --python 3\.12"):
        opened(folder)


def test_a_folder_that_is_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder and no OCI layout"):
        opened(tmp_path)


def test_a_layout_with_several_images_is_refused(base: Path) -> None:
    index = json.loads((base / "index.json").read_text())
    index["manifests"] *= 2
    (base / "index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=r"holds 2 images \(latest, latest\), and a base is one"):
        opened(base)


def test_a_blob_of_another_digest_is_refused(base: Path) -> None:
    found = opened(base)
    [layer] = found.images["x86_64"].layers
    file = base / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
    file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(BuildError, match="is not what it says it is"):
        found.blob(layer)
    file.unlink()
    with pytest.raises(ConfigError, match=r"the layout lacks sha256:\w+: No such file"):
        found.blob(layer)


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "md5:" + "a" * 64, "sha256:" + "A" * 64])
def test_a_digest_that_is_no_file_name_is_refused(base: Path, digest: str) -> None:
    index = json.loads((base / "index.json").read_text())
    index["manifests"][0]["digest"] = digest
    (base / "index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="is no SHA-256 digest"):
        opened(base)


def test_the_digest_of_a_layer_is_checked_before_it_is_a_name(base: Path, cache: Path) -> None:
    found = opened(base)
    with pytest.raises(BuildError, match="is no SHA-256 digest"):
        found.blob({"digest": "sha256:../../escaped", "size": 0})
    assert not (cache / "escaped").exists()
