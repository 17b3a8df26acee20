from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from portable.build import artifact, bundle, bytecode, pythons, vendor
from portable.build.artifact import Built, FindingsError, Wanted, build
from portable.build.project import Project
from portable.build.target import Finding
from portable.errors import BuildError, ConfigError
from portable.run.target import open_artifact

Make = Callable[..., Project]
Wheels = Callable[..., Path]


def document(built: Built) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((built.folder / "manifest.json").read_bytes())
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_layout(make_project: Make, target: Any) -> None:
    built = build(make_project({"shop/page.html": "<p>"}), target)
    read = open_artifact(built.folder)
    assert (read.target, read.python) == ("plain", pythons.CURRENT)
    assert read.sources == {"http": "http", "take-order": "message"}
    assert read.bundle_of("http") == built.folder / "bundle"
    assert [one.name for one in read.manifest.resources] == ["orders"]
    files = contents(built.folder / "bundle")
    with ZipFile(built.folder / "bundle.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {one.external_attr >> 16 for one in archive.infolist()} == {0o100644}
    assert {"app.py", "shop/page.html", "plain_entry.py", "portable/app.py"} <= files.keys()
    recorded = document(built)["files"]
    assert recorded.keys() == contents(built.folder).keys() - {"manifest.json"}
    for path, entry in recorded.items():
        data = (built.folder / path).read_bytes()
        assert entry == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    total = sum(part.size for part in built.parts[""])
    assert total == sum(map(len, files.values()))


def test_a_bundle_answers_without_this_framework_installed(make_project: Make, target: Any) -> None:
    built = build(make_project(), target)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from portable.events import Request\nfrom portable.instance import Instance\n"
        "print(Instance('app:app', 'http').call(Request('GET', '/hello/you')).body)\n"
        "print(sys.modules['app'].__cached__, 'portable.manifest' in sys.modules)"
    )
    python = pythons.interpreter(pythons.CURRENT)
    assert python is not None
    command = [python, "-I", "-S", "-c", script, str(built.folder / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    answer, module = done.stdout.splitlines()
    assert "hello you" in answer
    assert module.endswith(f"{sys.implementation.cache_tag}.pyc False")


def test_bytecode_is_not_checked_against_its_source(make_project: Make, target: Any) -> None:
    built = build(make_project(), target)
    for path, data in contents(built.folder / "bundle").items():
        if path.endswith(".pyc"):
            assert data[4:8] == b"\1\0\0\0", path
    assert document(built)["inputs"]["compiler"].startswith(pythons.CURRENT)


def test_no_interpreter_no_bytecode(make_project: Make, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "find_compiler", lambda python: None)
    built = build(make_project(), target)
    assert not [path for path in contents(built.folder) if path.endswith(".pyc")]
    [finding] = built.findings
    assert finding.severity == "warning"
    assert f"no Python {pythons.CURRENT} here to compile with" in finding.message
    assert "every cold start compiles what it imports" in finding.message
    assert finding.way_out.startswith(f"`uv python install {pythons.CURRENT}`")
    assert document(built)["inputs"]["compiler"] is None


def test_equal_inputs_give_equal_bytes(
    make_project: Make, target: Any, wheels: Wheels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheels("smallthing", "1.0", ["otherthing"])
    wheels("otherthing", "2.0")
    files = {"requirements.txt": "smallthing\n", "shop/ünï.py": "WORDS = {'a', 'b', 'c'} & frozenset('abc')\n"}
    first = build(make_project(files, name="one"), target)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    tomorrow = time.time() + 86400
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    project = make_project(files, name="two/deeper")
    os.utime(project.root / "app.py", (1, 1))
    second = build(project, target)
    assert contents(first.folder) == contents(second.folder)
    assert first.lock == ["otherthing==2.0", "smallthing==1.0"]


def test_a_kept_layer_is_used_again(make_project: Make, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    first = contents(build(project, target).folder)
    for module in (bytecode, vendor):
        monkeypatch.setattr(module.subprocess, "Popen", None)
    assert contents(build(project, target).folder) == first


def test_an_edited_link_does_not_stay(make_project: Make, target: Any) -> None:
    project = make_project()
    built = build(project, target)
    first = contents(built.folder)
    for path in ("portable/app.py", "app.py"):
        with (built.folder / "bundle" / path).open("a") as file:
            file.write("print('debugging')\n")
    assert contents(build(project, target).folder) == first


def test_a_change_is_built(make_project: Make, target: Any) -> None:
    project = make_project()
    build(project, target)
    (project.root / "app.py").write_text("from portable import App\napp = App('other')\n")
    built = build(project, target)
    assert document(built)["app"]["app"] == "other"
    assert (built.folder / "bundle" / "app.py").read_text().endswith("'other')\n")
    assert "take_order" not in str((built.folder / "bundle/__pycache__").iterdir())


def test_a_failed_build_leaves_the_old_artifact(make_project: Make, target: Any) -> None:
    project = make_project()
    built = build(project, target)
    first = contents(built.folder)
    target.findings = [Finding("error", "app.py:9", "no such thing here", "do without")]
    with pytest.raises(FindingsError, match=r"app\.py:9: no such thing here; do without"):
        build(project, target)
    target.findings = []
    (project.root / "more.txt").write_text("edited")
    target.bundles = lambda manifest, settings: 1 / 0
    with pytest.raises(ZeroDivisionError):
        build(project, target)
    assert contents(built.folder) == first
    assert [path.name for path in built.folder.parent.iterdir()] == ["plain"]


def test_findings_that_do_not_stop(make_project: Make, target: Any) -> None:
    target.findings = [Finding("warning", "app.py:9", "later than asked")]
    assert build(make_project(), target).findings == target.findings


def test_several_bundles(make_project: Make, target: Any) -> None:
    target.names = ("small", "large")
    built = build(make_project(), target)
    assert sorted(path.name for path in built.folder.iterdir()) == [
        "bundle",
        "bundle-large.zip",
        "bundle-small.zip",
        "manifest.json",
        "report",
        "sbom.json",
    ]
    assert (built.folder / "bundle/small/app.py").is_file()
    assert set(open_artifact(built.folder).bundles) == {"small", "large"}


def test_something_else_is_not_overwritten(make_project: Make, target: Any) -> None:
    project = make_project({"dist/plain/thesis.txt": "years of work"})
    with pytest.raises(BuildError, match="holds something else than an artifact"):
        build(project, target)
    out = project.root / "elsewhere" / "here"
    assert build(project, target, Wanted(out=out)).folder == out


def test_a_disk_that_is_full(make_project: Make, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device", "bundle.zip")

    monkeypatch.setattr(artifact, "write_zip", fail)
    with pytest.raises(BuildError, match=r"the artifact cannot be written: .*No space left on device: 'bundle\.zip'"):
        build(make_project(), target)


def test_settings_of_a_target(make_project: Make, target: Any) -> None:
    project = make_project({"pyproject.toml": "[tool.portable.plain]\nregoin = 'eu-west-1'\n"})
    artifact.check(project, target)
    target.known_settings = ("region", "apps")
    with pytest.raises(ConfigError, match=r"\[tool.portable.plain\] has no setting 'regoin'; did you mean 'region'\?"):
        artifact.check(project, target)
    target.known_settings = ()
    with pytest.raises(ConfigError, match="has no setting 'regoin'; there are none"):
        artifact.check(project, target)


# --- the Python and the machine


def test_the_python_is_chosen(make_project: Make, target: Any) -> None:
    asked = make_project({"pyproject.toml": "[tool.portable]\npython = '3.13'\n"}, name="asked")
    assert artifact._choose_place(asked, target, Wanted()).python == "3.13"
    assert artifact._choose_place(asked, target, Wanted(python=pythons.CURRENT)).python == pythons.CURRENT
    assert artifact._choose_place(make_project(), target, Wanted()).python == pythons.CURRENT
    with pytest.raises(ConfigError, match=f"plain does not run Python 3.8; it runs {pythons.CURRENT}, 3.13"):
        build(asked, target, Wanted(python="3.8"))
    with pytest.raises(ConfigError, match="no architecture 'sparc'; there are x86_64, arm64"):
        build(asked, target, Wanted(arch="sparc"))


def test_for_here_is_labelled(make_project: Make, target: Any) -> None:
    target.pythons = ("3.99",)
    built = build(make_project(), target, Wanted(for_here=True))
    assert built.python == pythons.CURRENT
    assert document(built)["for_here"] is True
    assert document(built)["inputs"]["arch"] is None


def test_syntax_of_another_version(make_project: Make, target: Any) -> None:
    project = make_project({"scripts/old.py": "print 'hello'\n"})
    built = build(project, target)
    assert [(one.severity, one.where) for one in built.findings] == [("warning", "scripts/old.py:1")]


def test_syntax_the_target_cannot_read(make_project: Make, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bytecode.SourceError("app.py", 4, "invalid syntax")
    monkeypatch.setattr(bundle, "compile_files", lambda compiler, root: [found])
    with pytest.raises(
        BuildError, match=rf"app\.py:4: no Python {pythons.CURRENT}: invalid syntax; the app imports it"
    ):
        build(make_project(), target)


# --- dependencies


def test_dependencies_are_vendored(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("smallthing", "1.0", ["otherthing>=2"])
    wheels("otherthing", "1.0")
    wheels("otherthing", "2.0")
    target.dependency_folder = ".packages/lib"
    built = build(make_project({"requirements.txt": "portable-functions\nsmallthing\n"}), target)
    assert built.lock == document(built)["inputs"]["lock"] == ["otherthing==2.0", "smallthing==1.0"]
    places = contents(built.folder / "bundle" / ".packages" / "lib")
    assert {"smallthing/__init__.py", "smallthing-1.0.dist-info/METADATA", "otherthing/__init__.py"} <= places.keys()
    assert "RECORD" in {Path(path).name for path in places}
    assert not {"INSTALLER", "REQUESTED", ".lock", "smallthing-tool"} & {Path(path).name for path in places}
    assert b"smallthing-tool" not in places["smallthing-1.0.dist-info/RECORD"]


def test_versions_stay_until_asked(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("smallthing", "1.0")
    project = make_project({"requirements.txt": "smallthing\n"})
    assert build(project, target).lock == ["smallthing==1.0"]
    wheels("smallthing", "1.1")
    assert build(project, target).lock == ["smallthing==1.0"]
    assert build(project, target, Wanted(upgrade=True)).lock == ["smallthing==1.1"]
    (project.root / "requirements.txt").write_text("smallthing<1.1\n")
    assert build(project, target).lock == ["smallthing==1.0"]


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_wheels_are_of_the_artifacts_machine(
    make_project: Make, target: Any, wheels: Wheels, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installer == "pip":
        monkeypatch.setattr(vendor, "uv_command", lambda: None)
    wheels("compiled", "1.0", tag="cp313-cp313-manylinux_2_28_x86_64")
    wheels("compiled", "2.0", tag="cp313-cp313-manylinux_2_27_aarch64")
    wheels("compiled", "3.0", tag="cp311-cp311-macosx_11_0_arm64")
    project = make_project({"requirements.txt": "compiled\n"})
    assert build(project, target, Wanted(python="3.13")).lock == ["compiled==1.0"]
    assert build(project, target, Wanted(python="3.13", arch="arm64")).lock == ["compiled==2.0"]
    assert (project.root / "dist/plain/bundle/compiled/__init__.py").read_text().endswith('"2.0"\n')


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_an_older_system_gets_older_wheels(
    make_project: Make, target: Any, wheels: Wheels, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installer == "pip":
        monkeypatch.setattr(vendor, "uv_command", lambda: None)
    wheels("compiled", "1.0", tag="cp313-cp313-manylinux_2_17_x86_64")
    wheels("compiled", "2.0", tag="cp313-cp313-manylinux_2_28_x86_64")
    project = make_project({"requirements.txt": "compiled\n"})
    assert build(project, target, Wanted(python="3.13")).lock == ["compiled==2.0"]
    target.glibc = {"3.13": 26}
    built = build(project, target, Wanted(python="3.13"))
    assert built.lock == ["compiled==1.0"]
    assert document(built)["inputs"]["platform"] == "manylinux_2_26"


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_dependency_without_a_wheel_is_named(
    make_project: Make, target: Any, wheels: Wheels, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installer == "pip":
        monkeypatch.setattr(vendor, "uv_command", lambda: None)
    wheels("compiled", "3.0", tag="cp311-cp311-macosx_11_0_arm64")
    project = make_project({"requirements.txt": "compiled\n"})
    with pytest.raises(BuildError) as caught:
        build(project, target)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"the dependencies cannot be had for Python {pythons.CURRENT} on Linux x86_64:"
    assert "compiled" in "\n".join(lines[1:-1])
    assert lines[-1].startswith("A dependency needs a wheel for that machine")


def test_neither_uv_nor_pip(make_project: Make, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "uv_command", lambda: None)
    monkeypatch.setattr(vendor, "find_spec", lambda name: None)
    with pytest.raises(BuildError, match="neither uv nor pip is here"):
        build(make_project({"requirements.txt": "compiled\n"}), target)


def test_a_folder_of_ones_own_is_never_stale(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheel = wheels("smallthing", "1.0")
    project = make_project({"libs/x": ""})
    local = shutil.move(wheel, project.root / "libs" / wheel.name)
    (project.root / "requirements.txt").write_text(f"smallthing @ {Path(local).as_uri()}\n")
    built = build(project, target)
    assert built.lock == [f"smallthing @ {Path(local).as_uri()}"]
    assert (built.folder / "bundle/smallthing/__init__.py").is_file()


@pytest.mark.parametrize("source", ["import msgspec\n", "def late():\n    from msgspec import json\n"])
def test_msgspec_comes_along_where_it_is_imported(make_project: Make, target: Any, wheels: Wheels, source: str) -> None:
    wheels("msgspec", "0.19")
    assert build(make_project(), target).lock == []
    assert build(make_project({"shop/a.py": source}), target).lock == ["msgspec==0.19"]


def test_a_module_that_hides_a_dependency(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("smallthing", "1.0")
    project = make_project({"requirements.txt": "smallthing\n", "smallthing.py": ""})
    with pytest.raises(ConfigError, match=r"smallthing\.py bears the name of a package of a dependency"):
        build(project, target)


def test_names_that_are_reserved(make_project: Make, target: Any) -> None:
    with pytest.raises(ConfigError, match=r"plain_entry\.py bears the name of a module the build brings: rename it"):
        build(make_project({"plain_entry.py": ""}), target)


# --- what is kept


def test_unused_layers_go(make_project: Make, target: Any, cache: Path) -> None:
    build(make_project(), target)
    kept = [path for path in (cache / "layers").iterdir() if (path / "index.json").exists()]
    for layer in kept:
        os.utime(layer / "index.json", (1e9, 1e9))
    project = make_project({"app.py": "from portable import App\napp = App('other')\n"}, name="other")
    target.dependency_folder = "elsewhere"
    build(project, target)
    left = list((cache / "layers").iterdir())
    assert len(left) == 2
    assert not set(left) & set(kept) or all((path / "index.json").stat().st_mtime > 1e9 for path in left)


def test_builds_at_the_same_time(make_project: Make) -> None:
    project = make_project()
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "local"]
    running = [
        subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)
    ]
    said = [one.communicate(timeout=100)[1] for one in running]
    assert said == [b""] * 4
    folder = project.root / "dist" / "local"
    for path, entry in json.loads((folder / "manifest.json").read_bytes())["files"].items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == entry["sha256"]
    assert [path.name for path in folder.parent.iterdir()] == ["local"]
