"""What functions may do: declared in the settings, and said where nobody sees it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from portable import ConfigError
from portable.build.description import describe_project
from portable.build.granted import check_grants
from portable.build.project import find_project
from portable.cli.grants import grant_lines
from portable.manifest import Manifest

APP = """\
    import json
    from portable import App
    app = App("granted")
    uploads = app.bucket("uploads")
    thumbs = app.bucket("thumbs")
    spare = app.bucket("spare")

    @app.get("/")
    def home() -> str:
        thumbs.write("a", b"")
        return json.dumps([uploads], default=str)

    @app.function()
    def recount() -> None:
        uploads.list()

    @app.function()
    def dynamic(code: str) -> None:
        eval(code)
"""


def described(root: Path, settings: str = "") -> Manifest:
    (root / "app.py").write_text(textwrap.dedent(APP))
    (root / "pyproject.toml").write_text(f'[tool.portable]\napp = "app:app"\n{settings}')
    return describe_project(find_project(root)).manifest


def test_what_is_seen(tmp_path: Path) -> None:
    manifest = described(tmp_path)
    every = ["delete", "list", "read", "write"]
    assert {one.name: one.grants for one in manifest.functions} == {
        "http": {"bucket:thumbs": ["write"], "bucket:uploads": every},
        "recount": {"bucket:uploads": ["list"]},
        "dynamic": {"bucket:spare": every, "bucket:thumbs": every, "bucket:uploads": every},
    }
    found = [(one.severity, one.where, one.message.partition(":")[0]) for one in check_grants(manifest)]
    assert found == [
        ("info", "app.py:11", "dumps is not the project's"),
        ("info", "app.py:19", "code made at run time may use any resource (function dynamic)"),
    ]


def test_what_is_declared_counts(tmp_path: Path) -> None:
    settings = """
        [tool.portable.functions."*"]
        grants = { "bucket:spare" = [] }
        [tool.portable.functions.http]
        memory = 512
        grants = { "bucket:uploads" = ["read"], "bucket:spare" = ["write", "list"] }
        [tool.portable.functions.dynamic]
        grants = { "bucket:uploads" = [], "bucket:thumbs" = [] }
    """
    manifest = described(tmp_path, textwrap.dedent(settings))
    assert {one.name: one.grants for one in manifest.functions} == {
        "http": {"bucket:spare": ["list", "write"], "bucket:thumbs": ["write"], "bucket:uploads": ["read"]},
        "recount": {"bucket:uploads": ["list"]},
        "dynamic": {},
    }
    assert [one.where for one in check_grants(manifest)] == ["app.py:19"]  # what is declared is seen
    assert grant_lines(manifest.functions) == [
        "function  resource        may",
        "http      bucket:spare    list write",
        "          bucket:thumbs   write",
        "          bucket:uploads  read",
        "recount   bucket:uploads  list",
    ]


@pytest.mark.parametrize(
    ("grants", "message"),
    [
        ('{ "bucket:uplaods" = ["read"] }', "no resource 'bucket:uplaods'"),
        ('{ "bucket:uploads" = ["reed"] }', "a bucket has no verb 'reed'; it has delete, list, read, write"),
        ('{ "bucket:uploads" = "read" }', "a list of verbs, got 'read'"),
        ('["bucket:uploads"]', "grants is a table like"),
    ],
)
def test_what_is_declared_wrongly(tmp_path: Path, grants: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"pyproject\.toml:4") as failure:
        described(tmp_path, f"[tool.portable.functions.http]\ngrants = {grants}\n")
    assert message in str(failure.value)
