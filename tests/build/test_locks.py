from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build import pythons, vendor
from portable.build.artifact import build
from portable.build.locks import Locked, find_lock
from portable.build.project import Project
from portable.errors import BuildError, ConfigError

Make = Callable[..., Project]
Wheels = Callable[..., Path]

PROJECT = f"""
[project]
name = "shop"
version = "0"
requires-python = ">={pythons.CURRENT}"
dependencies = [DEPENDENCIES]
"""


@pytest.fixture(params=["uv", "pip"])
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pip":
        monkeypatch.setattr(vendor, "uv_command", lambda: None)
    return str(request.param)


def pyproject(*dependencies: str, settings: str = "") -> str:
    return PROJECT.replace("DEPENDENCIES", ", ".join(map(repr, dependencies))) + settings


def digest(wheel: Path) -> str:
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def uv(project: Project, *arguments: str) -> None:
    command = pythons.uv_command()
    assert command is not None
    subprocess.run([command, *arguments, "--quiet"], cwd=project.root, check=True)


def pylock(*packages: tuple[str, str, str]) -> str:
    lines = ['lock-version = "1.0"', 'created-by = "a test"']
    for name, version, value in packages:
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{version}"', "[[packages.wheels]]"]
        lines += [f'name = "{name}-{version}-py3-none-any.whl"', f'hashes = {{sha256 = "{value}"}}']
    return "\n".join(lines)


@pytest.fixture
def three(wheels: Wheels) -> dict[str, str]:
    """Wheels, and the hashes of those that locks shall name: an old one of each."""
    found = {"smallthing": wheels("smallthing", "1.0", ["otherthing"]), "otherthing": wheels("otherthing", "1.0")}
    wheels("smallthing", "2.0", ["otherthing"])
    wheels("otherthing", "2.0")
    wheels("unrelated", "1.0")
    return {name: digest(wheel) for name, wheel in found.items()}


@pytest.fixture
def index(served: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``index(*wheels)`` moves them to an index of their own, which installers ask from then on."""

    def publish(*wheels: Path) -> None:
        for wheel in wheels:
            folder = tmp_path / "index" / wheel.name.partition("-")[0]
            folder.mkdir(parents=True, exist_ok=True)
            link = f'<a href="{wheel.name}#sha256={digest(wheel)}">{wheel.name}</a>\n'
            shutil.move(wheel, folder / wheel.name)
            with (folder / "index.html").open("a") as page:
                page.write(link)
        monkeypatch.setenv("UV_DEFAULT_INDEX", served(tmp_path / "index"))

    return publish


def test_uv_lock(make_project: Make, target: Any, wheels: Wheels, index: Any) -> None:
    old = [wheels("smallthing", "1.0", ["otherthing"]), wheels("otherthing", "1.0")]
    values = {wheel.name.partition("-")[0]: digest(wheel) for wheel in old}
    index(*old)
    project = make_project({"pyproject.toml": pyproject("smallthing")})
    uv(project, "lock")
    assert locked(project).hashes["smallthing", "1.0"] == (f"sha256:{values['smallthing']}",)
    index(wheels("smallthing", "2.0", ["otherthing"]))
    assert build(project, target).lock == ["otherthing==1.0", "smallthing==1.0"]
    file = project.root / "uv.lock"
    file.write_text(file.read_text().replace(values["otherthing"], "0" * 64))
    with pytest.raises(BuildError, match=r"(?s)otherthing.*hash|[Hh]ash.*otherthing"):
        build(project, target)


def test_pylock(make_project: Make, target: Any, three: dict[str, str], installer: str) -> None:
    text = pylock(*((name, "1.0", value) for name, value in three.items()))
    project = make_project({"pylock.toml": text, "pyproject.toml": pyproject("smallthing")})
    assert build(project, target).lock == ["otherthing==1.0", "smallthing==1.0"]
    alone = make_project({"pylock.toml": text}, name="alone")
    assert build(alone, target).lock == ["otherthing==1.0", "smallthing==1.0"]


def test_a_pylock_that_uv_wrote(make_project: Make, target: Any, three: dict[str, str]) -> None:
    project = make_project({"pyproject.toml": pyproject("smallthing<2")})
    uv(project, "lock")
    uv(project, "export", "--format", "pylock.toml", "-o", "pylock.toml", "--no-emit-project")
    (project.root / "uv.lock").unlink()
    assert build(project, target).lock == ["otherthing==2.0", "smallthing==1.0"]


def test_hashed_requirements(make_project: Make, target: Any, three: dict[str, str]) -> None:
    lines = [f"{name}==1.0 \\\n    --hash=sha256:{value}\n    # via a test\n" for name, value in three.items()]
    project = make_project({"requirements.txt": "".join(lines)})
    assert build(project, target).lock == ["otherthing==1.0", "smallthing==1.0"]


@pytest.mark.parametrize("kind", ["pylock.toml", "requirements.txt"])
def test_what_was_tampered_with_is_refused(
    make_project: Make, target: Any, wheels: Wheels, installer: str, kind: str
) -> None:
    wheels("smallthing", "1.0")
    wrong = "0" * 64
    text = {
        "pylock.toml": pylock(("smallthing", "1.0", wrong)),
        "requirements.txt": f"smallthing==1.0 --hash=sha256:{wrong}\n",
    }
    project = make_project({kind: text[kind]})
    with pytest.raises(BuildError, match=r"(?is)smallthing.*hash|hash.*smallthing"):
        build(project, target)
    assert not (project.root / "dist").exists() or not list((project.root / "dist").iterdir())


def test_which_lock_goes_first(make_project: Make, three: dict[str, str], target: Any) -> None:
    files = {
        "pyproject.toml": pyproject("smallthing"),
        "pylock.toml": pylock(*((name, "1.0", value) for name, value in three.items())),
        "requirements.txt": "smallthing==2.0 --hash=sha256:" + "1" * 64,
    }
    project = make_project(files)
    assert locked(project).file == "pylock.toml"
    uv(project, "lock")
    assert locked(project).file == "uv.lock"
    files["pyproject.toml"] = pyproject("smallthing", settings="[tool.portable]\nlock = 'requirements.txt'\n")
    assert locked(make_project(files)).file == "requirements.txt"
    files["pyproject.toml"] = pyproject("smallthing", settings="[tool.portable]\nlock = 'none'\n")
    project = make_project(files)
    assert find_lock(project) is None
    assert build(project, target).lock == ["otherthing==2.0", "smallthing==2.0"]


def locked(project: Project) -> Locked:
    found = find_lock(project)
    assert found is not None
    return found


def test_without_hashes_requirements_lock_nothing(make_project: Make) -> None:
    assert find_lock(make_project({"requirements.txt": "smallthing==1.0\n"})) is None


def test_a_lock_older_than_the_requirements(make_project: Make, target: Any, three: dict[str, str]) -> None:
    project = make_project({"pyproject.toml": pyproject("smallthing<2")})
    uv(project, "lock")
    project = make_project({"pyproject.toml": pyproject("smallthing<2", "unrelated")})
    with pytest.raises(BuildError, match=r"uv\.lock is out of date: it does not hold unrelated==1\.0.*`uv lock`"):
        build(project, target)
    project = make_project({"pyproject.toml": pyproject("smallthing>=2")})
    with pytest.raises(BuildError, match=r"(?s)smallthing.*The versions are those of uv\.lock.*`uv lock`"):
        build(project, target)


def test_what_a_target_adds_need_not_be_locked(make_project: Make, target: Any, three: dict[str, str]) -> None:
    target.wanted = ["unrelated"]
    project = make_project({"pylock.toml": pylock(*((name, "1.0", value) for name, value in three.items()))})
    assert build(project, target).lock == ["otherthing==1.0", "smallthing==1.0", "unrelated==1.0"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("uv.lock", "version = 1\nname ==\n", r"uv\.lock cannot be read: .*line 2.*`uv lock`"),
        ("uv.lock", "version = 99\n", r"uv\.lock is malformed: .*version 99.*`uv lock`"),
        ("uv.lock", "version = 1\n[[package]]\nversion = '1'\n", r"uv\.lock is malformed: KeyError: 'source'"),
        ("pylock.toml", "packages = []\n", r"pylock\.toml is malformed: KeyError: 'lock-version'"),
        ("pylock.toml", "lock-version = '9.0'\n", r"pylock\.toml is malformed: .*'9\.0'; 1\.0 is known"),
        ("requirements.txt", "a==1 --hash=sha256:00\nb==2\n", r"requirements\.txt:2: b==2 has no --hash, while others"),
        ("requirements.txt", "a>1 --hash=sha256:00\n", r"requirements\.txt:1: a>1 is not pinned by =="),
    ],
)
def test_locks_that_cannot_be_used(make_project: Make, name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_lock(make_project({name: text}))


@pytest.mark.parametrize("name", ["missing.lock", "pylock.toml"])
def test_a_lock_that_is_named_and_not_there(make_project: Make, name: str) -> None:
    project = make_project({"pyproject.toml": f"[tool.portable]\nlock = '{name}'\n"})
    with pytest.raises(ConfigError, match=rf'pyproject\.toml:2: lock = "{re.escape(name)}"'):
        find_lock(project)


def test_a_fork_of_uv_lock_takes_the_version_of_the_target(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("smallthing", "1.0")
    wheels("smallthing", "2.0")
    here = pythons.CURRENT
    text = pyproject(f"smallthing<2; python_version < '{here}'", f"smallthing>=2; python_version >= '{here}'")
    project = make_project({"pyproject.toml": text.replace(f">={here}", ">=3.9")})
    uv(project, "lock")
    assert (project.root / "uv.lock").read_text().count('name = "smallthing"') > 1
    assert build(project, target).lock == ["smallthing==2.0"]


# --- what is left to the cloud


def test_what_the_cloud_holds_is_left_out(make_project: Make, target: Any, wheels: Wheels, installer: str) -> None:
    wheels("sdk", "1.0", ["transfer", "shared"])
    wheels("transfer", "1.0", ["shared"])
    wheels("shared", "1.0")
    wheels("web", "1.0", ["shared"])
    target.holds = ("sdk",)
    files = {"requirements.txt": "sdk\nweb\n", "pyproject.toml": "[tool.portable.plain]\nleave_out = ['SDK']\n"}
    built = build(make_project(files), target)
    assert built.lock == ["shared==1.0", "web==1.0"]
    [finding] = built.findings
    assert (finding.severity, finding.where) == ("warning", "pyproject.toml:2")
    assert "changes without a deployment" in finding.message
    files["pyproject.toml"] = "[tool.portable.plain]\nleave_out = ['sdk', 'web']\n"
    built = build(make_project(files), target)
    assert built.lock == []
    assert "web is left out, and plain is not known to have it" in built.findings[1].message


def test_what_cannot_be_left_out(make_project: Make, target: Any) -> None:
    for asked, message in (("['portable-functions']", "cannot be left out"), ("'boto3'", "is a list of distributions")):
        project = make_project({"pyproject.toml": f"[tool.portable.plain]\nleave_out = {asked}\n"})
        with pytest.raises(ConfigError, match=message):
            build(project, target)


# --- addresses


def test_an_address_needs_a_hash(make_project: Make, target: Any) -> None:
    for line in (
        "thing @ https://example.com/thing-1.0-py3-none-any.whl",
        "https://example.com/thing-1.0-py3-none-any.whl",
    ):
        project = make_project({"requirements.txt": f"\n{line}\n"})
        with pytest.raises(ConfigError, match=r"requirements\.txt:2: .*could put anything into the bundle.*#sha256="):
            build(project, target)
    project = make_project({"requirements.txt": "thing @ git+https://example.com/thing\n"})
    with pytest.raises(ConfigError, match=r"requirements\.txt:1: .*is a repository, and only wheels are installed"):
        build(project, target)


def test_an_address_with_a_hash(
    make_project: Make, target: Any, wheels: Wheels, tmp_path: Path, served: Callable[[Path], str]
) -> None:
    wheel = wheels("smallthing", "1.0")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    moved = Path(shutil.move(wheel, folder / wheel.name))
    address = f"{served(folder)}/{wheel.name}"
    project = make_project({"requirements.txt": f"smallthing @ {address}#sha256={'0' * 64}\n"})
    with pytest.raises(BuildError, match=r"[Hh]ash"):
        build(project, target)
    project = make_project({"requirements.txt": f"smallthing @ {address} --hash=sha256:{digest(moved)}\n"})
    build(project, target)
    assert (project.root / "dist/plain/bundle/smallthing/__init__.py").is_file()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``served(folder)``: the address of a server of its files."""
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    running = []

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
