"""How a Cloud Run service starts: Google's own functions server, on the port it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portable.build.image.plan import ImagePlan
from portable.manifest import Manifest
from portable_gcp.triggers import SOURCES

__all__ = ["image_plan"]


def image_plan(manifest: Manifest, settings: Mapping[str, Any]) -> ImagePlan:
    """Each function is the same image with its own ``FUNCTION_TARGET``; the first, or the one with routes, is the
    default. Those that Eventarc calls take ``FUNCTION_SIGNATURE_TYPE=cloudevent`` as well.

    https://github.com/GoogleCloudPlatform/functions-framework-python#configure-the-functions-framework
    """
    functions = sorted(manifest.functions, key=lambda one: one.kind != "http")
    variables = {}
    if functions:
        chosen = functions[0]
        variables["FUNCTION_TARGET"] = chosen.name.replace("-", "_")
        source = settings.get(f"{chosen.kind}_source") or next(iter(SOURCES[chosen.kind]), "")
        if source.endswith("-eventarc"):
            variables["FUNCTION_SIGNATURE_TYPE"] = "cloudevent"
    return ImagePlan(["python", "-m", "functions_framework"], environment=variables)
