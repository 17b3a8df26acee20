"""Builds of the same: in one folder they do nothing, in another they give equal bytes; and bundles a function each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest

from portable.build import dependencies, pythons, unchanged
from portable.build.artifact import Wanted, build
from portable.build.project import Project
from portable.errors import ConfigError

Make = Callable[..., Project]
Wheels = Callable[..., Path]


def looks(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {str(path): (stat.st_ino, stat.st_mtime_ns, stat.st_size) for path, stat in found.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_second_build_touches_nothing(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("smallthing", "1.0", more={"smallthing/py.typed": ""})
    project = make_project({"requirements.txt": "smallthing\n"})
    first = build(project, target)
    before = looks(first.folder)
    again = build(project, target)
    assert not first.is_unchanged
    assert again.is_unchanged
    assert looks(again.folder) == before
    assert (again.parts, again.zips, again.lock, again.dropped) == (first.parts, first.zips, first.lock, first.dropped)


@pytest.mark.parametrize("path", ["app.py", "shop/data.txt", "pyproject.toml", "requirements.txt", "infra/plain.yaml"])
def test_what_is_read_counts(make_project: Make, target: Any, wheels: Wheels, path: str) -> None:
    wheels("smallthing", "1.0")
    files = {"shop/data.txt": "", "pyproject.toml": "", "requirements.txt": "smallthing\n", "infra/plain.yaml": ""}
    project = make_project(files)
    build(project, target)
    with (project.root / path).open("a") as file:
        file.write("\n# edited\n")
    assert (
        not build(make_project(), target).is_unchanged if path != "app.py" else not build(project, target).is_unchanged
    )


@pytest.mark.parametrize("path", ["bundle/app.py", "bundle.zip"])
def test_a_changed_artifact_is_made_again(make_project: Make, target: Any, path: str) -> None:
    project = make_project()
    built = build(project, target)
    first = contents(built.folder)
    (built.folder / path).write_bytes(b"mine")
    assert contents(build(project, target).folder) == first
    (built.folder / path).unlink()
    assert contents(build(project, target).folder) == first
    (built.folder / "bundle/more.txt").write_text("more")
    assert contents(build(project, target).folder) == first


def test_other_options_are_another_build(make_project: Make, target: Any, tmp_path: Path) -> None:
    project = make_project()
    build(project, target)
    assert not build(project, target, Wanted(out=tmp_path / "elsewhere")).is_unchanged
    assert not build(project, target, Wanted(upgrade=True)).is_unchanged


def test_an_edit_makes_the_app_alone(
    make_project: Make, target: Any, wheels: Wheels, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels("smallthing", "1.0")
    project = make_project({"requirements.txt": "smallthing\n"})
    first = build(project, target)
    monkeypatch.setattr(dependencies.vendor, "install", None)
    made: list[Path] = []
    compile_files = dependencies.compile_files
    monkeypatch.setattr(
        "portable.build.bundle.compile_files", lambda compiler, root: made.append(root) or compile_files(compiler, root)
    )
    (project.root / "app.py").write_text("from portable import App\napp = App('other')\n")
    second = build(project, target)
    assert len(made) == 1
    before, after = looks(first.folder), looks(second.folder)
    assert before.keys() == after.keys()


ELSEWHERE = """
import os, sys, time
os.umask(int(sys.argv[2], 8))
from pathlib import Path
from tests.build.conftest import PlainTarget
from portable.build.artifact import build
from portable.build.project import find_project
build(find_project(Path(sys.argv[1])), PlainTarget())
"""


def test_other_surroundings_give_equal_bytes(make_project: Make, wheels: Wheels, tmp_path: Path) -> None:
    wheels("smallthing", "1.0", ["otherthing"])
    wheels("otherthing", "2.0")
    files = {
        "requirements.txt": "smallthing\n",
        "shop/ünï.py": "WORDS = {'a', 'b', 'c'} & frozenset('abc')\n",
        "run.sh": "#!",
    }
    surroundings = (
        {"umask": "022", "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "HOME": str(tmp_path)},
        {
            "umask": "077",
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "4711",
            "USER": "x",
        },
    )
    found = []
    for number, more in enumerate(surroundings):
        project = make_project(files, name=f"place-{number}/{'deeper/' * number}shop")
        (project.root / "run.sh").chmod(0o755 if number else 0o700)
        environment = {**os.environ, **more, "XDG_CACHE_HOME": str(tmp_path / f"cache-{number}")}
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent.parent)
        command = [sys.executable, "-c", ELSEWHERE, str(project.root), more["umask"]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(contents(project.root / "dist/plain"))
    assert found[0] == found[1]
    assert "bundle/smallthing/__init__.py" in found[0]


# --- a bundle for each function

SPLIT = {
    "app.py": """
from portable import App
app = App("shop")
app.include("shop.images:router")
app.include("shop.reports:router")
""",
    "shop/__init__.py": "",
    "shop/images.py": """
import numbers_of
from portable import Router
from .tools import shrink
router = Router()
@router.function()
def resize(payload: dict[str, str]) -> None: ...
""",
    "shop/tools.py": "import drawing\ndef shrink(): ...\n",
    "shop/reports.py": """
from portable import Router
router = Router()
@router.function()
def report(payload: dict[str, str]) -> None:
    from shop import sums
    import tables.deep
""",
    "shop/sums.py": "",
    "shop/unused.py": "",
    "numbers_of.py": "",
    "data.json": "{}",
    "requirements.txt": "drawing\ntables\ndriver\n",
    "pyproject.toml": "[tool.portable.plain]\nsplit = true\n",
}


@pytest.fixture
def four(wheels: Wheels, monkeypatch: pytest.MonkeyPatch, target: Any) -> None:
    for name in ("drawing", "tables", "driver", "shared", "only_tables"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    wheels("msgspec", "0.19")
    wheels("drawing", "1.0", ["shared"])
    wheels("tables", "1.0", ["shared", "only_tables"], more={"tables/deep.py": ""})
    wheels("driver", "1.0")
    wheels("shared", "1.0")
    wheels("only_tables", "1.0")
    target.splits = True


def bundle(folder: Path, function: str) -> set[str]:
    with ZipFile(folder / f"bundle-{function}.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        for info in archive.infolist():
            assert archive.read(info) == (folder / "bundle" / function / info.filename).read_bytes()
    return {name for name in names if name.endswith((".py", ".json")) and not name.startswith("portable")}


def test_each_function_has_what_it_imports(make_project: Make, target: Any, four: None, tmp_path: Path) -> None:
    drawing = tmp_path / "here" / "drawing"
    drawing.mkdir(parents=True)
    (drawing / "__init__.py").write_text("")
    sys.path.insert(0, str(drawing.parent))
    try:
        folder = build(make_project(SPLIT), target).folder
    finally:
        sys.path.remove(str(drawing.parent))
    both = {"app.py", "plain_entry.py", "data.json", "shop/__init__.py", "driver/__init__.py", "shared/__init__.py"}
    both.add("msgspec/__init__.py")
    assert bundle(folder, "resize") == both | {
        "shop/images.py",
        "shop/tools.py",
        "numbers_of.py",
        "drawing/__init__.py",
    }
    reported = both | {
        "shop/reports.py",
        "shop/sums.py",
        "tables/__init__.py",
        "tables/deep.py",
        "only_tables/__init__.py",
    }
    assert bundle(folder, "report") == reported
    assert set(json.loads((folder / "manifest.json").read_bytes())["bundles"]) == {"resize", "report"}


def test_a_target_that_groups_functions_has_what_each_group_imports(
    make_project: Make, target: Any, four: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target.splits = "grouped"
    (tmp_path / "here" / "drawing").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    together = SPLIT["shop/reports.py"] + "@router.function()\ndef total(payload: dict[str, str]) -> None: ...\n"
    made = target.bundles

    def grouped(manifest: Any, settings: Any) -> list[Any]:
        groups = {"draw": ["resize"], "count": ["report", "total"]}
        return [
            msgspec.structs.replace(bundle, name=name)
            for name, functions in groups.items()
            for bundle in made(manifest.only(functions), settings)
        ]

    monkeypatch.setattr(target, "bundles", grouped)
    folder = build(make_project({**SPLIT, "shop/reports.py": together}), target).folder
    assert {"shop/images.py", "drawing/__init__.py"} <= bundle(folder, "draw")
    assert not {"shop/reports.py", "tables/__init__.py"} & bundle(folder, "draw")
    assert {"shop/reports.py", "tables/__init__.py"} <= bundle(folder, "count")
    assert not {"shop/images.py", "drawing/__init__.py"} & bundle(folder, "count")


def test_what_nobody_can_tell_stays_together(make_project: Make, target: Any, four: None) -> None:
    files = {
        **SPLIT,
        "shop/images.py": SPLIT["shop/images.py"].replace("from .tools import shrink", ""),
        "shop/tools.py": "",
    }
    files["numbers_of.py"] = "import importlib\ndef load(name): return importlib.import_module(name)\n"
    built = build(make_project(files), target)
    assert "shop/unused.py" in bundle(built.folder, "resize")
    assert "shop/unused.py" not in bundle(built.folder, "report")
    assert [(one.severity, one.where) for one in built.findings] == [("info", "numbers_of.py:2")]


def test_not_every_target_splits(make_project: Make, target: Any) -> None:
    for asked, message in (("true", "plain deploys its functions together"), ("1", "split is true or false, got 1")):
        with pytest.raises(ConfigError, match=message):
            build(make_project({"pyproject.toml": f"[tool.portable.plain]\nsplit = {asked}\n"}), target)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_split_for_a_cloud(make_project: Make, name: str) -> None:
    from portable.plugins import adapters

    files = {
        "app.py": "from portable import App\napp = App('two')\n",
        "pyproject.toml": f"[tool.portable.{name}]\nsplit = true\n",
    }
    for function in ("first", "second"):
        files["app.py"] += f"@app.get('/{function}', function='{function}')\ndef {function}() -> None: ...\n"
    built = build(make_project(files), adapters()[name].build, Wanted(python=pythons.CURRENT))
    assert sorted(path.name for path in built.zips) == ["bundle-first.zip", "bundle-second.zip"]


def test_the_framework_itself_counts(
    make_project: Make, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    build(project, target)
    assert build(project, target).is_unchanged
    monkeypatch.setattr(unchanged, "_looks", lambda root, skip=(): f"{root} as another version")
    assert not build(project, target).is_unchanged
