"""An image written as an OCI layout, and pushed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from portable.build.image.archive import Blob, layer_blob
from portable.build.image.base import MACHINES, Base, BaseImage
from portable.build.image.documents import (
    CONFIG,
    INDEX,
    MANIFEST,
    Recipe,
    configuration,
    descriptor,
    encoded,
    index,
    manifest,
)
from portable.build.image.plan import ImagePlan
from portable.build.image.reference import Reference, parse_reference
from portable.build.image.registry import BlobUnknownError, Registry
from portable.build.image.store import put
from portable.build.layers import Layer
from portable.errors import ConfigError

__all__ = ["ROOT", "Image", "Pushed", "build_time", "push_image", "recipe_of", "write_image"]

ROOT = "app"
"""The folder of the image that holds the bundle."""

_LABEL = "org.opencontainers.image."
_VARIABLES = {
    "HOME": "/tmp",  # noqa: S108 - the one place that can be written
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


class Image(msgspec.Struct, frozen=True):
    """An image in its layout.

    Attributes:
        folder: the layout. digest, media_type: of the manifest or, for several architectures, of their index.
        base: the reference it stands on, None of a layout; base_digest: of either.
        platforms: by ``linux/amd64``, the digest and the layers of each.
    """

    folder: Path
    digest: str
    media_type: str
    base: Reference | None
    base_digest: str
    platforms: Mapping[str, Mapping[str, Any]]

    def to_kept(self) -> dict[str, Any]:
        """As JSON holds it, without the folder the artifact is in."""
        return {**msgspec.structs.asdict(self), "folder": self.folder.name, "base": str(self.base or "")}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any], artifact: Path) -> Image:
        """What :meth:`to_kept` made, in an artifact that is there already."""
        base = parse_reference(kept["base"]) if kept["base"] else None
        return cls(**{**kept, "folder": artifact / kept["folder"], "base": base})

    def document(self) -> dict[str, Any]:
        """What the artifact's manifest says of it."""
        return {
            "path": self.folder.name,
            "digest": self.digest,
            "base": {"name": str(self.base or ""), "digest": self.base_digest},
            "platforms": self.platforms,
        }


class Pushed(msgspec.Struct, frozen=True):
    """What a push did. ``reference``: by digest. ``sent``: bytes of the blobs that the registry had not."""

    reference: str
    sent: int
    skipped: int


def recipe_of(
    plan: ImagePlan, *, dependency_folder: str, title: str, created: str = "", base: Base | None = None, **more: str
) -> Recipe:
    """What the image of an app says.

    ``more``: further annotations of https://github.com/opencontainers/image-spec/blob/main/annotations.md; an empty one
    is left out.
    """
    said = {"title": title, **more, "created": created}
    if base is not None:
        said |= {"base.name": str(base.reference or ""), "base.digest": base.digest}
    folders = [f"/{ROOT}", *(f"/{ROOT}/{one}" for one in (dependency_folder, *plan.path) if one)]
    environment = {**_VARIABLES, "PYTHONPATH": ":".join(folders), **plan.environment}
    return Recipe(
        ROOT,
        plan.entrypoint,
        plan.command,
        environment,
        {f"{_LABEL}{name}": value for name, value in said.items() if value},
        plan.port,
        plan.health,
        created,
    )


def build_time() -> str:
    """What ``SOURCE_DATE_EPOCH`` says, as RFC 3339; empty without it. Raises ConfigError.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return ""
    try:
        return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(f"SOURCE_DATE_EPOCH={text!r} is no number of seconds") from error


def write_image(
    folder: Path, base: Base, recipe: Recipe, layers: Mapping[str, Mapping[str, Layer]], tag: str = "latest"
) -> Image:
    """Write the layout of an image.

    ``layers``: by architecture, as ``base.images``, then by name, from the lowest up. One architecture gives a
    manifest, several an index of theirs. Pure but for the folder: equal layers, base and recipe give equal digests.
    """
    entries, platforms = [], {}
    for arch, named in layers.items():
        entry, said = _write_one(folder, base, base.images[arch], recipe, named)
        entries.append(entry)
        platforms[f"linux/{MACHINES[arch]}"] = said
    top = entries[0]
    if len(entries) > 1:
        data = encoded(index(entries, recipe.labels))
        top = descriptor(INDEX, data)
        put(folder, top["digest"], data)
    names = {f"{_LABEL}ref.name": tag}
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(encoded(index([{**top, "annotations": names}])))
    return Image(folder, top["digest"], top["mediaType"], base.reference, base.digest, platforms)


def _write_one(
    folder: Path, base: Base, under: BaseImage, recipe: Recipe, named: Mapping[str, Layer]
) -> tuple[dict[str, Any], dict[str, Any]]:
    blobs: dict[str, Blob] = {name: layer_blob(layer, recipe.root) for name, layer in named.items() if layer.files}
    config = encoded(configuration(under.config, [(name, one.diff_id) for name, one in blobs.items()], recipe))
    ours = [(one.digest, one.size) for one in blobs.values()]
    data = encoded(manifest(config, under.layers, ours, recipe.labels))
    entry = descriptor(MANIFEST, data, platform=dict(under.platform))
    for layer in under.layers:
        put(folder, layer["digest"], base.blob(layer))
    for one in blobs.values():
        put(folder, one.digest, one.file)
    put(folder, entry["digest"], data)
    put(folder, descriptor(CONFIG, config)["digest"], config)
    layers: Sequence[dict[str, Any]] = [
        *({"name": "base", "digest": one["digest"], "size": one["size"]} for one in under.layers),
        *({"name": name, "digest": one.digest, "size": one.size} for name, one in blobs.items()),
    ]
    return entry, {"digest": entry["digest"], "layers": layers}


def push_image(image: Image, to: str) -> Pushed:
    """Push a layout's image to a reference, whose tag it gets.

    What the registry has already is not sent again; what it has in the base's repository is taken over from there.
    The tag is set last, so that it never names an image that is not whole. Raises BuildError and ConfigError.
    """
    reference = parse_reference(to)
    if reference.digest:
        raise ConfigError(f"--push {to}: an image is pushed to a tag, its digest is what it comes to")
    registry = Registry(reference, push=True)
    tagged, known = registry.named_by(reference.wanted)  # the last push's: one request for all that has not changed
    try:
        return _push(registry, image, tagged, known)
    except BlobUnknownError:
        return _push(registry, image, "", set())


def _push(registry: Registry, image: Image, tagged: str, known: Collection[str]) -> Pushed:
    """``tagged``: the digest of what has the tag. ``known``: of blobs that need not be asked for."""
    reference = registry.reference
    near = image.base.repository if image.base is not None and image.base.registry == reference.registry else ""
    sent = skipped = 0
    for platform in image.platforms.values():
        content = msgspec.json.decode(_blob(image, platform["digest"]).read_bytes())
        own = {content["config"]["digest"], *(one["digest"] for one in platform["layers"] if one["name"] != "base")}
        for one in (*content["layers"], content["config"]):
            if one["digest"] in known or registry.has(one["digest"]):
                skipped += one["size"]
                continue
            registry.upload(one["digest"], _blob(image, one["digest"]), near if one["digest"] not in own else "")
            sent += one["size"]
    if tagged == image.digest:
        return Pushed(reference.at(image.digest), sent, skipped)
    if image.media_type == INDEX:
        for platform in image.platforms.values():
            registry.put_manifest(platform["digest"], MANIFEST, _blob(image, platform["digest"]).read_bytes())
    registry.put_manifest(reference.wanted, image.media_type, _blob(image, image.digest).read_bytes())
    return Pushed(reference.at(image.digest), sent, skipped)


def _blob(image: Image, digest: str) -> Path:
    return image.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
