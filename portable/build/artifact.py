"""A project built for a target: ``dist/<target>``."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import portable
from portable.build import pythons, vendor, watched
from portable.build.beside import Beside
from portable.build.bounds import check_bounds, check_size, with_settings
from portable.build.budget import Measure, hold_to_budget, read_budget
from portable.build.bundle import application_layer, check_layers, framework_layer, source_errors
from portable.build.bytecode import Compiler, find_compiler
from portable.build.compiled import check_compiled
from portable.build.dependencies import Dependencies, Wishes, check_left_out, gather, wanted_requirements
from portable.build.deployment import describe_deployment
from portable.build.description import Description, describe_project
from portable.build.features import check_features, check_mounts, check_physical_names, served
from portable.build.granted import check_grants
from portable.build.image.plan import ImageWanted
from portable.build.image.project import ImageWork, as_image, check_wanted, files_read, references, versions_of
from portable.build.image.write import Image, build_time
from portable.build.infrastructure import infrastructure_files
from portable.build.layers import Layer, link_files, write_zip
from portable.build.project import Project
from portable.build.pruning import dropped_document
from portable.build.replacing import replacing
from portable.build.requirements import distribution, read_requirements
from portable.build.result import Built, FindingsError, Part
from portable.build.sbom import bill_of_materials
from portable.build.schedules import check_clock_changes, timers_of
from portable.build.settings import check_known, function_settings, variables_of
from portable.build.shared import configured, packages_of, requirements_of
from portable.build.sizes import parts_of, sizes_document
from portable.build.sources import check_names, find_sources
from portable.build.splitting import Sources, bundles_of, dependencies_of
from portable.build.target import BuildTarget, Bundle, Finding
from portable.build.unchanged import Inputs, recall, remember
from portable.build.vendor import Place
from portable.drivers import SHARED
from portable.errors import BuildError, ConfigError

__all__ = ["Built", "FindingsError", "Part", "Wanted", "build", "check"]


_UNCLEAR = "imports by a name that is made at run time, so the bundle of {} holds every module of the project"


class Wanted(msgspec.Struct, frozen=True):
    """What a build may choose. ``python`` None: the settings', else the target's default.

    ``for_here``: dependencies for this machine instead of the cloud's, and a Python this machine has.
    ``upgrade``: choose the versions of the dependencies anew. ``out``: the folder, else ``dist/<target>``.
    ``form``: of the infrastructure files, else the target's default. ``image``: the image functions are deployed as.
    ``oci``: the image to write, None for none.
    """

    python: str | None = None
    arch: str = "x86_64"
    for_here: bool = False
    upgrade: bool = False
    out: Path | None = None
    form: str | None = None
    image: str | None = None
    oci: ImageWanted | None = None


def check(project: Project, target: BuildTarget) -> tuple[Description, list[Finding]]:
    """The app's description with what the settings ask of its functions, and what the target cannot give it.

    Raises BuildError and ConfigError; a setting the target does not know is one, where it says which it knows.
    """
    settings = project.settings(target.name)
    target = configured(target, settings)
    check_known(project, target)
    description = describe_project(project, target.name)
    asked = function_settings(project, target.name, description.manifest)
    manifest = with_settings(description.manifest, asked)
    findings = [*check_features(manifest, target), *check_physical_names(manifest, target)]
    findings += [*check_clock_changes(manifest), *check_mounts(manifest), *check_grants(manifest)]
    findings += check_left_out(project, target)
    read_budget(project, target.name, manifest)
    findings += [*check_bounds(manifest, asked, target, project)]
    findings += target.check(served(manifest, target), settings)
    if not manifest.functions:
        message = f"app {manifest.app!r} has no handler, so nothing would ever call it"
        findings.append(Finding("warning", project.spec, message, "decorate one, or include the router that has it"))
    return msgspec.structs.replace(description, manifest=manifest), findings


def build(project: Project, target: BuildTarget, wanted: Wanted | None = None, measure: Measure | None = None) -> Built:
    """Write the artifact of a project for a target, and say what is in it.

    Atomic: until all of it is there, the artifact of an earlier build stays. Not safe under threads: the app is
    imported here. ``measure`` runs the new artifact in a folder, for a budget of what only a run shows; left out, that
    is not looked at. Raises FindingsError, BudgetError, BuildError and ConfigError.
    """
    wanted = wanted or Wanted()
    watched.set_project(project.root)
    target = configured(target, project.settings(target.name))
    place = _choose_place(project, target, wanted)
    notes: list[Finding] = []
    if wanted.oci is not None:
        check_wanted(target, wanted.oci, for_here=wanted.for_here)
        project, notes = as_image(project, target)
    withheld: list[str] = []
    sources = find_sources(project, withheld)
    check_compiled(project.root, sources, place, lambda file: "the project")
    reserved = ("portable", *target.adapter_packages, *SHARED.values())
    check_names(sources, (*reserved, *target.reserved), ())
    listed = read_requirements(project)
    description, findings = check(project, target)
    if any(one.severity == "error" for one in findings):
        raise FindingsError(target.name, findings)
    findings += [*notes, *(_withheld(path) for path in withheld)]
    try:
        return _Work(project, target, wanted, place, sources, listed, description, findings, measure).make()
    except OSError as error:
        raise BuildError(f"the artifact cannot be written: {error}") from error


class _Work(msgspec.Struct):
    project: Project
    target: BuildTarget
    wanted: Wanted
    place: Place
    sources: Mapping[str, Path]
    listed: Sequence[str]
    description: Description
    findings: list[Finding]
    measure: Measure | None = None
    files: dict[str, dict[str, Any]] = {}
    parts: dict[str, list[Part]] = {}

    def make(self) -> Built:
        """What the last build came to where nothing has changed since, else a new artifact."""
        kept = self.project.root / ".portable" / "build" / self.target.name
        compiler = find_compiler(self.place.python)
        if compiler is None:
            self._warn_of_no_bytecode()
        else:
            watched.note([compiler.path])
        if self.wanted.upgrade:
            (kept / "lock.json").unlink(missing_ok=True)
        out = (self.wanted.out or self.project.root / "dist" / self.target.name).absolute()
        inputs = Inputs(
            self.project,
            self.target.name,
            self.description.manifest,
            self.sources,
            tuple(self.listed),
            repr((self.wanted, self.place, sorted(self.description.files), self.measure is None, build_time())),
            compiler,
            ("portable", *packages_of(self.target, self.description.manifest)),
            (kept / "lock.json", *(files_read(self.wanted.oci, kept) if self.wanted.oci is not None else ())),
        )
        lasting = not self.wanted.upgrade
        key = inputs.key() if lasting else ""
        if lasting and (last := recall(kept / "last.json", inputs, key, out)) is not None:
            return Built.from_kept(last, out)
        built, lasts = self._write(kept, out, compiler)
        if not (lasting and lasts):
            return built
        remember(kept / "last.json", inputs, key, out, built.to_kept())
        return msgspec.structs.replace(built, lasts=True)

    def _write(self, kept: Path, out: Path, compiler: Compiler | None) -> tuple[Built, bool]:
        """Write the artifact; answer with what it is, and whether all of it follows from what is compared."""
        manifest, settings = self.description.manifest, self.project.settings(self.target.name)
        memory = kept / "lock.json"
        wishes = wanted_requirements(
            self.project,
            self.listed,
            requirements_of(self.target, manifest, settings),
            manifest,
            self.sources,
            self.target.name,
        )
        folder = self.target.dependency_folder
        # The one waits for the network and the installer, the other for a compiler.
        packages = packages_of(self.target, manifest)
        beside = Beside(lambda: framework_layer(packages, compiler, shipped=getattr(self.target, "ships", False)))
        try:
            found = gather(wishes, self.place, folder, compiler, self.project.root, memory, self._data_used)
        finally:
            framework, framework_hash = beside.result()
        installed, lock = found.layer, found.lock
        check_layers(packages, self.target, self.sources, installed)
        inputs = self._inputs(compiler, framework_hash, found)
        bundles = bundles_of(self.target, manifest, self.project)
        modules = Sources(self.sources, manifest)
        image, apps = None, dict[str, Layer]()
        with replacing(out) as fresh:
            for bundle in bundles:
                files, needed = self._part_of(bundle, modules, found, wishes, folder)
                app, inputs["app"][bundle.name] = application_layer(
                    files, bundle, compiler, kept / f"app-{bundle.name or 'bundle'}"
                )
                self._refuse_broken(app)
                apps[bundle.name] = app
                self.parts[bundle.name] = parts_of(app, framework, needed, folder)
                self._write_bundle(fresh, bundle, [needed, framework, app])
            if not self.wanted.for_here:
                work = ImageWork(
                    self.project,
                    self.target,
                    manifest,
                    self.place.python,
                    kept,
                    {"dependencies": installed, "portable": framework},
                    apps,
                    lambda arch: self._dependencies(wishes, arch, compiler, kept),
                )
                image = work.write(fresh, self.wanted.oci, self.files, upgrade=self.wanted.upgrade)
                self._write_infrastructure(fresh, bundles, image)
            bill = bill_of_materials(manifest.app, self.target.name, inputs, found, folder)
            self._write_file(fresh, "sbom.json", bill)
            self._write_file(fresh, "report/pruned.json", dropped_document(found.dropped))
            self._write_manifest(fresh, bundles, inputs, image)
            self._hold_to_budget(fresh, bundles)
        zips = {
            out / path: entry["size"] for path, entry in self.files.items() if path.endswith(".zip") and "/" not in path
        }
        if image is not None:
            image = msgspec.structs.replace(image, folder=out / image.folder.name)
        built = Built(
            out,
            self.place.python,
            str(self.place),
            zips,
            self.parts,
            self.findings,
            lock,
            len(manifest.functions),
            image,
            found.dropped,
            [pin.text for pin in found.left_out],
        )
        return built, not any(pin.is_local for pin in found.pins)

    def _inputs(self, compiler: Compiler | None, framework_hash: str, found: Dependencies) -> dict[str, Any]:
        """What equal bytes follow from."""
        return {
            "python": self.place.python,
            "compiler": compiler.version if compiler else None,
            "arch": self.place.arch,
            "platform": self.place.platform,
            "zlib": zlib.ZLIB_RUNTIME_VERSION,
            "portable": framework_hash,
            "app": {},
            "lock": found.lock,
            "locked": {"file": found.locked.file, "sha256": found.locked.sha256} if found.locked else None,
        }

    def _part_of(
        self, bundle: Bundle, modules: Sources, found: Dependencies, wishes: Wishes, folder: str
    ) -> tuple[Mapping[str, Path], Layer]:
        """The project's files for a bundle, and the dependencies: all of them, unless it is a function's own."""
        settings = self.project.settings(self.target.name)
        if not settings.get("split"):
            return self.sources, found.layer
        manifest = self.description.manifest
        files, unclear = modules.needed_by(manifest, bundle)
        if unclear:
            self.findings.append(Finding("info", unclear.partition(" ")[0], _UNCLEAR.format(bundle.name)))
        needed = dependencies_of(
            bundle, manifest, modules, self.target, settings, found.pins, wishes.outside, found.layer, folder
        )
        return files, needed

    def _dependencies(self, wishes: Wishes, arch: str, compiler: Compiler | None, kept: Path) -> Layer:
        """Those of another architecture than the bundle's, whose versions are kept in a file of their own."""
        place = msgspec.structs.replace(self.place, arch=arch)
        memory = versions_of(kept, arch)
        if self.wanted.upgrade:
            memory.unlink(missing_ok=True)
        folder, root = self.target.dependency_folder, self.project.root
        return gather(wishes, place, folder, compiler, root, memory, self._data_used).layer

    def _data_used(self, pins: list[str]) -> Mapping[str, Sequence[str]]:
        return self.target.data_used(self.description.manifest, [distribution(one) for one in self.listed], pins)

    def _write_bundle(self, fresh: Path, bundle: Bundle, layers: Sequence[Layer]) -> None:
        path = bundle.path
        for layer in layers:
            link_files(layer, fresh / path)
            for name, entry in layer.files.items():
                self.files[f"{path}/{name}"] = {"size": entry.size, "sha256": entry.sha256}
        archive = fresh / bundle.zip_name
        digest = write_zip(archive, layers)
        size = archive.stat().st_size
        self.files[archive.name] = {"size": size, "sha256": digest}
        unpacked = sum(entry.size for layer in layers for entry in layer.files.values())
        too_large = list(check_size(archive.name, unpacked, size, self.target))
        if too_large and self.wanted.image is None and self.wanted.oci is None:
            raise FindingsError(self.target.name, [*self.findings, *too_large])

    def _write_infrastructure(self, fresh: Path, bundles: Sequence[Bundle], image: Image | None) -> None:
        pushed, images = references(image, self.wanted.oci)
        deployment = describe_deployment(
            self.project,
            self.target,
            self.description.manifest,
            bundles,
            python=self.place.python,
            arch=self.wanted.arch,
            form=self.wanted.form,
            image=self.wanted.image or pushed,
            images=images,
            digests={one.zip_name: self.files[one.zip_name]["sha256"] for one in bundles},
        )
        for path, content in infrastructure_files(self.target, deployment, self.project.root).items():
            self._write_file(fresh, path, content)

    def _write_file(self, fresh: Path, path: str, content: bytes) -> None:
        file = fresh / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.files[path] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def _write_manifest(
        self, fresh: Path, bundles: Sequence[Bundle], inputs: Mapping[str, Any], image: Image | None
    ) -> None:
        document = {
            "portable": portable.__version__,
            "target": self.target.name,
            "for_here": self.wanted.for_here,
            "stage": self.project.stage,
            "environment": variables_of(self.project, self.target.name, self.description.manifest),
            "app": self.description.manifest,
            "bundles": {one.name: {"path": one.path, "sources": one.sources} for one in bundles},
            "inputs": inputs,
            "sizes": sizes_document(self.parts),
            "files": dict(sorted(self.files.items())),
        }
        if image is not None:
            document["image"] = image.document()
        if timers := timers_of(self.description.manifest, self.target, self.project.settings(self.target.name)):
            document["schedules"] = timers
        authorizers: Callable[..., Any] | None = getattr(self.target, "authorizers", None)
        if authorizers is not None and (
            found := authorizers(self.description.manifest, self.project.settings(self.target.name))
        ):
            document["authorizers"] = found
        (fresh / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(document)))

    def _hold_to_budget(self, fresh: Path, bundles: Sequence[Bundle]) -> None:
        budget = read_budget(self.project, self.target.name, self.description.manifest)
        zips = {one.zip_name: self.files[one.zip_name]["size"] for one in bundles}
        measure = None if self.measure is None else partial(self.measure, fresh)
        self.findings += hold_to_budget(budget, bundles, zips, self.parts, measure)

    def _refuse_broken(self, app: Layer) -> None:
        for one in source_errors(app):
            message = f"no Python {self.place.python}: {one.message}"
            if one.file in self.description.files:
                raise BuildError(f"{one.file}:{one.line}: {message}; the app imports it")
            self.findings.append(Finding("warning", f"{one.file}:{one.line}", message, "nothing must import it"))

    def _warn_of_no_bytecode(self) -> None:
        message = (
            f"no Python {self.place.python} here to compile with: the bundle ships without bytecode, so every cold "
            "start compiles what it imports, which more than doubles the time of large imports, and it differs from "
            "the bundle of a machine that has it"
        )
        way_out = f"`uv python install {self.place.python}`, and build again"
        self.findings.append(Finding("warning", "", message, way_out))


def _choose_place(project: Project, target: BuildTarget, wanted: Wanted) -> Place:
    asked = wanted.python or project.python
    if wanted.for_here:
        default = target.pythons[0]
        return Place(asked or (default if find_compiler(default) else pythons.CURRENT), None)
    if wanted.arch not in vendor.ARCHITECTURES:
        raise ConfigError(f"no architecture {wanted.arch!r}; there are {', '.join(vendor.ARCHITECTURES)}")
    if asked is not None and asked not in target.pythons:
        raise ConfigError(f"{target.name} does not run Python {asked}; it runs {', '.join(target.pythons)}")
    python = asked or target.pythons[0]
    older: Mapping[str, int] = getattr(target, "glibc", {})
    return Place(python, wanted.arch, older.get(python, vendor.GLIBC))


def _withheld(path: str) -> Finding:
    message = f"{path} looks like it holds secrets and is not deployed"
    return Finding(
        "warning", path, message, "declare a Secret for what it holds; `[tool.portable] exclude` says you know"
    )
