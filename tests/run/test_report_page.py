"""The page of a report: well-formed, whole by itself, escaped, and its treemap's areas as the sizes."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from portable.build.budget import Excess, Limit
from portable.build.project import find_project
from portable.build.result import Part
from portable.run.building import build_to_run
from portable.run.coldstart import ColdStart
from portable.run.report import make_report
from portable.run.report_page import report_page
from portable.run.treemap import lay_out


@pytest.mark.parametrize("amounts", [[1.0], [6, 6, 4, 3, 2, 2, 1], [1000, 1], [2.0**-n for n in range(30)], [1.0] * 40])
def test_tiles_have_the_areas_of_their_amounts_and_fill_the_whole(amounts: list[float]) -> None:
    tiles = lay_out(amounts, 60, 40)
    assert [tile.width * tile.height for tile in tiles] == pytest.approx([a * 2400 / sum(amounts) for a in amounts])
    for tile in tiles:
        assert tile.left >= 0
        assert tile.top >= 0
        assert tile.left + tile.width <= 60 + 1e-6
        assert tile.top + tile.height <= 40 + 1e-6
    for one, two in combinations(tiles, 2):
        across = min(one.left + one.width, two.left + two.width) - max(one.left, two.left)
        down = min(one.top + one.height, two.top + two.height) - max(one.top, two.top)
        assert min(across, down) < 1e-6


def test_tiles_are_near_to_squares() -> None:
    tiles = lay_out([6, 6, 4, 3, 2, 2, 1], 6, 4)
    assert (tiles[0].width, tiles[0].height) == (3, 2)
    assert max(max(t.width / t.height, t.height / t.width) for t in tiles) < 3


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import html.entities\nfrom portable import App\n\napp = App('shop')\n\n\n"
        "@app.get('/')\ndef home() -> str:\n    return 'hello'\n"
    )
    report = make_report(build_to_run(find_project(tmp_path), "local", tmp_path / "out"))
    failed = ColdStart("http", [0.1, 0.3, 0.2], "ValueError: <script>alert(1)</script> & more")
    odd = Part("<b>odd", 1, 5_000_000, 1_000_000)
    dropped = [{"distribution": "", "rule": "tests", "files": 3, "size": 2000, "why": "tests of a package"}] * 2
    report = msgspec.structs.replace(
        report, starts=[failed], used={"python": "3"}, dropped=dropped, parts={"": [odd, *report.parts[""]]}
    )
    page = report_page(report)
    assert page == report_page(report)
    assert page.startswith("<!doctype html>\n")
    assert not re.search(r"https?:|//|url\(|@import|src=|href=|<script|<link", page.replace("</", "<"))
    root = ET.fromstring(page.removeprefix("<!doctype html>\n"))
    assert root.find("head/title") is not None
    titles = [one.text or "" for one in root.iter("title")][1:]
    assert titles[0].startswith("<b>odd: 5.0 MB, ")
    assert len(titles) == len(report.parts[""]) == len(list(root.iter("rect")))
    cells = ["".join(row.itertext()) for row in root.iter("tr")]
    assert any(cell.startswith("<b>odd15.0 MB1.0 MB") for cell in cells)
    assert any("html.entities" in cell for cell in cells)
    assert any(cell.startswith("http3200 ms100 ms300 ms") for cell in cells)
    assert any(cell == "(no RECORD)tests64.0 kB" for cell in cells)
    text = " ".join(root.itertext())
    assert "<script>alert(1)</script> & more" in text
    assert f"{report.loadings[0].modules} modules" in text
    turned = Part('a\x1b\u202e"b', 1, 100, 50)
    over = Excess(Limit("zip", "", 5e6, "pyproject.toml:3"), "bundle.zip", 6e6)
    page = report_page(msgspec.structs.replace(report, parts={"": [turned]}), [over])
    root = ET.fromstring(page.removeprefix("<!doctype html>\n"))
    assert [one.get("title") for one in root.iter("code")][:2] == ["bundle.zip", 'a\ufffd\ufffd"b']
    [section] = root.iter("section")
    assert "bundle.zip6.0 MB5.0 MB1.0 MBpyproject.toml:3" in "".join(section.itertext())
