"""Secrets, config values and caches in built artifacts, under each cloud's own runtime client."""

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

VALUES = Path(__file__).parent / "values"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["aws", "gcp", "azure"])
def test_a_target_has_the_values_the_local_one_has(
    target: str, require_part: Callable[..., Any], tmp_path: Path
) -> None:
    found = adapter(target)
    for name in found.run.parts:
        require_part(name, found.build.pythons[0] if parts.named(name).python(found.build.pythons[0]) else None)
    for name in ("redis-server", *found.run.emulators):
        require_part(name)
    project = find_project(shutil.copytree(VALUES, tmp_path / "values"))
    report = verify(project, ["local", target])
    assert report.status == 0, report.text()
    assert report.steps >= 8
    for file in ("portable_cache/redis.py", "redis/client.py"):
        assert list(project.root.rglob(f"{target}/bundle/**/{file}"))
