"""The conformance matrix: what each case of each suite came to with each driver.

    pytest --conformance docs/conformance.md                  run the suites' cases alone, print the matrix, write it
    pytest --conformance docs/conformance.md --collect-only   run nothing; say where the document is out of date

A cell is ``pass``; ``gap: FEATURE``, where the case proved that the driver refuses what its capabilities say it
refuses; or ``emulator``, where the case fails for a fault of the emulator that the suite's subclass declares. The
document is written when every cell is one of these. Columns of drivers that the session did not collect stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from portable.testing.conformance.cases import GAP, Conformance

__all__ = ["Matrix", "MatrixSession", "driver_of", "suite_of"]

PASS, EMULATOR, FAILED, NOT_RUN = "pass", "emulator", "FAILED", "not run"
_BEGIN, _END = "<!-- written: conformance -->", "<!-- end -->"
_HEAD = f"# Conformance\n\n{_BEGIN}\n{_END}\n"


def suite_of(test_class: type) -> type | None:
    """The suite a test class subclasses, None for other classes."""
    if not issubclass(test_class, Conformance):
        return None
    return next((base for base in test_class.__mro__[1:] if base.__name__.endswith("Conformance")), None)


def driver_of(test_class: type[Conformance], path: Path) -> str:
    """The column of a test class: ``aws`` for TestQueue in ``portable_aws/``, and ``aws FIFO`` for TestFIFOQueue."""
    if test_class.driver:
        return test_class.driver
    suite = suite_of(test_class)
    assert suite is not None
    adapter = path.parent.name.removeprefix("portable_")
    rest = test_class.__name__.removeprefix("Test").removesuffix("Conformance")
    rest = rest.removesuffix(_kind(suite).capitalize())
    return adapter if rest.lower() in ("", adapter) else f"{adapter} {rest}"


def _kind(suite: type) -> str:
    return suite.__name__.removesuffix("Conformance").lower()


def _case(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name).removeprefix("test_")


class _Column:
    """One driver of a kind: the class that tests it, and what its cases came to."""

    def __init__(self, suite: type, test_class: type[Conformance]) -> None:
        self.test_class = test_class
        self.cases = {name.removeprefix("test_"): set[str]() for name in dir(suite) if name.startswith("test_")}
        self.faults = {f"{name}": reason for name, reason in test_class.emulator_faults.items()}
        unsupported: Mapping[str, str] = getattr(test_class, "unsupported_keys", {})
        self.gaps = {f"key {name}": reason for name, reason in unsupported.items()}
        for feature, capability in getattr(test_class, "capabilities", {}).items():
            if not capability.given:
                self.gaps[feature] = capability.note

    def fault(self, case: str) -> str | None:
        """The reason of a declared fault of a case, or of one of its parameters."""
        return next((why for name, why in self.faults.items() if name.partition("[")[0] == case), None)

    def cell(self, case: str) -> str:
        """What the case came to, over all its parameters."""
        found = self.cases[case]
        for state in (FAILED, NOT_RUN, EMULATOR):
            if state in found:
                return state
        gaps = sorted(one for one in found if one != PASS)
        return f"gap: {', '.join(gaps)}" if gaps else PASS if found else NOT_RUN


class Matrix:
    """By kind and driver, the cases of the suites that are collected in a session."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, _Column]] = {}
        self._items: dict[str, tuple[str, str, str]] = {}

    def add(self, items: Iterable[pytest.Item]) -> list[pytest.Item]:
        """Take note of collected items; those that are no suite's case are given back."""
        others = []
        for item in items:
            test_class: Any = getattr(item, "cls", None)
            suite = suite_of(test_class) if isinstance(test_class, type) else None
            case = _case(item)
            if suite is None or not hasattr(suite, f"test_{case}"):
                others.append(item)
                continue
            kind, driver = _kind(suite), driver_of(test_class, item.path)
            columns = self.kinds.setdefault(kind, {})
            known = columns.setdefault(driver, _Column(suite, test_class))
            if known.test_class is not test_class:
                raise pytest.UsageError(
                    f"two test classes of {kind} are called {driver!r}: say driver = … in {item.path}"
                )
            self._items[item.nodeid] = kind, driver, case
        return others

    def record(self, report: pytest.TestReport) -> None:
        """Take note of what an item came to."""
        if report.nodeid not in self._items or (report.passed and report.when != "call"):
            return
        kind, driver, case = self._items[report.nodeid]
        found = self.kinds[kind][driver].cases[case]
        gaps = {str(value) for name, value in report.user_properties if name == GAP}
        if report.passed:
            found.update(gaps or {PASS})
        elif report.skipped and hasattr(report, "wasxfail"):
            found.add(EMULATOR)
        elif report.skipped:  # for what is refused, which another case proves; or for a part that is not here
            found.update(gaps or {NOT_RUN})
        else:
            found.add(FAILED)

    def cells(self) -> Iterator[tuple[str, str, str, str]]:
        """Kind, case, driver and cell, each."""
        for kind, columns in sorted(self.kinds.items()):
            for case in self._cases(kind):
                for driver in sorted(columns):
                    yield kind, case, driver, columns[driver].cell(case)

    def _cases(self, kind: str) -> list[str]:
        return sorted({case for column in self.kinds[kind].values() for case in column.cases})

    def unsettled(self) -> list[str]:
        """Cells that stand for nothing that is known."""
        return [
            f"{kind} {case}, {driver}: {cell}" for kind, case, driver, cell in self.cells() if cell in (FAILED, NOT_RUN)
        ]

    # --- the document

    def lines(self, text: str = "") -> Iterator[str]:
        """The matrix in Markdown. What a document's ``text`` has of drivers that are not in this session is kept."""
        cells = {(kind, case, driver): cell for kind, case, driver, cell in self.cells()}
        cases = {(kind, case) for kind, case, _ in cells}
        kept = {(kind, driver) for kind, _, driver in _read(text) if driver not in self.kinds.get(kind, {})}
        cells |= {
            (kind, case, driver): cell
            for (kind, case, driver), cell in _read(text).items()
            if (kind, driver) in kept and (kind not in self.kinds or (kind, case) in cases)
        }
        notes = {(kind, note) for kind, note in _read_notes(text) if (kind, _driver_noted(note)) in kept}
        notes |= {(kind, note) for kind in self.kinds for note in self._notes(kind)}
        for kind in sorted({kind for kind, _, _ in cells}):
            drivers = sorted({driver for of, _, driver in cells if of == kind})
            yield f"## {kind}"
            yield ""
            yield f"| case | {' | '.join(drivers)} |"
            yield f"| --- |{' --- |' * len(drivers)}"
            for case in sorted({case for of, case, _ in cells if of == kind}):
                row = (cells.get((kind, case, driver), NOT_RUN) for driver in drivers)
                yield f"| `{case}` | {' | '.join(row)} |"
            own = sorted(note for of, note in notes if of == kind)
            if own:
                yield ""
                yield from own
            yield ""

    def _notes(self, kind: str) -> Iterator[str]:
        for driver, column in sorted(self.kinds[kind].items()):
            for gap, why in sorted(column.gaps.items()):
                yield f"* {driver}, gap `{gap}`: {why}"
            for case, why in sorted(column.faults.items()):
                yield f"* {driver}, emulator, `{case}`: {why}"

    def write(self, file: Path) -> None:
        """Put the matrix into a document, between its marks; a document that is not there is begun."""
        text = file.read_text("utf-8") if file.exists() else _HEAD
        before, found, rest = text.partition(_BEGIN)
        if not found or _END not in rest:
            raise pytest.UsageError(f"{file} has no lines {_BEGIN} and {_END} to write the matrix between")
        body = "\n".join(self.lines(text))
        file.write_text(f"{before}{_BEGIN}\n\n{body}\n{_END}{rest.partition(_END)[2]}", "utf-8")

    def differences(self, file: Path, *, collected_all: bool) -> list[str]:
        """Where a document says something else than this session knows.

        ``collected_all``: whether every suite of the project was collected, so that what the document has beyond them
        is out of date too. Cases that did not run are held against what is declared.
        """
        text = file.read_text("utf-8") if file.exists() else ""
        written = _read(text)
        wrong = []
        known = set()
        for kind, case, driver, cell in self.cells():
            known.add((kind, case, driver))
            column = self.kinds[kind][driver]
            says = written.get((kind, case, driver))
            if says is None:
                wrong.append(f"{kind} {case}, {driver}: is not in the document")
            elif cell not in (NOT_RUN, FAILED) and cell != PASS and not _covers(says, cell):
                wrong.append(f"{kind} {case}, {driver}: came to {cell!r}, and the document says {says!r}")
            elif problem := _problem(says, column, case):
                wrong.append(f"{kind} {case}, {driver}: the document says {says!r}, {problem}")
        if collected_all:
            wrong += [f"{' '.join(one[:2])}, {one[2]}: there is none" for one in sorted(written.keys() - known)]
        for kind in sorted(self.kinds):
            wrong += [f"{kind}: the document lacks the line {note}" for note in self._notes(kind) if note not in text]
        return wrong


class MatrixSession:
    """A pytest plugin that keeps a document. ``only``: run the suites' cases alone, and write it."""

    def __init__(self, file: Path, *, only: bool) -> None:
        self.matrix = Matrix()
        self._file = file
        self._only = only
        self._said: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Before marks and names choose among the items."""
        others = self.matrix.add(items)
        if self._only:
            aside = {id(item) for item in others}
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if id(item) not in aside]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What an item came to."""
        self.matrix.record(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hold the document against the session, or write it."""
        if not self._only:
            self._say("is out of date", self.matrix.differences(self._file, collected_all=False))
        elif session.config.getoption("collectonly"):
            self._say("is out of date", self.matrix.differences(self._file, collected_all=True))
        else:
            self._say("is not written, for these cells", self.matrix.unsettled())
            if not self._said:
                self.matrix.write(self._file)
        told = getattr(session.config, "workeroutput", None)
        if told is not None:  # one of several processes: the one that speaks says it for all
            told["conformance"] = self._said
        if self._said:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:  # noqa: ARG002 - pytest-xdist's hook
        """What one of several processes found wrong with the document, each line once."""
        lines = getattr(node, "workeroutput", {}).get("conformance", [])
        self._said += [line for line in lines if line not in self._said]

    def _say(self, what: str, lines: list[str]) -> None:
        if lines:
            self._said = [f"{self._file} {what}; pytest --conformance {self._file} writes it:", *lines]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The matrix where it was asked for, and what is wrong with the document."""
        if self._only or self._said:
            terminalreporter.section("conformance")
        if self._only and not terminalreporter.config.getoption("collectonly"):
            for line in self.matrix.lines():
                terminalreporter.line(line)
        for line in self._said:
            terminalreporter.line(line, red=True)


def _covers(says: str, cell: str) -> bool:
    """Whether what a document says holds for what some of the parameters came to."""
    if cell.startswith("gap: ") and says.startswith("gap: "):
        return set(cell[5:].split(", ")) <= set(says[5:].split(", "))
    return says in (cell, EMULATOR)


def _problem(says: str, column: _Column, case: str) -> str:
    """What is wrong with a written cell, by what is declared alone; "" when nothing is."""
    if (says == EMULATOR) is (column.fault(case) is None):
        return f"and emulator_faults says {column.fault(case) or 'nothing of it'}"
    if says.startswith("gap: "):
        strange = [gap for gap in says[5:].split(", ") if gap not in column.gaps]
        return f"and the capabilities do not refuse {', '.join(strange)}" if strange else ""
    return "" if says in (PASS, EMULATOR) else "which is no cell"


def _read(text: str) -> dict[tuple[str, str, str], str]:
    """Kind, case and driver to cell, as a document has them."""
    cells = {}
    kind, drivers = "", []
    for line in text.partition(_BEGIN)[2].partition(_END)[0].splitlines():
        if line.startswith("## "):
            kind = line[3:]
        elif line.startswith("| case |"):
            drivers = _row(line)[1:]
        elif line.startswith("| `"):
            case, *row = _row(line)
            cells.update({(kind, case.strip("`"), driver): cell for driver, cell in zip(drivers, row, strict=True)})
    return cells


def _read_notes(text: str) -> Iterator[tuple[str, str]]:
    """Kind and line of each note of a document."""
    kind = ""
    for line in text.partition(_BEGIN)[2].partition(_END)[0].splitlines():
        if line.startswith("## "):
            kind = line[3:]
        elif line.startswith("* "):
            yield kind, line


def _driver_noted(note: str) -> str:
    return note[2:].partition(", ")[0]


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
