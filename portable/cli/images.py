"""What `portable build` takes and prints of images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portable.build.image.plan import ImageWanted
    from portable.build.image.write import Image, Pushed
    from portable.build.project import Project
    from portable.build.target import BuildTarget

__all__ = ["add_image", "chosen_architectures", "image_lines", "pushed_line", "wanted_image"]


def add_image(parser: argparse.ArgumentParser) -> None:
    """``--image`` and what belongs to it."""
    images = parser.add_argument_group("images")
    images.add_argument("--image", action="store_true", help="write dist/TARGET/image, an OCI image layout, as well")
    images.add_argument(
        "--base",
        metavar="BASE",
        help="what it stands on: a reference, or a layout's folder (default: the settings', else Python's slim image)",
    )
    images.add_argument(
        "--push",
        nargs="?",
        const="",
        metavar="REF",
        help="push it to REGISTRY/NAME:TAG (default: the settings' push), with the login of `docker login`",
    )
    images.add_argument("--revision", default="", metavar="TEXT", help="what version of the source its labels name")


def chosen_architectures(options: argparse.Namespace, project: Project, target: BuildTarget) -> list[str]:
    """``--arch``, repeated or by commas, else an image's settings. Raises ConfigError for several without an image."""
    from portable.build.image.settings import image_settings
    from portable.errors import ConfigError

    default = image_settings(project, target).arch if _asked(options) and not options.arch else ()
    said = [one.strip() for text in options.arch or default or ["x86_64"] for one in text.split(",") if one.strip()]
    found = list(dict.fromkeys(said)) or ["x86_64"]
    if len(found) > 1 and not _asked(options):
        raise ConfigError(f"--arch {','.join(found)}: a bundle is for one; several are for --image")
    return found


def wanted_image(options: argparse.Namespace, project: Project, target: BuildTarget) -> ImageWanted | None:
    """What the options ask of an image, and the settings beside them; None without one. Raises ConfigError."""
    from portable.build.image.plan import ImageWanted
    from portable.build.image.settings import image_settings
    from portable.errors import ConfigError

    if not _asked(options):
        return None
    settings = image_settings(project, target)
    push = settings.push if options.push == "" else options.push
    if options.push is not None and not push:
        raise ConfigError('--push where to? --push REGISTRY/NAME:TAG, or push = "…" in [tool.portable.image]')
    base = options.base or settings.base
    return ImageWanted(base, push, chosen_architectures(options, project, target), options.revision)


def image_lines(image: Image) -> list[str]:
    """Its digest, and its layers for each architecture."""
    from portable.build.sizes import size

    lines = [f"{image.folder}  {image.digest}"]
    for platform, said in image.platforms.items():
        layers = ", ".join(f"{name} {size(count)}" for name, count in _by_name(said["layers"]).items())
        lines.append(f"  {platform}: {layers}")
    return lines


def pushed_line(pushed: Pushed) -> str:
    """What was sent."""
    from portable.build.sizes import size

    return f"pushed {pushed.reference}: {size(pushed.sent)} sent, {size(pushed.skipped)} were there"


def _asked(options: argparse.Namespace) -> bool:
    """``--base`` and ``--push`` ask for one too."""
    return bool(options.image or options.base or options.push is not None)


def _by_name(layers: list[dict[str, object]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in layers:
        name, count = str(one["name"]), one["size"]
        assert isinstance(count, int)
        found[name] = found.get(name, 0) + count
    return found
