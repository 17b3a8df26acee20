"""``@granted``: what functions say they do counts in place of their source."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable import App, ConfigError, PortableError, granted
from portable.build.description import describe_project
from portable.build.granted import check_grants
from portable.build.project import find_project
from portable.manifest import Manifest
from portable.testing import TestClient

START = """
    import functools
    from typing import Annotated
    from portable import App, Depends, granted
    app = App("said")
    uploads = app.bucket("uploads")
    thumbs = app.bucket("thumbs")
    large = app.bucket("large")
    bulky = app.queue("bulky", large=large)
"""


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str], Manifest]:
    def describe(source: str) -> Manifest:
        (tmp_path / "app.py").write_text(textwrap.dedent(START) + textwrap.dedent(source))
        (tmp_path / "pyproject.toml").write_text('[tool.portable]\napp = "app:app"\n')
        return describe_project(find_project(tmp_path)).manifest

    return describe


def test_what_is_said_counts_and_the_rest_is_read(described: Callable[[str], Manifest]) -> None:
    manifest = described("""
        def bucket():
            thumbs.list()
            return thumbs

        @granted({uploads: ["read"], "queue:bulky": ["send"]})
        @app.get("/a")
        def above(b: Annotated[object, Depends(bucket)]):
            eval("whatever")

        @app.function()
        @granted({})
        def below():
            uploads.delete("a")

        @granted({thumbs: ["write"]})
        def unseen(library):
            library.write(thumbs)

        @app.function()
        def helped(payload: dict):
            unseen(payload)
            uploads.read("a")

        def logged(f):
            @functools.wraps(f)
            def wrapper(*given):
                uploads.list()
                return f(*given)
            return wrapper

        @app.function()
        @logged
        @granted({thumbs: ["read"]})
        def wrapped(): pass
    """)
    assert {one.name: one.grants for one in manifest.functions} == {
        "http": {
            "bucket:large": ["delete", "write"],  # of messages that are too large for the queue
            "bucket:thumbs": ["list"],
            "bucket:uploads": ["read"],
            "queue:bulky": ["send"],
        },
        "below": {},
        "helped": {"bucket:thumbs": ["write"], "bucket:uploads": ["read"]},
        "wrapped": {"bucket:thumbs": ["read"], "bucket:uploads": ["list"]},
    }
    assert "queue:bulky" in manifest.function("http").uses
    assert list(check_grants(manifest)) == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{uploads: ["raed"]}', r"app\.py:11: granted of bucket:uploads: a bucket has no verb 'raed'; it has delete"),
        ('{"bucket:upload": ["read"]}', r"app\.py:11: granted: the app declares no resource 'bucket:upload'; it has "),
        ('{uploads: "read"}', r"app\.py\", line 12.*what is done with .*uploads.* is a list of verbs, got 'read'"),
        ('{"uploads": ["read"]}', r"'uploads' is no resource, nor the name of one like 'bucket:uploads'"),
        ("[uploads]", r"granted takes verbs by resource, \{uploads: \['read'\]\}, got "),
    ],
)
def test_what_is_no_grant(described: Callable[[str], Manifest], said: str, message: str) -> None:
    with pytest.raises(PortableError) as error:
        described(f"\n@app.function()\n@granted({said})\ndef handler(): pass\n")
    assert re.search(message, str(error.value), re.DOTALL), error.value


def test_it_stands_on_a_function() -> None:
    with pytest.raises(ConfigError, match="granted stands on a function, not on <object"):
        granted({})(object())  # type: ignore[type-var]


def test_it_changes_nothing_when_the_app_runs() -> None:
    app = App("said")
    uploads = app.bucket("uploads")

    @app.post("/blobs")
    @granted({uploads: ["read"]})
    def write() -> dict[str, Any]:
        uploads.write("a", b"1")
        return {"size": uploads.stat("a").size}

    with TestClient(app) as client:
        assert client.post("/blobs").json() == {"size": 1}
