from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from portable.build import pythons
from portable.build.project import Project, find_project
from portable.build.target import Bundle, Finding
from portable.manifest import Manifest

APP = """
from portable import App, Bucket, Message

app = App("shop")
orders = app.queue("orders", max_attempts=3)


@app.get("/hello/{name}")
def hello(name: str) -> str:
    return f"hello {name}"


@app.on_message(orders)
def take_order(message: Message) -> None:
    print(message.body)
"""


class PlainTarget:
    """As small as a target can be: this machine's Python, one entry file."""

    name = "plain"
    pythons: Sequence[str] = (pythons.CURRENT, "3.13")
    reserved = frozenset({"plain_entry"})
    dependency_folder = ""
    adapter_packages: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    wanted: Sequence[str] = ()
    names: Sequence[str] = ("",)
    used: Mapping[str, Sequence[str]] = {}

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:
        return self.findings

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
        return self.wanted

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return self.used

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:
        entry = f"from {manifest.spec.partition(':')[0]} import app\n".encode()
        sources = {function.name: function.kind for function in manifest.functions}
        return [Bundle(name, sources, {"plain_entry.py": entry}) for name in self.names]


@pytest.fixture
def target() -> PlainTarget:
    return PlainTarget()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; uv keeps its own where it is."""
    import os

    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "portable" / "build"


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Project]:
    """``make_project({path: text}, name="shop")``: a project with these files, and an app.py unless one is given."""

    def make(files: Mapping[str, str | bytes] | None = None, name: str = "shop") -> Project:
        for path, text in {"app.py": APP, **(files or {})}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return find_project(tmp_path / name)

    return make


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``wheels(name, version, requires=[], tag=…, more={path: content})`` puts a small wheel where installers look, and
    only there."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variable in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.setenv(variable, str(folder))
    for variable in ("UV_OFFLINE", "PIP_NO_INDEX"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))

    def make(
        name: str,
        version: str,
        requires: Sequence[str] = (),
        tag: str = "py3-none-any",
        more: Mapping[str, str | bytes] | None = None,
    ) -> Path:
        info = f"{name}-{version}.dist-info"
        texts = {
            f"{name}/__init__.py": f'"""A dependency."""\n\nVERSION = "{version}"\n',
            f"{info}/METADATA": "\n".join(
                ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
                + [f"Requires-Dist: {one}" for one in requires]
                + [""]
            ),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{name}-tool = {name}:main\n",
        }
        files = {path: text.encode() for path, text in texts.items()}
        files |= {path: text if isinstance(text, bytes) else text.encode() for path, text in (more or {}).items()}
        rows = [f"{path},sha256={hashlib.sha256(data).hexdigest()},{len(data)}" for path, data in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
        file = folder / f"{name}-{version}-{tag}.whl"
        with ZipFile(file, "w") as archive:
            for path, data in files.items():
                archive.writestr(path, data)
        return file

    return make
