"""Layers: equal files give equal bytes, and a layer is made once."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from portable.build import layers
from portable.build.image.archive import layer_blob
from portable.build.layers import FIXED_TIME, Layer

LONG = "/".join(["a-folder-with-a-long-name"] * 12) + "/file.txt"
FILES = {
    "app.py": b"x = 1\n",
    "b/deep/er.txt": b"",
    "é/ü.txt": b"name",
    LONG: b"long",
    "new\nline.txt": b"odd",
    "B": b"2",
}


def kept(folder: Path, files: dict[str, bytes], executable: str = "") -> Layer:
    def make(into: Path) -> list[list[str]]:
        for path, data in files.items():
            file = into / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o700 if path == executable else 0o600)
        return []

    return layers.keep_layer(folder, repr(sorted(files)) + executable, make)


def test_the_tar_says_nothing_of_this_machine(tmp_path: Path) -> None:
    blob = layer_blob(kept(tmp_path / "one", FILES, "b/deep/er.txt"), "app")
    data = blob.file.read_bytes()
    assert data[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert len(data) == blob.size
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        entries = tar.getmembers()
        content = {one.name.removeprefix("app/"): tar.extractfile(one).read() for one in entries if one.isfile()}  # type: ignore[union-attr]
    assert content == FILES
    names = [one.name for one in entries]
    assert names == sorted(names)
    assert names[0] == "app"
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in entries} == {(0, 0, "", "", FIXED_TIME)}
    modes = {one.name: one.mode for one in entries}
    assert modes["app/b/deep"] == modes["app/b/deep/er.txt"] == 0o755
    assert modes["app/app.py"] == 0o644


def test_equal_files_are_equal_blobs_wherever_they_lie(tmp_path: Path) -> None:
    one = layer_blob(kept(tmp_path / "one", FILES), "app")
    other = layer_blob(kept(tmp_path / "elsewhere" / "other", dict(reversed(FILES.items()))), "app")
    assert (one.digest, one.diff_id, one.size) == (other.digest, other.diff_id, other.size)
    assert one.file.read_bytes() == other.file.read_bytes()
    import hashlib

    assert one.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(one.file.read_bytes())).hexdigest()}"


def test_a_blob_is_made_once(tmp_path: Path) -> None:
    layer = kept(tmp_path / "one", FILES)
    first = layer_blob(layer, "app").file.stat().st_ino
    assert layer_blob(layer, "app").file.stat().st_ino == first
    assert layer_blob(kept(tmp_path / "one", FILES), "app").file.stat().st_ino == first


@pytest.mark.parametrize("damage", ["shorter", "touched", "record"])
def test_a_blob_that_was_changed_is_made_anew(tmp_path: Path, damage: str) -> None:
    layer = kept(tmp_path / "one", FILES)
    blob = layer_blob(layer, "app")
    good = blob.file.read_bytes()
    if damage == "shorter":
        blob.file.write_bytes(good[:-1])
        os.utime(blob.file, (FIXED_TIME, FIXED_TIME))
    elif damage == "touched":
        blob.file.write_bytes(bytes(len(good)))
    else:
        (layer.folder / "image.json").write_text("{")
    assert layer_blob(layer, "app").file.read_bytes() == good


def test_another_root_is_another_blob(tmp_path: Path) -> None:
    layer = kept(tmp_path / "one", FILES)
    assert layer_blob(layer, "app").digest != layer_blob(layer, "srv/app").digest
