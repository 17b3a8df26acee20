"""How the container's image starts, the same everywhere: its environment says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.image.plan import ImagePlan
from portable.manifest import Manifest

__all__ = ["image_plan"]

_LIVES = (
    "import http.client, os; asked = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', '8080')), "
    "timeout=3); asked.request('GET', '/-/live'); raise SystemExit(asked.getresponse().status != 200)"
)


def image_plan(manifest: Manifest, settings: Mapping[str, Any]) -> ImagePlan:  # noqa: ARG001
    """No command: arguments are what is called once, ``run FUNCTION``, or the function that serves on Lambda."""
    return ImagePlan(["python", "-m", "portable_container"], health=["python", "-c", _LIVES])
