"""What is printed fits in 80 columns, and tells names apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from portable.build.result import Part
from portable.cli.bars import shortened, size_lines, start_lines
from portable.cli.lines import matrix_lines, shown_path, wrapped
from portable.run.coldstart import ColdStart

TARGETS = ("aws", "azure", "container", "gcp", "local")


def test_names_that_begin_alike_are_told_apart_in_the_matrix() -> None:
    names = [f"queue a-name-of-forty-characters-in-all-the-{end}" for end in ("one", "two")]
    lines = matrix_lines({name: {"gcp": "error"} for name in [*names, "short"]}, TARGETS)
    assert lines[1::2][:2] == names
    assert [line.split() for line in lines[2:5:2]] == [["-", "-", "-", "error", "-"]] * 2
    assert lines[-1].split() == ["short", "-", "-", "-", "error", "-"]
    assert max(map(len, lines)) < 80


def test_a_name_is_cut_in_its_middle() -> None:
    assert shortened("pillow", 6) == "pillow"
    assert shortened("opentelemetry-instrumentation-redis", 21) == "openteleme…tion-redis"
    parts = {"": [Part(f"opentelemetry-instrumentation-{end}", 3, 900, 300) for end in ("redis", "flask")]}
    rows = size_lines(parts)[1:3]
    assert rows[0][:24] != rows[1][:24]
    assert max(map(len, rows)) < 80


def test_amounts_stay_beside_their_units() -> None:
    for width in range(40, 79):
        text = f"{'x' * width} 276.4 kB, 12 ms, 3 MiB and 100 ms more of them"
        lines = wrapped(text, "", "  ")
        assert " ".join(line.strip() for line in lines) == text
        assert not any(line.lstrip().startswith(("kB", "ms", "MiB")) for line in lines)
        assert "\u00a0" not in "".join(lines)


def test_a_long_failure_is_told_on_two_lines() -> None:
    lines = start_lines([ColdStart("http", [0.1], "HTTPError: " + "word\n " * 60)])
    assert max(map(len, lines)) < 80
    assert len(lines) == 4
    assert lines[-1].endswith(" …")


def test_paths_begin_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "dist" / "aws") == str(Path("dist", "aws"))
    assert shown_path(tmp_path.parent) == str(tmp_path.parent)
