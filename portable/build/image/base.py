"""What an image stands on: another image, in a registry or in the folder of an OCI layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.image.documents import CONFIGS, LAYERS, MANIFESTS, Config, Index, Manifest
from portable.build.image.reference import Reference, parse_reference
from portable.build.image.registry import Registry
from portable.build.image.store import LARGEST_DOCUMENT, hashed, is_digest, kept_blob, kept_file
from portable.errors import BuildError, ConfigError

__all__ = ["MACHINES", "Base", "BaseImage", "open_base"]

MACHINES = {"x86_64": "amd64", "arm64": "arm64"}
"""What images call the architectures."""


class BaseImage(msgspec.Struct, frozen=True):
    """A base for one architecture: its configuration, its layers' descriptors, and the platform it says it is for."""

    config: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]]
    platform: Mapping[str, str]


class _Source(msgspec.Struct, frozen=True):
    """Where blobs come from."""

    name: str
    chunks: Callable[[str], Iterable[bytes]]
    document: Callable[[str], bytes]


class Base(msgspec.Struct, frozen=True):
    """A base. ``name``: as it was asked for. ``digest``: what that was. ``reference``: None of a layout."""

    name: str
    digest: str
    reference: Reference | None
    images: Mapping[str, BaseImage]
    source: _Source

    def blob(self, layer: Mapping[str, Any]) -> Path:
        """The file of a layer: pulled when it is first needed. Raises BuildError."""
        return kept_blob(layer["digest"], layer["size"], lambda: self.source.chunks(layer["digest"]), self.source.name)


def open_base(name: str, architectures: Sequence[str], python: str, memory: Path) -> Base:
    """The base with a name: the folder of an OCI layout, or a reference.

    ``memory``: the file that keeps which digest a tag was, so that it stays the same from build to build. Raises
    ConfigError for one that is not there, has no image for an architecture or another Python, and BuildError for a
    registry that does not give it.
    """
    folder, reference = Path(name), None
    if (folder / "oci-layout").is_file():
        digest, source = _layout(folder)
    elif folder.is_dir():
        raise ConfigError(f"--base {name} is a folder and no OCI layout: it has no file oci-layout")
    else:
        reference = parse_reference(name)
        digest, source = _pinned(reference, memory)
    documents = {arch: _image_for(arch, digest, source) for arch in architectures}
    for image in documents.values():
        _check_python(name, image, python)
    return Base(name, digest, reference, documents, source)


def _layout(folder: Path) -> tuple[str, _Source]:
    def chunks(digest: str) -> Iterator[bytes]:
        if not is_digest(digest):
            raise ConfigError(f"{folder}: {digest!r} is no SHA-256 digest")
        try:
            with (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).open("rb") as content:
                while chunk := content.read(1 << 20):
                    yield chunk
        except OSError as error:
            raise ConfigError(f"{folder}: the layout lacks {digest}: {error.strerror}") from error

    def document(digest: str) -> bytes:
        data = b""
        for chunk in chunks(digest):
            data += chunk
            if len(data) > LARGEST_DOCUMENT:
                raise ConfigError(f"{folder}: {digest} is larger than a document of an image may be")
        if hashed(data) != digest:
            raise ConfigError(f"{folder}: {digest} is not what it says it is")
        return data

    found = _read((folder / "index.json").read_bytes(), f"{folder}/index.json", Index)["manifests"]
    if len(found) != 1:
        tags = [one.get("annotations", {}).get("org.opencontainers.image.ref.name", one["digest"]) for one in found]
        raise ConfigError(f"{folder} holds {len(found)} images ({', '.join(tags)}), and a base is one")
    return found[0]["digest"], _Source(str(folder), chunks, document)


def _pinned(reference: Reference, memory: Path) -> tuple[str, _Source]:
    registry = Registry(reference)

    def document(digest: str) -> bytes:
        # A manifest is asked for otherwise than a blob is; both are kept by their digest.
        file = _kept_document(digest, lambda: registry.manifest(digest)[1], str(reference))
        return file.read_bytes()

    source = _Source(str(reference), registry.blob, document)
    if reference.digest:
        return reference.digest, source
    try:
        known = msgspec.json.decode(memory.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        known = {}
    if str(reference) not in known:
        data = registry.manifest(reference.wanted)[1]
        known[str(reference)] = hashed(data)
        _kept_document(hashed(data), lambda: data, str(reference))
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.format(msgspec.json.encode(known)))
    return known[str(reference)], source


def _kept_document(digest: str, get: Callable[[], bytes], where: str) -> Path:
    """A document of a registry, whose size is not known before."""
    if file := kept_file(digest):
        return file
    data = get()
    return kept_blob(digest, len(data), lambda: [data], where)


def _image_for(arch: str, digest: str, source: _Source) -> BaseImage:
    data = source.document(digest)
    if "manifests" in _read(data, source.name, dict):
        entries = [one for one in _read(data, source.name, Index)["manifests"] if one.get("mediaType") in MANIFESTS]
        fitting = [one for one in entries if _is_for(one.get("platform") or {}, arch)]
        if not fitting:
            there = sorted({_named(one.get("platform") or {}) for one in entries} - {"unknown/unknown"})
            raise ConfigError(
                f"base {source.name} has no image for linux/{MACHINES[arch]}; it has {', '.join(there) or 'none'}"
            )
        data = source.document(fitting[0]["digest"])
    document = _read(data, source.name, Manifest)
    config = document["config"]
    if config.get("mediaType") not in CONFIGS or config["size"] > LARGEST_DOCUMENT:
        raise ConfigError(f"base {source.name} is no image, but {config.get('mediaType')}, {config['size']} bytes")
    file = kept_blob(config["digest"], config["size"], lambda: source.chunks(config["digest"]), source.name)
    said = _read(file.read_bytes(), source.name, Config)
    platform = {name: said[name] for name in ("architecture", "os", "variant") if said.get(name)}
    if not _is_for(platform, arch):
        raise ConfigError(
            f"base {source.name} is for {_named(platform)}, and linux/{MACHINES[arch]} is asked for: "
            "another --arch, or another --base"
        )
    _check_layers(document["layers"], said["rootfs"]["diff_ids"], source.name)
    return BaseImage(said, document["layers"], platform)


def _check_layers(layers: Sequence[Mapping[str, Any]], diff_ids: Sequence[str], where: str) -> None:
    """That all of them can be had, and are what the configuration says."""
    for one in layers:
        if one.get("mediaType") not in LAYERS:
            raise ConfigError(f"base {where} has a layer that is not to be had with it, {one.get('mediaType')}")
    if len(layers) != len(diff_ids):
        raise ConfigError(
            f"base {where} is broken: it has {len(layers)} layers, and a configuration of {len(diff_ids)}"
        )


def _is_for(platform: Mapping[str, Any], arch: str) -> bool:
    return (platform.get("os"), platform.get("architecture")) == ("linux", MACHINES[arch])


def _named(platform: Mapping[str, Any]) -> str:
    return f"{platform.get('os', '?')}/{platform.get('architecture', '?')}"


def _check_python(name: str, image: BaseImage, python: str) -> None:
    """Official images say their Python. A base that says none is taken at its word."""
    variables = dict(one.partition("=")[::2] for one in (image.config.get("config") or {}).get("Env") or ())
    version = variables.get("PYTHON_VERSION", "")
    if version and ".".join(version.split(".")[:2]) != python:
        raise ConfigError(
            f"base {name} holds Python {version}, and the dependencies are for {python}: --python "
            f"{'.'.join(version.split('.')[:2])}, or another --base"
        )


def _read(data: bytes, where: str, shape: type[Any]) -> dict[str, Any]:
    """A document whose parts are what the specification says; it comes from anybody."""
    try:
        msgspec.json.decode(data, type=shape)
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise BuildError(f"{where}: a document of the image cannot be read: {error}") from error
