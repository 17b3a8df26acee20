"""The image of a project, out of the layers of its bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from portable.build.image.base import MACHINES, Base, open_base
from portable.build.image.dockerfile import IGNORED, dockerfile
from portable.build.image.documents import Recipe
from portable.build.image.plan import BASE, ImageWanted, has_images, plan_of
from portable.build.image.reference import parse_reference
from portable.build.image.store import hashed
from portable.build.image.write import Image, build_time, recipe_of, write_image
from portable.build.layers import Layer
from portable.build.project import Project
from portable.build.target import BuildTarget, Finding
from portable.build.vendor import ARCHITECTURES
from portable.errors import ConfigError
from portable.manifest import Manifest

__all__ = ["ImageWork", "as_image", "check_wanted", "files_read", "references", "versions_of"]

_MEMORY = "base.json"


def check_wanted(target: BuildTarget, wanted: ImageWanted, *, for_here: bool) -> None:
    """Raise ConfigError for what cannot be an image, before anything is built."""
    if not has_images(target):
        instead = getattr(target, "image_instead", "")
        raise ConfigError(f"target {target.name} has no images{f': {instead}' if instead else '; leave --image out'}")
    for one in wanted.architectures:
        if one not in ARCHITECTURES:
            raise ConfigError(f"no architecture {one!r}; there are {', '.join(ARCHITECTURES)}")
    if for_here:
        raise ConfigError("--for-here takes this machine's dependencies, and an image is for Linux: one or the other")
    if wanted.push and parse_reference(wanted.push).digest:
        raise ConfigError(f"--push {wanted.push}: an image is pushed to a tag; its digest is what it comes to")


def as_image(project: Project, target: BuildTarget) -> tuple[Project, list[Finding]]:
    """The project as its image is built: some settings are the image's to say; and what of them is to be told."""
    settings, notes = dict(project.settings(target.name)), []
    if settings.get("split") is True and getattr(target, "splits", False):
        settings["split"] = False
        message = "split is of bundles: the image holds every function, and each is started from it by its own command"
        notes.append(Finding("info", project.where(target.name, "split"), message))
    settings |= getattr(target, "image_settings", {})
    return msgspec.structs.replace(project, targets={**project.targets, target.name: settings}), notes


def versions_of(kept: Path, arch: str) -> Path:
    """The file that keeps the versions of the dependencies for another architecture than the bundle's."""
    return kept / f"lock-{arch}.json"


def files_read(wanted: ImageWanted, kept: Path) -> tuple[Path, ...]:
    """What an image follows from outside of the project: what was chosen once, in ``kept``, and the layout it is on."""
    found = [kept / _MEMORY, *(versions_of(kept, arch) for arch in wanted.architectures[1:])]
    if wanted.base is not None and (Path(wanted.base) / "oci-layout").is_file():
        found.append(Path(wanted.base) / "index.json")
    return tuple(found)


def references(image: Image | None, wanted: ImageWanted | None) -> tuple[str | None, dict[str, str]]:
    """How whoever deploys it names an image that is pushed, by its digest; and by architecture, each that is in it.

    Nothing where none is pushed.
    """
    if image is None or wanted is None or not wanted.push:
        return None, {}
    to = parse_reference(wanted.push)
    return to.at(image.digest), {
        arch: to.at(image.platforms[f"linux/{MACHINES[arch]}"]["digest"]) for arch in wanted.architectures
    }


def _entry(file: Path) -> dict[str, Any]:
    """A blob's name is its hash."""
    digest = file.name if file.parent.name == "sha256" else hashed(file.read_bytes()).removeprefix("sha256:")
    return {"size": file.stat().st_size, "sha256": digest}


class ImageWork(msgspec.Struct, frozen=True):
    """What a build knows that an image is made of.

    Attributes:
        kept: the folder that keeps what was chosen once. python: ``"3.13"``. below: the layers under the app's, from
        the lowest up, by name. apps: the app's layer in each bundle. dependencies: their layer for another machine.
    """

    project: Project
    target: BuildTarget
    manifest: Manifest
    python: str
    kept: Path
    below: Mapping[str, Layer]
    apps: Mapping[str, Layer]
    dependencies: Callable[[str], Layer]

    def write(
        self, out: Path, wanted: ImageWanted | None, listed: dict[str, dict[str, Any]], *, upgrade: bool = False
    ) -> Image | None:
        """Write the Dockerfile and, where one is wanted, the layout, into an artifact.

        ``listed`` gets size and hash of each file. ``upgrade``: ask anew what the base's tag is. Raises ConfigError and
        BuildError.
        """
        image = None
        if wanted is not None:
            if upgrade:
                (self.kept / _MEMORY).unlink(missing_ok=True)
            image = self._layout(out / "image", wanted)
        written = self._dockerfile(wanted, image)
        for name, content in written.items():
            (out / name).write_bytes(content)
        files = [out / name for name in written]
        files += sorted(one for one in image.folder.rglob("*") if one.is_file()) if image else []
        listed |= {file.relative_to(out).as_posix(): _entry(file) for file in files}
        return image

    def _layout(self, folder: Path, wanted: ImageWanted) -> Image:
        name = wanted.base or BASE.format(python=self.python)
        base = open_base(name, wanted.architectures, self.python, self.kept / _MEMORY)
        first, *others = wanted.architectures
        layers = {first: self._layers()}
        layers |= {arch: {**self._layers(), "dependencies": self.dependencies(arch)} for arch in others}
        folder.mkdir()
        return write_image(folder, base, self._recipe(wanted.revision, base), layers)

    def _layers(self) -> dict[str, Layer]:
        [app] = self.apps.values()
        return {**self.below, "app": app}

    def _dockerfile(self, wanted: ImageWanted | None, image: Image | None) -> dict[str, bytes]:
        """It and what goes beside it; none where the target has no images, or not one bundle."""
        if not has_images(self.target) or len(self.apps) != 1:
            return {}
        base = BASE.format(python=self.python)
        if image is not None and image.base is not None:
            base = str(msgspec.structs.replace(image.base, digest=image.base_digest))
        recipe = self._recipe(wanted.revision if wanted else "", None)
        [name] = self.apps
        text = dockerfile(base, recipe, self._layers(), f"bundle/{name}" if name else "bundle")
        return {"Dockerfile": text.encode(), ".dockerignore": IGNORED}

    def _recipe(self, revision: str, base: Base | None) -> Recipe:
        described: Mapping[str, Any] = self.project.document.get("project", {})
        return recipe_of(
            plan_of(self.target, self.manifest, self.project.settings(self.target.name)),
            dependency_folder=self.target.dependency_folder,
            title=self.manifest.app,
            created=build_time(),
            base=base,
            version=str(described.get("version", "")),
            revision=revision,
        )
