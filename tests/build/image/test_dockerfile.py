"""The Dockerfile: accepted, and layered as the image is; built by others in ``test_engines.py``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build.artifact import Wanted, build
from portable.build.image.dockerfile import dockerfile
from portable.build.image.documents import Recipe
from portable.build.layers import Entry, Layer
from portable.build.project import Project
from portable.run.parts import Found
from portable_aws.build import TARGET as AWS
from portable_container.build import TARGET as CONTAINER

from .conftest import APP

RECIPE = Recipe("app", ["python"], ["x"], {"A": 'say "$HOME" \\'}, {"title": "t"}, 8080, ["check"])


def layer(*paths: str) -> Layer:
    return Layer(Path("nowhere"), {path: Entry(0, "", 0o644, 0, 0, 0, 0) for path in paths}, [])


def copies(text: str, stage: str) -> list[str]:
    [found] = re.findall(rf"AS {stage}\n(.*?)\n\n", text, re.DOTALL)
    return [line.removeprefix("COPY ") for line in found.splitlines()]


def test_a_stage_gathers_what_only_one_layer_has() -> None:
    layers = {
        "dependencies": layer("six.py", "lib/a.py", "google/auth/x.py", "google/auth/y/z.py", "shared/one.py"),
        "app": layer("app.py", "shop/views.py", "shop/deep/er.py", "google/ours/x.py", "shared/two.py"),
    }
    text = dockerfile("base:1", RECIPE, layers, "bundle")
    assert copies(text, "dependencies") == [
        '["bundle/google/auth/", "/app/google/auth/"]',
        '["bundle/lib/", "/app/lib/"]',
        '["bundle/shared/one.py", "/app/shared/"]',
        '["bundle/six.py", "/app/"]',
    ]
    assert copies(text, "app") == [
        '["bundle/google/ours/", "/app/google/ours/"]',
        '["bundle/shop/", "/app/shop/"]',
        '["bundle/app.py", "/app/"]',
        '["bundle/shared/two.py", "/app/shared/"]',
    ]
    last = text[text.index("FROM base:1") :]
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == [
        "--from=dependencies /app/ /app/",
        "--from=app /app/ /app/",
    ]
    assert 'ENV A="say \\"\\$HOME\\" \\\\"' in last
    assert "USER 65532:65532\n" in last
    assert "RUN" not in text


def test_a_stage_has_no_more_layers_than_a_file_system_mounts() -> None:
    layers = {"dependencies": layer(*(f"p{number:03}/x.py" for number in range(250))), "app": layer("app.py")}
    text = dockerfile("base:1", RECIPE, layers, "bundle")
    assert [len(copies(text, stage)) for stage in ("dependencies", "dependencies-1", "dependencies-2")] == [
        100,
        100,
        50,
    ]
    assert text.count("COPY --from=") == 4


@pytest.mark.parametrize("target", [AWS, CONTAINER], ids=["aws", "container"])
def test_hadolint_accepts_it(
    target: Any, make_project: Callable[..., Project], require_part: Callable[..., Found]
) -> None:
    project = make_project({"app.py": APP, "odd $name/[a] *.txt": "x", "a 'b' \"c\".txt": "y"})
    built = build(project, target, Wanted())
    command = [require_part("hadolint").path, "--no-color", built.folder / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    text = (built.folder / "Dockerfile").read_text()
    assert f"FROM docker.io/library/python:{built.python}-slim-bookworm\n" in text
    assert (built.folder / ".dockerignore").read_text().endswith("*\n!bundle\n")
