"""The conformance matrix: written from a run, and held against what is declared without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SUITE = """
import pytest

from portable.capabilities import native, refused
from portable.testing.conformance.cases import Conformance


class ThingConformance(Conformance):
    unsupported_keys = {}

    def test_works(self):
        pass

    def test_order(self):
        if self.capabilities["ordered"].given:
            assert self.keeps_order

    @pytest.mark.parametrize("key", ["plain", "emoji"])
    def test_key(self, key):
        if key in self.unsupported_keys:
            return

    @pytest.mark.parametrize("size", [1, 2])
    def test_size(self, size):
        assert size < self.largest

    def test_order_of_many(self):
        if not self.capabilities["ordered"].given:
            pytest.skip("it keeps no order of one")

    @pytest.mark.slow
    def test_takes_long(self):
        pass


class TestThing(ThingConformance):
    capabilities = {"ordered": native(source="here")}
    keeps_order = True
    largest = 2
    emulator_faults = {"size[2]": "it takes no 2"}

    def test_of_its_own(self):
        raise AssertionError("no suite's case")


class TestSmallThing(ThingConformance):
    capabilities = {"ordered": refused("it keeps no order", source="here")}
    unsupported_keys = {"emoji": "too cheerful"}
    keeps_order = False
    largest = 3
"""

WRITTEN = """
## thing

| case | acme | acme Small |
| --- | --- | --- |
| `key` | pass | gap: key emoji |
| `order` | pass | gap: ordered |
| `order_of_many` | pass | gap: ordered |
| `size` | emulator | pass |
| `takes_long` | pass | pass |
| `works` | pass | pass |

* acme Small, gap `key emoji`: too cheerful
* acme Small, gap `ordered`: it keeps no order
* acme, emulator, `size[2]`: it takes no 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "portable_acme").mkdir()
    (tmp_path / "portable_acme" / "test_thing.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--conformance", "matrix.md", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def edit(folder: Path, old: str, new: str) -> str:
    """Change the suite's or the document's text, and say what a look at the document says then."""
    for file in (folder / "matrix.md", folder / "portable_acme" / "test_thing.py"):
        text = file.read_text()
        if old in text:
            file.write_text(text.replace(old, new, 1))
            done = run(folder, "--collect-only")
            file.write_text(text)
            assert done.returncode == 1, done.stdout
            return done.stdout
    raise AssertionError(f"neither holds {old}")


@pytest.mark.slow
def test_a_run_writes_the_document(folder: Path) -> None:
    (folder / "matrix.md").write_text("# Ours\n\n<!-- written: conformance -->\nold\n<!-- end -->\n\nThe end.\n")
    done = run(folder)
    assert done.returncode == 0, done.stdout
    text = (folder / "matrix.md").read_text()
    assert text == f"# Ours\n\n<!-- written: conformance -->\n{WRITTEN}\n<!-- end -->\n\nThe end.\n"
    assert WRITTEN in done.stdout
    again = run(folder, "--collect-only")
    assert again.returncode == 0, again.stdout
    assert (folder / "matrix.md").read_text() == text


@pytest.mark.slow
def test_a_document_out_of_date_is_named(folder: Path) -> None:
    run(folder)
    said = edit(folder, "| `works` | pass | pass |\n", "")
    assert "thing works, acme: is not in the document" in said
    said = edit(folder, "| `works` | pass | pass |", "| `works` | pass | maybe |")
    assert "thing works, acme Small: the document says 'maybe', which is no cell" in said
    said = edit(folder, "def test_works", "def test_wirks")
    assert "thing wirks, acme: is not in the document" in said
    assert "thing works, acme: there is none" in said
    said = edit(folder, "class TestSmallThing", "class TestTinyThing")
    assert "thing key, acme Tiny: is not in the document" in said
    said = edit(folder, 'emulator_faults = {"size[2]": "it takes no 2"}', "")
    assert "thing size, acme: the document says 'emulator', and emulator_faults says nothing of it" in said
    said = edit(folder, "it takes no 2", "it takes 1")
    assert "the document lacks the line * acme, emulator, `size[2]`: it takes no 2" in said
    said = edit(folder, 'refused("it keeps no order", source="here")', 'native(source="here")')
    assert "thing order, acme Small: the document says 'gap: ordered', and the capabilities do not refuse" in said


@pytest.mark.parametrize(
    ("old", "new", "cell"),
    [
        ("keeps_order = True", "keeps_order = False", "thing order, acme: FAILED"),
        ("def test_works(self):\n        pass", "def test_works(self):\n        pytest.skip('no')", "acme: not run"),
    ],
)
def test_what_is_not_known_is_not_written(folder: Path, old: str, new: str, cell: str) -> None:
    file = folder / "portable_acme" / "test_thing.py"
    file.write_text(SUITE.replace(old, new))
    done = run(folder)
    assert done.returncode == 1
    assert cell in done.stdout
    assert not (folder / "matrix.md").exists()


def test_a_part_of_the_cases_is_no_document(folder: Path) -> None:
    done = run(folder, "-m", "not slow")
    assert "thing takes_long, acme: not run" in done.stdout
    assert not (folder / "matrix.md").exists()


@pytest.mark.slow
def test_drivers_that_are_not_run_keep_their_columns(folder: Path) -> None:
    assert run(folder, "portable_acme/test_thing.py::TestThing").returncode == 0
    half = (folder / "matrix.md").read_text()
    assert "| `order` | pass |\n" in half
    done = run(folder, "portable_acme/test_thing.py::TestSmallThing")
    assert done.returncode == 0
    assert WRITTEN in (folder / "matrix.md").read_text()


CONFTEST = """
from pathlib import Path

from portable.testing.matrix import MatrixSession


def pytest_configure(config):
    if not config.getoption("--conformance"):
        config.pluginmanager.register(MatrixSession(Path("matrix.md"), only=False))
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one", "two"])
def test_any_run_is_held_against_the_document(folder: Path, processes: tuple[str, ...]) -> None:
    (folder / "conftest.py").write_text(CONFTEST)
    assert run(folder).returncode == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "order and not own", *processes]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "matrix.md" in done.stdout) == (0, False), done.stdout
    text = (folder / "matrix.md").read_text()
    (folder / "matrix.md").write_text(text.replace("| `order` | pass | gap: ordered |", "| `order` | pass | pass |"))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "thing order, acme Small: came to 'gap: ordered', and the document says 'pass'" in done.stdout


def test_two_classes_of_one_name_are_refused(folder: Path) -> None:
    again = SUITE.replace("class TestSmallThing", "class TestAcmeThing")
    (folder / "portable_acme" / "test_thing.py").write_text(again)
    done = run(folder)
    assert done.returncode != 0
    assert "two test classes of thing are called 'acme'" in done.stdout + done.stderr


def test_a_document_without_marks_is_left_alone(folder: Path) -> None:
    (folder / "matrix.md").write_text("# Ours\n")
    done = run(folder)
    assert done.returncode != 0
    assert "to write the matrix between" in done.stdout + done.stderr
    assert (folder / "matrix.md").read_text() == "# Ours\n"


def assert_up_to_date(*files: str) -> None:
    """As far as can be known without a run; a whole run holds each cell against what the case came to."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "--conformance", "docs/conformance.md", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_document_of_this_project_has_every_case_and_driver() -> None:
    files = [str(file) for file in sorted((ROOT / "tests").rglob("test_*.py")) if "Conformance" in file.read_text()]
    assert len(files) > 20
    assert_up_to_date(*files)


@pytest.mark.slow
def test_no_other_file_holds_a_case_that_the_document_has_not() -> None:
    assert_up_to_date("tests")
