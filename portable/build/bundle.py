"""The layers of a bundle: the dependencies, this framework with one adapter, and the application with its entry."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import msgspec

from portable.build import layers, vendor
from portable.build.bytecode import Compiler, SourceError, compile_files, ship
from portable.build.layers import Layer
from portable.build.requirements import OWN, distribution
from portable.build.sources import check_names
from portable.build.target import BuildTarget, Bundle
from portable.build.vendor import Place
from portable.errors import BuildError, ConfigError
from portable.manifest import Manifest

__all__ = ["application_layer", "framework_files", "framework_layer", "requirements_layer", "wanted_requirements"]

# What only builds, runs or tests: no deployed function imports it.
_TOOLS = (
    "build",
    "capabilities.py",
    "checks.py",
    "cli",
    "deploy",
    "dev",
    "grants.py",
    "guards.py",
    "hookspecs.py",
    "manifest.py",
    "openapi",
    "plugins.py",
    "run",
    "samples",
    "signature_types.py",
    "testing",
    "uses.py",
)
_ADAPTER_TOOLS = (
    "build",
    "build.py",
    "capabilities.py",
    "deploy",
    "deploy.py",
    "gateway.py",
    "infrastructure",
    "infrastructure.py",
    "lambda_api.py",
    "permissions.py",
    "plugin.py",
    "provision.py",
    "run",
    "run.py",
    "samples",
    "samples.py",
    "schedules.py",
    "source_checks.py",
)
_USES_MSGSPEC = re.compile(rb"^\s*(?:import|from)\s+msgspec\b", re.MULTILINE)
_READS_FORMS = re.compile(rb"\.a?form\(")
_VERIFIES_TOKENS = re.compile(rb"\bJWTBearer\b")


class Lock(msgspec.Struct):
    """What a set of requirements was resolved to, kept in the project so that the next build takes the same."""

    asked: list[str]
    place: str
    pins: list[str]


def wanted_requirements(
    listed: Sequence[str], target: Sequence[str], manifest: Manifest, sources: Mapping[str, Path]
) -> list[str]:
    """The project's requirements and the target's; msgspec too where a model or a module of the app needs it, and what
    reads multipart forms where a parameter or a module does.

    An app may import msgspec without naming it, since it comes with this framework, which a build removes.
    """
    wanted = [*listed, *target]
    python = [file.read_bytes() for path, file in sources.items() if path.endswith(".py")]
    if manifest.models or any(_USES_MSGSPEC.search(text) for text in python):
        wanted += _own_requirement("msgspec")
    if manifest.forms or any(_READS_FORMS.search(text) for text in python):
        wanted += _own_requirement("python-multipart")
    if any(_VERIFIES_TOKENS.search(text) for text in python):
        wanted += _own_requirement("pyjwt")
    return sorted(dict.fromkeys(wanted))


def _own_requirement(name: str) -> list[str]:
    """What this framework itself, or one of its extras, asks of a distribution."""
    return [one.partition(";")[0].strip() for one in requires(OWN) or () if distribution(one) == name]


def requirements_layer(
    asked: Sequence[str],
    place: Place,
    folder: str,
    compiler: Compiler | None,
    project: Path,
    memory: Path,
    data_used: Callable[[list[str]], Mapping[str, Sequence[str]]] = lambda pins: {},
) -> tuple[Layer, list[str]]:
    """The dependencies, and the exact versions they are.

    ``folder``: where in the bundle they go. ``memory``: the file the versions are kept in; without it, or when
    something else is asked, they are chosen anew. ``data_used``: see ``BuildTarget``, given the pins.
    """
    where = f"{place}, {place.platform}"
    lock = _recall(memory)
    if lock is None or lock.asked != list(asked) or lock.place != where:
        pins = vendor.resolve(asked, place, project) if asked else []
        lock = Lock(list(asked), where, pins)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.format(msgspec.json.encode(lock)))
    pins = lock.pins
    # A folder or a file may differ from what was installed from it last time.
    local = any("file:" in pin or ("==" not in pin and "://" not in pin) for pin in pins)
    once = [str(time.time_ns())] if local else []
    used = data_used([distribution(pin) for pin in pins])
    key = _digest([*pins, where, folder, compiler.version if compiler else "", *once, repr(sorted(used.items()))])

    def make(files: Path) -> list[list[str]]:
        if pins:
            vendor.install(pins, place, files / folder, project)
            _leave_out(files / folder, used)
        if compiler:
            compile_files(compiler, files)
        return []

    return layers.keep_layer(layers.layer_folder(key), key, make), pins


def _leave_out(installed: Path, used: Mapping[str, Sequence[str]]) -> None:
    """Remove the entries of data folders that nothing reads."""
    for folder, entries in used.items():
        for entry in (installed / folder).glob("*"):
            if entry.name not in entries:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def framework_files(adapter_packages: Sequence[str]) -> dict[str, Path]:
    """What a deployed function can import of this framework and one adapter, by its path in the bundle."""
    found: dict[str, Path] = {}
    for package in ("portable", *adapter_packages):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise BuildError(f"package {package} is not installed")
        root = Path(next(iter(spec.submodule_search_locations)))
        left_out = _TOOLS if package == "portable" else _ADAPTER_TOOLS
        for file in sorted(root.rglob("*")):
            parts = file.relative_to(root).parts
            kept = parts[0] not in left_out and "__pycache__" not in parts and file.suffix != ".pyi"
            if kept and file.name != "py.typed" and file.is_file():
                found["/".join((package, *parts))] = file
    return found


def framework_layer(
    adapter_packages: Sequence[str], compiler: Compiler | None, *, shipped: bool = False
) -> tuple[Layer, str]:
    """This framework and one adapter, and the hash of their sources.

    ``shipped``: their bytecode is in one file, which the target's entries import ``portable.shipped`` for.
    """
    contents = {path: file.read_bytes() for path, file in framework_files(adapter_packages).items()}
    return _written(contents, compiler, None, shipped=shipped)


def application_layer(
    sources: Mapping[str, Path], bundle: Bundle, compiler: Compiler | None, keep: Path
) -> tuple[Layer, str]:
    """The user's files and the entry files, and the hash of them all."""
    contents = {path: file.read_bytes() for path, file in sources.items()}
    for path, content in bundle.files.items():
        if path in contents:
            raise ConfigError(f"{path} is a file the build writes: rename yours")
        contents[path] = content
    executable = {path for path, file in sources.items() if file.stat().st_mode & 0o100}
    executable |= {path for path, content in bundle.files.items() if content.startswith(b"#!")}
    return _written(contents, compiler, keep, executable)


def source_errors(layer: Layer) -> list[SourceError]:
    """Files of a layer that are no Python of the artifact's version, and went in without bytecode."""
    return [SourceError(file, int(line), message) for file, line, message in layer.notes]


def check_layers(packages: Sequence[str], target: BuildTarget, sources: Mapping[str, Path], installed: Layer) -> None:
    """Raise ConfigError for a user's module that bears a name that is taken."""
    prefix = f"{target.dependency_folder}/" if target.dependency_folder else ""
    tops = {path.removeprefix(prefix).partition("/")[0].removesuffix(".py") for path in installed.files}
    for name in ("portable", *packages):
        if name in tops:
            raise ConfigError(f"a dependency brings a package {name!r}, which hides this framework's; remove it")
    check_names(sources, (), tops)


def _written(
    contents: Mapping[str, bytes],
    compiler: Compiler | None,
    keep: Path | None,
    executable: Collection[str] = (),
    *,
    shipped: bool = False,
) -> tuple[Layer, str]:
    digest = _digest([f"{path}\0{hashlib.sha256(data).hexdigest()}" for path, data in sorted(contents.items())])
    key = _digest([digest, compiler.version if compiler else "", *sorted(executable), *(["shipped"] * shipped)])

    def make(files: Path) -> list[list[str]]:
        for path, data in contents.items():
            file = files / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            if path in executable:
                file.chmod(0o755)
        failed = compile_files(compiler, files) if compiler else []
        if compiler and shipped:
            ship(files)
        return [[one.file, str(one.line), one.message] for one in failed]

    return layers.keep_layer(keep or layers.layer_folder(key), key, make), digest


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _recall(memory: Path) -> Lock | None:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Lock)
    except (OSError, msgspec.MsgspecError):
        return None
