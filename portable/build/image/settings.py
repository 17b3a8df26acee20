"""What the settings say of images: ``[tool.portable.image]``, and ``[tool.portable.<target>.image]`` over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from portable.build.image.plan import has_images
from portable.build.image.reference import parse_reference
from portable.build.project import Project, merged, nearest
from portable.build.vendor import ARCHITECTURES
from portable.errors import ConfigError

__all__ = ["ImageSettings", "image_settings"]


class ImageSettings(msgspec.Struct, frozen=True):
    """What an image is where the command line says nothing else.

    Attributes:
        base: a reference, or the folder of an OCI layout, relative to the project in the settings, and absolute here.
        push: the reference that ``--push`` alone means. arch: its architectures, the bundle's first.
    """

    base: str | None = None
    push: str | None = None
    arch: tuple[str, ...] = ()


def image_settings(project: Project, target: Any) -> ImageSettings:
    """The settings of a project, at its stage, for the images of a target.

    Raises ConfigError with the line, for a table of a target without images too.
    """
    own = project.settings(target.name).get("image", {}) if has_images(target) else {}
    tables = [(("image",), project.table("image")), ((target.name, "image"), own)]
    said: dict[str, Any] = {}
    for keys, table in tables:
        title = f"[tool.portable.{'.'.join(keys)}]"
        if not isinstance(table, Mapping):
            raise ConfigError(f"{_where(project, *keys)}: {title} is a table of base, push and arch, got {table!r}")
        for key, value in table.items():
            _check(project, _where(project, *keys, key), f"{title} {key}", key, value)
        said = merged(said, table)
    base, arch = said.get("base"), said.get("arch", ())
    if base is not None and (project.root / base).is_dir():
        base = str(project.root / base)
    return ImageSettings(base, said.get("push"), (arch,) if isinstance(arch, str) else tuple(arch))


def _where(project: Project, *keys: str) -> str:
    """A stage's own line where it has one."""
    stages: Any = project.table("stages").get(project.stage, {})
    for key in keys:
        stages = stages.get(key) if isinstance(stages, Mapping) else None
    return project.where(*keys) if stages is None else project.where("stages", project.stage, *keys)


def _check(project: Project, where: str, label: str, key: str, value: Any) -> None:
    if key not in ImageSettings.__struct_fields__:
        raise ConfigError(f"{where}: an image has no setting {key!r}{nearest(key, ImageSettings.__struct_fields__)}")
    if key == "arch":
        named = [value] if isinstance(value, str) else value
        if not isinstance(named, list) or not named or any(one not in ARCHITECTURES for one in named):
            raise ConfigError(f"{where}: {label} is one or a list of {', '.join(ARCHITECTURES)}, got {value!r}")
        if len({*named}) < len(named):
            raise ConfigError(f"{where}: {label} names one twice: {value!r}")
        return
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {label} is a text, got {value!r}")
    if key == "base" and (Path(value).is_absolute() or value.startswith(".") or (project.root / value).is_dir()):
        if not (project.root / value / "oci-layout").is_file():
            raise ConfigError(f"{where}: {label} = {value!r} is no folder of an OCI layout: it has no file oci-layout")
        return
    try:
        reference = parse_reference(value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {label}: {error}") from error
    if key == "push" and reference.digest:
        raise ConfigError(f"{where}: {label} = {value!r}: an image is pushed to a tag; its digest is what it comes to")
