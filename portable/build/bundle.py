"""Layers of a bundle: this framework with one adapter, and the application with its entry."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from portable.build import layers
from portable.build.bytecode import Compiler, SourceError, compile_files, ship
from portable.build.layers import Layer
from portable.build.sources import check_names
from portable.build.target import BuildTarget, Bundle
from portable.errors import BuildError, ConfigError

__all__ = ["application_layer", "check_layers", "framework_files", "framework_layer", "source_errors"]

# What only builds, runs or tests: no deployed function imports it.
_TOOLS = (
    "build",
    "capabilities.py",
    "checks.py",
    "cli",
    "deploy",
    "dev",
    "flow",
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
    "costs.py",
    "deploy",
    "deploy.py",
    "gateway.py",
    "image.py",
    "infrastructure",
    "infrastructure.py",
    "lambda_api.py",
    "permissions.py",
    "plugin.py",
    "prices.toml",
    "provision.py",
    "run",
    "run.py",
    "samples",
    "samples.py",
    "schedules.py",
    "source_checks.py",
)


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
