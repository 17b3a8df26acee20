"""A command that finds all as it was: it says so before it imports what builds, and notices whatever counts."""

from __future__ import annotations

import json
import marshal
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portable.build import again
from portable.build.caches import cache_folder

APP = """
from pathlib import Path
from portable import App
from shop.names import NAME
app = App(NAME)
limit = int(Path(__file__).parent.parent.joinpath("limit.txt").read_text())
app.queue("orders", max_attempts=limit)
@app.function()
def hello(payload: dict[str, str]) -> None: ...
"""
FILES = {
    "app.py": APP,
    "shop/__init__.py": "",
    "shop/names.py": "NAME = 'shop'\n",
    "data.txt": "",
    "pyproject.toml": "[tool.portable]\nlog_retention = 7\n",
    "infra/local.json": "{}",
    "README.md": "not deployed",
}
# As the command's own file does it; what it has imported is said at the end.
COMMAND = "import sys\nfrom portable.cli import main\nmain()\nprint([*sys.modules], file=sys.stderr)"
BEFORE = "import os, sys; print([*sys.modules])"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This framework and its adapters, where nobody else writes while these tests run."""
    made = tmp_path_factory.mktemp("tree")
    here = Path(again.__file__).parents[2]
    for name in ("portable", "adapters"):
        shutil.copytree(here / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    return made


@pytest.fixture(autouse=True)
def path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = sysconfig.get_paths()
    path = [tree, tree / "adapters", installed["purelib"], installed["platlib"]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, path)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "limit.txt").write_text("3")
    for path, text in FILES.items():
        file = tmp_path / "project" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "project"


def build(root: Path) -> tuple[str, set[str]]:
    """What it says, and the modules it has imported."""
    command = [sys.executable, "-S", "-c", COMMAND, "build", "--target", "local"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stderr.replace("'", '"'))
    return done.stdout, set(modules)


def records() -> list[Path]:
    return sorted(Path(cache_folder(), "build", "again").glob("*"))


def look(record: Path) -> Any:
    return marshal.loads(record.read_bytes())["look"]


def bare_modules() -> set[str]:
    done = subprocess.run([sys.executable, "-S", "-c", BEFORE], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.replace("'", '"')))


def test_a_build_again_imports_next_to_nothing(root: Path) -> None:
    first, needed = build(root)
    assert {"msgspec", "portable.build.artifact"} <= needed
    before = {file: file.stat().st_mtime_ns for file in (root / "dist").rglob("*")}
    said, modules = build(root)
    own = {one for one in modules if one.startswith("portable")}
    assert own == {"portable", "portable.build", "portable.build.again", "portable.build.caches"} | {
        "portable.cli",
        "portable.cli.start",
    }
    # The interpreter's own, that of zlib and of a hash among them: none is written in Python.
    assert modules - own - bare_modules() <= {"__future__", "_sha2", "_sha256", "marshal", "zlib"}
    assert said.splitlines()[-1] == "nothing changed since the last build: the artifact is as it was"
    shown = [line.partition(", in ")[0] for line in said.splitlines()[:-1]]
    assert shown == [line.partition(", in ")[0] for line in first.splitlines()]
    assert {file: file.stat().st_mtime_ns for file in (root / "dist").rglob("*")} == before

    (record,) = records()
    looked, whole = look(record), record.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"{}", marshal.dumps({"look": 1}), marshal.dumps([])):
        record.write_bytes(damaged)
        assert again.last_words(str(record)) is None
    record.unlink()
    said, modules = build(root)  # which finds it done, and looks at less: what was looked at before counts all the same
    assert "portable.build.artifact" in modules
    assert "nothing changed" in said
    later = look(record)
    assert {*looked["files"], *looked["contents"]} <= {*later["files"], *later["contents"]}
    assert set(looked["folders"]) <= set(later["folders"])


def test_whatever_counts_is_noticed(root: Path, tree: Path) -> None:
    build(root)
    (record,) = records()
    file = root / "shop/names.py"
    found = file.stat()
    assert again.last_words(str(record)) is not None
    file.write_text("NAME = 'shed'\n")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert file.stat().st_size == found.st_size
    assert again.last_words(str(record)) is None  # nobody can set the time of its last change

    looked = look(record)
    assert looked["project"] == str(root)

    def now() -> tuple[str, str]:
        return again.state(looked), again.looks(looked["out"])

    state = now()

    def changes() -> bool:
        nonlocal state
        before, state = state, now()
        return state != before

    assert not changes()
    for path in ("app.py", "shop/names.py", "data.txt", "pyproject.toml", "infra/local.json", "../limit.txt"):
        file = root / path
        file.write_text(file.read_text() + "\n")
        assert changes(), path
    (root / "README.md").write_text("not read")
    assert not changes()
    for path in ("another.py", "uv.lock", "shop/more.txt", "infra/local.yaml", ".env"):
        (root / path).write_text("")
        assert changes(), path
        (root / path).unlink()
        assert changes(), path
    lock = root / ".portable/build/local/lock.json"
    lock.write_text("{}")
    assert changes()
    for path in ("manifest.json", "bundle/app.py", "bundle.zip"):
        (root / "dist/local" / path).write_bytes(b"")
        assert changes(), path
    (root / "dist/local/bundle/more.txt").write_text("")
    assert changes()
    files = {*looked["files"], *looked["contents"]}
    assert {
        str(tree / "portable" / one) for one in ("app.py", "build/artifact.py", "http/cors.py", "cli/start.py")
    } <= files
    assert os.path.dirname(str(msgspec.__file__)) in looked["folders"]


def test_surroundings_and_options_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def record(*arguments: str) -> str:
        return again.record_of(arguments)

    first = record("--target", "aws")
    monkeypatch.setenv("SHLVL", "7")
    assert record("--target", "aws") == first
    assert record("--target", "gcp") != first
    monkeypatch.setenv("STAGE_OF_THE_SHOP", "prod")
    assert record("--target", "aws") != first
    monkeypatch.delenv("STAGE_OF_THE_SHOP")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert record("--target", "aws") != first
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert record("--target", "aws") != first


@pytest.mark.parametrize(
    "asks",
    [
        "import subprocess; subprocess.run(['true'], check=True)",
        "import socket; socket.getaddrinfo('localhost', None)",
        "from pathlib import Path; Path(__file__).parent.joinpath('made.txt').write_text('')",
    ],
)
def test_of_an_app_that_asks_others_nothing_is_kept(root: Path, asks: str) -> None:
    (root / "app.py").write_text(f"{asks}\n{APP}")
    build(root)
    assert records() == []
