"""The documents of an image: its configuration, its manifest, and the index of several."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

__all__ = [
    "CONFIG",
    "CONFIGS",
    "INDEX",
    "INDEXES",
    "LAYER",
    "LAYERS",
    "MANIFEST",
    "MANIFESTS",
    "Config",
    "Index",
    "Manifest",
    "Recipe",
    "configuration",
    "descriptor",
    "encoded",
    "index",
    "manifest",
]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFESTS = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")

CONFIGS = (CONFIG, "application/vnd.docker.container.image.v1+json")
LAYERS = (
    LAYER,
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
"""Layers that a registry gives. What lies elsewhere has other names: Windows, and layers that nobody may pass on."""

# Docker's own names of the same.
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
_KEPT = ("architecture", "os", "os.version", "os.features", "variant", "author")
"""What an image says of its machine; the rest of a configuration is Docker's about how it was built."""

USER = "65532:65532"
"""``nonroot`` of the distroless images, and no user of Debian's."""

_SECOND = 1_000_000_000


Count = Annotated[int, msgspec.Meta(ge=0)]


class Descriptor(msgspec.Struct):
    """The parts of a descriptor that are read: https://github.com/opencontainers/image-spec/blob/main/descriptor.md."""

    digest: str
    size: Count
    mediaType: str = ""  # noqa: N815
    platform: dict[str, Any] | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct):
    """The parts of an index that are read."""

    manifests: list[Descriptor]


class Manifest(msgspec.Struct):
    """The parts of a manifest that are read."""

    config: Descriptor
    layers: list[Descriptor]


class RootFiles(msgspec.Struct):
    """What a configuration says of the layers."""

    diff_ids: list[str]


class Process(msgspec.Struct):
    """What a configuration says of the process, as far as it is taken over. The fields are named as they are there."""

    Env: list[str] | None = None
    Labels: dict[str, str] | None = None
    Volumes: dict[str, Any] | None = None
    ExposedPorts: dict[str, Any] | None = None
    StopSignal: str | None = None
    Shell: list[str] | None = None


class Config(msgspec.Struct):
    """The parts of a configuration that are read."""

    rootfs: RootFiles
    config: Process | None = None
    history: list[dict[str, Any]] | None = None
    architecture: str = ""
    os: str = ""


class Recipe(msgspec.Struct, frozen=True):
    """What an image says beside its files.

    Attributes:
        labels: the same as annotations of the manifest. environment: goes before the base's.
        health: a command, empty for none. created: RFC 3339, empty to say nothing.
    """

    root: str
    entrypoint: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    port: int | None = None
    health: Sequence[str] = ()
    created: str = ""


def encoded(document: Mapping[str, Any]) -> bytes:
    """A document as bytes: sorted, so that equal ones are equal."""
    return msgspec.json.encode(document, order="sorted")


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    """What points at a document."""
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data), **more}


def configuration(base: Mapping[str, Any], layers: Sequence[tuple[str, str]], recipe: Recipe) -> dict[str, Any]:
    """The configuration of a base's with ours laid over it. ``layers``: name and ``diff_id`` of each of ours.

    The base's variables, labels, volumes and signal stay where ours do not say the same; its entry point, command and
    health check go, since they are of another program.
    """
    found = {name: base[name] for name in _KEPT if name in base}
    under: Mapping[str, Any] = base.get("config") or {}
    config = {
        name: value
        for name, value in under.items()
        if name in ("Volumes", "StopSignal", "ExposedPorts", "Shell") and value
    }
    variables = dict(one.partition("=")[::2] for one in under.get("Env") or ())
    config["Env"] = [f"{name}={value}" for name, value in {**variables, **recipe.environment}.items()]
    config["Labels"] = {**(under.get("Labels") or {}), **recipe.labels}
    config |= {"User": USER, "WorkingDir": f"/{recipe.root}", "Entrypoint": list(recipe.entrypoint)}
    if recipe.command:
        config["Cmd"] = list(recipe.command)
    if recipe.port:
        config["ExposedPorts"] = {**config.get("ExposedPorts", {}), f"{recipe.port}/tcp": {}}
    if recipe.health:
        times = {"Interval": 30 * _SECOND, "Timeout": 5 * _SECOND, "StartPeriod": 10 * _SECOND, "Retries": 3}
        config["Healthcheck"] = {"Test": ["CMD", *recipe.health], **times}
    found["config"] = config
    before = list((base.get("rootfs") or {}).get("diff_ids") or ())
    found["rootfs"] = {"type": "layers", "diff_ids": [*before, *(diff_id for _, diff_id in layers)]}
    history = list(base.get("history") or ())
    if len([one for one in history if not one.get("empty_layer")]) == len(before):
        created = {"created": recipe.created} if recipe.created else {}
        found["history"] = [*history, *({"created_by": f"portable build: {name}", **created} for name, _ in layers)]
    if recipe.created:
        found["created"] = recipe.created
    return found


def manifest(
    config: bytes, base: Sequence[Mapping[str, Any]], layers: Sequence[tuple[str, int]], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest: the base's layers and on them ours, as digest and size."""
    under = [{**one, "mediaType": _LAYERS.get(one["mediaType"], one["mediaType"])} for one in base]
    ours = [{"mediaType": LAYER, "digest": digest, "size": size} for digest, size in layers]
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [*under, *ours],
        "annotations": dict(annotations),
    }


def index(manifests: Sequence[Mapping[str, Any]], annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """An index of images, or of a layout."""
    found: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
    return {**found, "annotations": dict(annotations)} if annotations else found
