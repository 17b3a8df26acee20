"""What a project, its dependencies and its surroundings may do to a build, by mistake or on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from portable.build import vendor
from portable.build.artifact import Built, Wanted, build
from portable.build.project import Project
from portable.build.sources import find_sources
from portable.errors import BuildError, ConfigError

Make = Callable[..., Project]
Wheels = Callable[..., Path]

KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n" * 4
KEY += "-----END PRIVATE KEY-----\n"
CERTIFICATE = KEY.replace("PRIVATE KEY", "CERTIFICATE")


def packaged(built: Built) -> set[str]:
    with ZipFile(built.folder / "bundle.zip") as archive:
        return set(archive.namelist())


# --- links and names


def test_a_link_out_of_the_project(make_project: Make, target: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/passwords").write_text("hunter2")
    for name, to in (("file.txt", "outside/passwords"), ("folder", "outside"), ("up", ".")):
        project = make_project(name=f"project-{name}")
        (project.root / name).symlink_to(tmp_path / to)
        with pytest.raises(
            ConfigError, match=rf"{name} is a link that leads out of the project, to .*: put a copy there"
        ):
            build(project, target)
        (project.root / "pyproject.toml").write_text(f"[tool.portable]\nexclude = ['{name}']\n")
        assert name not in find_sources(make_project(name=project.root.name))


def test_links_within_the_project(make_project: Make) -> None:
    project = make_project({"real/a.py": ""})
    (project.root / "linked").symlink_to(project.root / "real")
    (project.root / "real/again").symlink_to(project.root)
    assert list(find_sources(project)) == ["app.py", "linked/a.py", "real/a.py"]


def test_a_link_to_nothing(make_project: Make, target: Any) -> None:
    project = make_project()
    (project.root / "gone.txt").symlink_to(project.root / "nowhere")
    with pytest.raises(ConfigError, match=r"gone\.txt is a link to nothing"):
        build(project, target)


@pytest.mark.parametrize("name", ["two\nlines.txt", "bell\a.txt", "back\\slash.txt", b"not\xffutf8.txt"])
def test_names_that_do_not_survive(make_project: Make, target: Any, name: str | bytes) -> None:
    project = make_project()
    file = os.path.join(os.fsencode(project.root), os.fsencode(name))
    with open(file, "w"):
        pass
    with pytest.raises(ConfigError, match=r"has a character in its name that not every tool reads back") as caught:
        build(project, target)
    assert "\n" not in str(caught.value)


def test_sockets_and_pipes_are_passed_over(make_project: Make, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    monkeypatch.chdir(project.root)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("server.sock")
        assert not {"pipe", "server.sock"} & packaged(build(project, target))


# --- secrets


SECRETS = (
    ".env",
    ".env.production",
    "settings/prod.env",
    "certs/server.pem",
    "certs/server.KEY",
    "id_rsa",
    "keys/id_ed25519",
    "store.p12",
    "credentials.json",
    "gcp/service-account-prod.json",
    ".aws/credentials",
    ".git/config",
    ".netrc",
    "terraform.tfstate",
    "local.settings.json",
)


@pytest.mark.parametrize("text", ["", '[tool.portable]\ninclude = ["*", ".*"]\nexclude = ["/out"]\n'])
def test_secrets_are_never_packaged(make_project: Make, target: Any, text: str) -> None:
    project = make_project({**dict.fromkeys(SECRETS, KEY), "pyproject.toml": text, ".well-known/x": ""})
    built = build(project, target, Wanted(out=project.root / "out"))
    assert not packaged(built) & set(SECRETS)
    assert not any(KEY.encode() in file.read_bytes() for file in built.folder.rglob("*") if file.is_file())
    assert {one.where for one in built.findings} >= {"certs/server.pem", "id_rsa", "local.settings.json"}


@pytest.mark.parametrize(
    "content", [KEY, KEY.replace("PRIVATE", "RSA PRIVATE"), json.dumps({"type": "service_account", "private_key": "x"})]
)
def test_a_secret_by_any_name(make_project: Make, target: Any, content: str) -> None:
    built = build(make_project({"data/innocent.txt": content}), target)
    assert "data/innocent.txt" not in packaged(built)
    [finding] = built.findings
    assert (finding.severity, finding.where) == ("warning", "data/innocent.txt")
    assert "looks like it holds secrets and is not deployed" in finding.message


def test_what_is_no_secret(make_project: Make, target: Any) -> None:
    files = {
        ".env.example": "A=",
        "ca.pem": CERTIFICATE,
        "monkey.txt": "key",
        "shop/keys.py": f"EXAMPLE = '''{KEY}'''\n",
    }
    assert {"monkey.txt", "shop/keys.py"} <= packaged(build(make_project(files), target))
    files["pyproject.toml"] = "[tool.portable]\ninclude = ['/ca.pem', '.env.example']\n"
    assert {"ca.pem", ".env.example"} <= packaged(build(make_project(files), target))
    with pytest.raises(ConfigError, match=r"include: no file is '/ca\.pem'"):
        find_sources(make_project({**files, "ca.pem": CERTIFICATE + KEY}))


# --- dependencies


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_wheel_that_climbs_out(
    make_project: Make, target: Any, wheels: Wheels, tmp_path: Path, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installer == "pip":
        monkeypatch.setattr(vendor, "uv_command", lambda: None)
    climbing = ["../climbed", "../../climbed", "../" * 9 + "tmp/climbed", f"{tmp_path}/climbed", "a/../../climbed"]
    climbing += ["climber-1.0.data/data/../../../climbed"]
    wheels("climber", "1.0", more=dict.fromkeys(climbing, "outside"))
    project = make_project({"requirements.txt": "climber\n"})
    if installer == "pip":
        with pytest.raises(BuildError, match=r"climber.*outside the target directory"):
            build(project, target)
    else:  # uv passes over what leads outside
        assert not [path for path in packaged(build(project, target)) if ".." in path or path.startswith("/")]
    assert not Path("/tmp/climbed").exists()
    found = [path for path in tmp_path.rglob("climbed") if path.is_file()]
    # Within the bundle is within it.
    assert all("bundle" in path.parts or "files" in path.parts for path in found), found


def test_a_wheel_whose_names_mislead(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("climber", "1.0", more={"climber/..\\..\\climbed": "outside, where \\ parts folders"})
    with pytest.raises(BuildError, match=r"climber brings 'climber/\.\..*climbed', which no bundle may hold"):
        build(make_project({"requirements.txt": "climber\n"}), target)


def test_a_wheel_that_brings_this_framework(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("innocent", "1.0", more={"portable/app.py": "print('mine')\n"})
    with pytest.raises(ConfigError, match="a dependency brings a package 'portable', which hides this framework's"):
        build(make_project({"requirements.txt": "innocent\n"}), target)


def test_requirements_that_are_options(make_project: Make, target: Any) -> None:
    for line in ("--index-url https://evil.example", "-e .", "--pre", "--config-settings x"):
        with pytest.raises(ConfigError, match=r"requirements\.txt:1: "):
            build(make_project({"requirements.txt": f"{line}\n"}), target)


# --- the disk


def test_an_output_that_cannot_be_written(make_project: Make, target: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"the artifact cannot be written: .*file"):
        build(make_project(), target, Wanted(out=tmp_path / "file/dist"))
    with pytest.raises(BuildError, match=r"cannot be written|something else than an artifact"):
        build(make_project(), target, Wanted(out=tmp_path / "file"))
    with pytest.raises(BuildError, match="the artifact cannot be written"):
        build(make_project(), target, Wanted(out=Path("/proc/dist")))


def test_a_cache_that_cannot_be_written(
    make_project: Make, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BuildError, match=r"the artifact cannot be written: .*file"):
        build(make_project(), target)


def intact(folder: Path) -> bool:
    recorded = json.loads((folder / "manifest.json").read_bytes())["files"]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*recorded, "manifest.json"}
    for path, entry in recorded.items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == entry["sha256"], path
    return True


@pytest.mark.slow
def test_a_killed_build_leaves_a_whole_artifact(make_project: Make) -> None:
    """Killed at instants all over a build; each time there is an artifact, and it is whole."""
    project = make_project()
    command = [sys.executable, "-m", "portable.cli", "build", "--target", "local", "--project", str(project.root)]
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    length = time.monotonic() - started
    folder = project.root / "dist" / "local"
    assert intact(folder)
    chance = random.Random(5)
    killed = 0
    for turn in range(15):
        (project.root / "app.py").write_text(f"from portable import App\napp = App('shop-{turn}')\n")
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            running.wait(chance.uniform(0.2, 1.0) * length)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            killed += 1
        running.wait()
        assert intact(folder)
    assert killed
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert json.loads((folder / "manifest.json").read_bytes())["app"]["app"] == "shop-24"
    assert [path.name for path in folder.parent.iterdir()] == ["local"]


def test_killed_when_the_old_one_goes(make_project: Make, target: Any) -> None:
    """At the worst instant, between the two names: they change at once, so there is none on Linux."""
    project = make_project()
    build(project, target, Wanted(out=project.root / "out"))
    script = """
import os, sys
from pathlib import Path
from portable.build import replacing
out = Path(sys.argv[1])
really = os.rename
os.rename = lambda *names: os._exit(9)  # what a kill would cut off
with replacing.replacing(out) as fresh:
    (fresh / "manifest.json").write_text("new")
"""
    done = subprocess.run([sys.executable, "-c", script, str(project.root / "out")], check=False)
    there = (project.root / "out/manifest.json").read_text()
    assert (done.returncode, there) == (0, "new") if sys.platform == "linux" else there


def test_what_a_killed_build_left_is_removed(make_project: Make, target: Any) -> None:
    project = make_project()
    built = build(project, target)
    half = project.root / ".portable/build/plain/.making-x"
    half.mkdir()
    os.utime(half, (1e9, 1e9))
    script = """
import os, sys
from pathlib import Path
from portable.build.replacing import replacing
with replacing(Path(sys.argv[1])) as fresh:
    (fresh / "half").write_text("")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, str(built.folder)], check=False)
    assert len(list(built.folder.parent.iterdir())) == 2
    (project.root / "app.py").write_text("from portable import App\napp = App('other')\n")
    build(project, target)
    assert [path.name for path in built.folder.parent.iterdir()] == ["plain"]
    assert not half.exists()
