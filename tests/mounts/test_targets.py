"""Starlette, FastAPI, Litestar, Django and Flask, built for every target, each under its cloud's own runtime client."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build.project import find_project
from portable.plugins import adapter
from portable.run import parts
from portable.run.verify import verify

MOUNTED = Path(__file__).parent / "mounted"
TARGETS = ["local", "aws", "gcp", "azure"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the applications are imported here, to be built
@pytest.mark.timeout(300)
def test_mounted_applications_are_the_same_on_every_target(require_part: Callable[..., Any], tmp_path: Path) -> None:
    for target in TARGETS:
        found = adapter(target)
        python = found.build.pythons[0]
        for name in found.run.parts:
            require_part(name, python if parts.named(name).python(python) else None)
        for name in found.run.emulators:
            require_part(name)
    ignored = shutil.ignore_patterns(".portable", "dist", "__pycache__")
    report = verify(find_project(shutil.copytree(MOUNTED, tmp_path / "mounted", ignore=ignored)), TARGETS)
    assert report.status == 0, report.text()
    assert [one.target for one in report.targets] == TARGETS
    assert report.steps == 76
