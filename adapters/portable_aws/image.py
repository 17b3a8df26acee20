"""How a Lambda image starts: this framework's own runtime loop, with the handler as the image's command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.image.plan import ImagePlan
from portable.manifest import Manifest

__all__ = ["image_plan"]

# No shell, which not every base has, and no folder: LAMBDA_TASK_ROOT is of Lambda's own images.
_START = (
    "import os, sys; os.environ.update(_HANDLER=sys.argv[1])\n"
    "from portable.shipped import install; install()\n"
    "from portable_aws.runtime_loop import main; main()"
)


def image_plan(manifest: Manifest, settings: Mapping[str, Any]) -> ImagePlan:  # noqa: ARG001
    """Each function is the same image with its own command (``ImageConfig.Command``); the first is the default."""
    first = [f"portable_entry.{function.name.replace('-', '_')}" for function in manifest.functions[:1]]
    return ImagePlan(["python", "-c", _START], first, port=None, health=())
