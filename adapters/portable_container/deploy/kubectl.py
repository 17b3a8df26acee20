"""``kubectl`` as it is called: the user's own, with the context it has; see https://kubernetes.io/docs/reference/kubectl."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from portable.deploy import Place
from portable.errors import ConfigError, DeployError

__all__ = ["asked", "kubectl", "reasons"]

_LOGGED = re.compile(r"[EWI]\d{4} \d\d:")
"""How klog begins a line."""


def kubectl(arguments: Sequence[str], place: Place) -> subprocess.CompletedProcess[str]:
    """One call, whatever its end. Raises ConfigError where there is no kubectl."""
    found = shutil.which("kubectl", path=place.environment.get("PATH"))
    if found is None:
        raise ConfigError("kubectl is not here: https://kubernetes.io/docs/tasks/tools/ says how to get it")
    context = place.settings.get("context")
    command = [found, *(["--context", str(context)] if context else []), *arguments]
    return subprocess.run(
        command, env=dict(place.environment), capture_output=True, text=True, encoding="utf-8", check=False
    )


def asked(arguments: Sequence[str], place: Place, what: str) -> list[dict[str, Any]]:
    """The objects that a call gives. Raises DeployError, which begins with ``what``."""
    done = kubectl([*arguments, "-o", "json"], place)
    if done.returncode:
        raise DeployError(reasons(done, what))
    found = json.loads(done.stdout) if done.stdout.strip() else {}
    items: list[dict[str, Any]] = found.get("items", [found] if found else [])
    return items


def reasons(done: subprocess.CompletedProcess[str], what: str) -> str:
    """What kubectl said of its failure, below ``what``: once, without the log of its attempts where there is more."""
    told = list(dict.fromkeys(line.strip() for line in done.stderr.splitlines() if line.strip()))
    lines = [line for line in told if not _LOGGED.match(line)] or told
    return "\n".join([f"{what}:", *(f"  {line}" for line in lines)])
