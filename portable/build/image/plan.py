"""What a target says about its images, and what a build may ask of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from portable.manifest import Manifest

__all__ = ["ANSWERS", "BASE", "ImagePlan", "ImageWanted", "has_images", "plan_of"]

BASE = "docker.io/library/python:{python}-slim-bookworm"
"""The base where none is asked for: Python's own image on Debian 12, whose glibc 2.36 runs every wheel that is chosen.
https://hub.docker.com/_/python"""

_CONNECTS = "import os, socket; socket.create_connection(('127.0.0.1', int(os.environ.get('PORT', '8080'))), 3).close()"

ANSWERS: Sequence[str] = ("python", "-c", _CONNECTS)
"""A health check that needs no program but Python: something listens at the port."""


class ImagePlan(msgspec.Struct, frozen=True):
    """How a target's image starts.

    Attributes:
        entrypoint, command: the process, and its arguments, which whoever runs the image may replace.
        environment: variables of the image. port: what it listens at, None for nothing.
        health: a command that fails while the process is not well; empty for none.
        path: folders in the bundle, beside its root, from which Python imports.
    """

    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    port: int | None = 8080
    health: Sequence[str] = ANSWERS
    path: Sequence[str] = ()


class ImageWanted(msgspec.Struct, frozen=True):
    """What a build may ask of an image.

    Attributes:
        base: a reference, or the folder of an OCI layout; None for :data:`BASE`.
        push: the reference it is pushed to, None to push nothing.
        architectures: one or more of ``portable.build.vendor.ARCHITECTURES``; the bundle is built for the first.
        revision: what version of the source it is, for its labels; empty to say nothing.
    """

    base: str | None = None
    push: str | None = None
    architectures: Sequence[str] = ("x86_64",)
    revision: str = ""


def plan_of(target: Any, manifest: Manifest, settings: Mapping[str, Any]) -> ImagePlan:
    """The plan of a target that has images."""
    plan: ImagePlan = target.image(manifest, settings)
    return plan


def has_images(target: Any) -> bool:
    """Whether images can be made for a target."""
    return getattr(target, "image", None) is not None
