"""What the settings ask of each function and resource, by target and stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from portable.build.image.plan import has_images
from portable.build.image.settings import image_settings
from portable.build.project import Project, merged, nearest
from portable.build.target import BuildTarget
from portable.errors import ConfigError
from portable.manifest import Manifest

__all__ = ["FunctionSettings", "check_known", "existing_resources", "function_settings", "variables_of"]

EVERY = "*"
_COMMON = ("budget", "functions", "leave_out", "split")
"""Settings every target takes."""

_ARCHITECTURES = ("x86_64", "arm64")


class FunctionSettings(msgspec.Struct, frozen=True):
    """How one function is deployed.

    Attributes:
        memory: MiB. timeout: seconds. None leaves it to the cloud.
        concurrency: invocations that one instance serves at a time, where the cloud has it; None likewise.
        min_instances: always warm. max_instances: None for no bound of its own.
        environment: variables beside those of this framework. storage: ephemeral disk, MiB.
        arch: ``x86_64`` or ``arm64``.
    """

    memory: int | None = None
    timeout: float | None = None
    concurrency: int | None = None
    min_instances: int = 0
    max_instances: int | None = None
    environment: Mapping[str, str] = {}
    storage: int | None = None
    arch: str = "x86_64"


_LEAST = {"memory": 1, "concurrency": 1, "min_instances": 0, "max_instances": 1, "storage": 1}


def check_known(project: Project, target: BuildTarget) -> None:
    """Raise ConfigError for a setting in ``[tool.portable.<target>]`` that the target does not know, with the line and
    what it knows, and for one of images that is wrong.
    """
    own: Collection[str] | None = getattr(target, "known_settings", None)
    if own is not None:
        title, images = f"[tool.portable.{target.name}]", ("image",) if has_images(target) else ()
        for name in project.settings(target.name):
            if name not in (*_COMMON, *images, *own):
                where = project.where(target.name, name)
                raise ConfigError(f"{where}: {title} has no setting {name!r}{nearest(name, own)}")
    image_settings(project, target)


def function_settings(
    project: Project, target: str, manifest: Manifest, arch: str = "x86_64"
) -> dict[str, FunctionSettings]:
    """Settings of every function: what its decorator says, under ``[tool.portable.functions.<name>]``, under
    ``[tool.portable.<target>.functions.<name>]``; in each of them ``"*"`` stands for every function, under its own.

    ``arch`` is what a function has whose settings say nothing. Raises ConfigError with the line.
    """
    layers = [("functions",), (target, "functions")]
    tables = [project.table("functions"), project.settings(target).get("functions", {})]
    known = [function.name for function in manifest.functions]
    for keys, table in zip(layers, tables, strict=True):
        _check_names(project, keys, table, known)
    found = {}
    for function in manifest.functions:
        asked: dict[str, Any] = {"memory": function.memory, "timeout": function.timeout, "arch": arch}
        for table in tables:
            for name in (EVERY, function.name):
                asked = merged(asked, table.get(name, {}))
        asked.pop("grants", None)  # in the manifest: see portable.build.granted
        found[function.name] = FunctionSettings(**asked)
    return found


def variables_of(project: Project, target: str, manifest: Manifest) -> dict[str, dict[str, str]]:
    """The variables that settings give to each function that has any, by name."""
    found = function_settings(project, target, manifest)
    return {name: dict(sorted(one.environment.items())) for name, one in found.items() if one.environment}


def _check_names(project: Project, keys: tuple[str, ...], table: Any, known: Collection[str]) -> None:
    title = f"[tool.portable.{'.'.join(keys)}]"
    if not isinstance(table, Mapping):
        raise ConfigError(f"{project.where(*keys)}: {title} is a table of functions, got {table!r}")
    for name, asked in table.items():
        where = project.where(*keys, name)
        if name != EVERY and name not in known:
            raise ConfigError(f"{where}: {title} names {name!r}, which is no function{nearest(name, known)}")
        if not isinstance(asked, Mapping):
            raise ConfigError(f"{where}: {title} {name} is a table of settings, got {asked!r}")
        for key, value in asked.items():
            _check_value(project.where(*keys, name, key), f"{name}.{key}", key, value)


def _check_value(where: str, label: str, key: str, value: Any) -> None:
    fields = (*FunctionSettings.__struct_fields__, "grants")
    if key == "grants":
        return
    if key not in fields:
        raise ConfigError(f"{where}: a function has no setting {key!r}{nearest(key, fields)}")
    if key in _LEAST:
        right, wanted = type(value) is int and value >= _LEAST[key], f"a whole number from {_LEAST[key]} on"
    elif key == "timeout":
        right, wanted = type(value) in (int, float) and value > 0, "seconds, more than 0"
    elif key == "arch":
        right, wanted = value in _ARCHITECTURES, " or ".join(_ARCHITECTURES)
    else:
        right = isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())
        wanted = "a table of texts"
    if not right:
        raise ConfigError(f"{where}: {label} is {wanted}, got {value!r}")
    for name in value if key == "environment" else ():
        if not name.isidentifier() or name.startswith("PORTABLE_"):
            raise ConfigError(f"{where}: {name!r} cannot be a variable of {label}; PORTABLE_… are this framework's own")


def existing_resources(project: Project, manifest: Manifest) -> dict[str, str]:
    """By ``kind:name``, the address of each resource that ``[tool.portable.resources]`` binds to what exists already.

    Raises ConfigError with the line.
    """
    known = [f"{one.kind}:{one.name}" for one in manifest.resources]
    found = {}
    for key, asked in project.table("resources").items():
        where = project.where("resources", key)
        if key not in known:
            raise ConfigError(f"{where}: the app declares no resource {key!r}{nearest(key, known)}")
        name = asked.get("name") if isinstance(asked, Mapping) else None
        if not isinstance(name, str) or not name or set(asked) != {"name"}:
            raise ConfigError(f'{where}: a resource is bound by "{key}" = {{ name = "…" }}, got {asked!r}')
        found[key] = name
    return found
