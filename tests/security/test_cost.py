"""What an app without checks pays for them: nothing; and what one with them imports before its first request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portable import security

ROOT = Path(__file__).parent.parent.parent
EXPORTED = security.__all__

SLOW = {"asyncio", "cryptography", "dataclasses", "datetime", "email", "hashlib", "http.client", "inspect", "ipaddress",
        "json", "jwt", "logging", "msgspec", "re", "threading", "typing", "urllib.request"}  # fmt: skip


def modules_after(statement: str) -> set[str]:
    """What is imported by a statement, in an interpreter that has imported nothing of ours."""
    # -S: what site-packages' .pth files import is not ours.
    script = f"import sys; sys.path[:0] = sys.argv[1:]; {statement}; print(*sorted(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", script, str(ROOT), str(ROOT / "adapters")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_an_app_without_checks_imports_none() -> None:
    found = modules_after("from portable import App, Request; import portable_aws.runtime")
    assert [name for name in found if name.startswith("portable.security")] == []


@pytest.mark.parametrize("name", EXPORTED)
def test_a_check_imports_what_it_needs_when_it_needs_it(name: str) -> None:
    found = modules_after(f"from portable.security import {name}")
    assert sorted(SLOW & found) == []


def test_a_declared_check_imports_no_library() -> None:
    declared = (
        "from portable.security import JWTBearer, SecurityHeaders; "
        "JWTBearer(key='-----BEGIN PUBLIC KEY-----', audience='shop').requires('a'); SecurityHeaders()"
    )
    assert sorted(SLOW & modules_after(declared)) == []


def test_exports() -> None:
    assert sorted(EXPORTED) == sorted(security._MODULES)
    assert all(hasattr(security, name) for name in EXPORTED)
    with pytest.raises(AttributeError, match="Nothing"):
        security.Nothing  # type: ignore[attr-defined] # noqa: B018
