"""What `portable build` takes and prints of images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portable.build.image.plan import ImageWanted
    from portable.build.image.write import Image, Pushed

__all__ = ["add_image", "chosen_architectures", "image_lines", "pushed_line", "wanted_image"]


def add_image(parser: argparse.ArgumentParser) -> None:
    """``--image`` and what belongs to it."""
    images = parser.add_argument_group("images")
    images.add_argument("--image", action="store_true", help="write dist/TARGET/image, an OCI image layout, as well")
    images.add_argument(
        "--base",
        metavar="BASE",
        help="what it stands on: a reference, or a layout's folder (default: Python's slim image)",
    )
    images.add_argument("--push", metavar="REF", help="push it, with the login of `docker login`: REGISTRY/NAME:TAG")
    images.add_argument("--revision", default="", metavar="TEXT", help="what version of the source its labels name")


def chosen_architectures(options: argparse.Namespace) -> list[str]:
    """``--arch``, repeated or with commas. Raises ConfigError for several without an image."""
    from portable.errors import ConfigError

    said = [one.strip() for text in options.arch or ["x86_64"] for one in text.split(",") if one.strip()]
    found = list(dict.fromkeys(said)) or ["x86_64"]
    if len(found) > 1 and not _asked(options):
        raise ConfigError(f"--arch {','.join(found)}: a bundle is for one; several are for --image")
    return found


def wanted_image(options: argparse.Namespace) -> ImageWanted | None:
    """What the options ask of an image; None without one. Raises ConfigError."""
    from portable.build.image.plan import ImageWanted

    if not _asked(options):
        return None
    return ImageWanted(options.base, options.push, chosen_architectures(options), options.revision)


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
    return bool(options.image or options.base or options.push)


def _by_name(layers: list[dict[str, object]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in layers:
        name, count = str(one["name"]), one["size"]
        assert isinstance(count, int)
        found[name] = found.get(name, 0) + count
    return found
