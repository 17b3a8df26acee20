"""What functions may do: declared in the settings, and said where it could not be seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from portable.build.project import Project, nearest
from portable.build.target import Finding
from portable.errors import ConfigError
from portable.grants import check_verbs
from portable.manifest import FunctionRecord, Manifest

__all__ = ["check_grants", "with_grants"]

EVERY = "*"


def with_grants(project: Project, manifest: Manifest) -> Manifest:
    """The manifest with what ``[tool.portable.functions.<name>] grants`` declares in place of what was seen.

    Of a resource that is named there these verbs count and no others; of all others, what was seen. ``"*"`` is for
    every function, a function's own over it. Raises ConfigError with the line for a resource or a verb there is not.
    """
    table = project.table("functions")
    declared = {name: _declared(project, manifest, name, asked) for name, asked in table.items()}
    if not any(declared.values()):
        return manifest
    functions = []
    for function in manifest.functions:
        asked = {**declared.get(EVERY, {}), **declared.get(function.name, {})}
        grants = {**function.grants, **asked}
        functions.append(
            msgspec.structs.replace(
                function,
                grants={key: grants[key] for key in sorted(grants) if grants[key]},
                uses=sorted({*function.uses, *(key for key, verbs in asked.items() if verbs)}),
                unseen=[one for one in function.unseen if one.resource not in asked],
            )
        )
    return msgspec.structs.replace(manifest, functions=functions)


def _declared(project: Project, manifest: Manifest, name: str, asked: object) -> dict[str, list[str]]:
    """Verbs by ``kind:name``, checked."""
    grants = asked.get("grants", {}) if isinstance(asked, Mapping) else {}
    where = project.where("functions", name, "grants")
    if not isinstance(grants, Mapping):
        raise ConfigError(f'{where}: grants is a table like {{ "bucket:uploads" = ["read"] }}, got {grants!r}')
    known = [f"{one.kind}:{one.name}" for one in manifest.resources]
    found = {}
    for key, verbs in grants.items():
        if key not in known:
            raise ConfigError(f"{where}: the app declares no resource {key!r}{nearest(key, known)}")
        if not isinstance(verbs, list) or not all(isinstance(verb, str) for verb in verbs):
            raise ConfigError(f"{where}: grants of {key} are a list of verbs, got {verbs!r}")
        found[key] = check_verbs(key.partition(":")[0], verbs, f"{where}: grants of {key}")
    return found


def check_grants(manifest: Manifest) -> Iterator[Finding]:
    """Where a resource goes out of sight, once for all functions that go there."""
    found: dict[tuple[str, str, str], list[FunctionRecord]] = {}
    for function in manifest.functions:
        for one in function.unseen:
            found.setdefault((one.where, one.message, one.resource), []).append(function)
    for (where, message, resource), functions in found.items():
        names = ", ".join(function.name for function in functions)
        key = f'"{resource}" = […]' if resource else '"bucket:…" = […]'
        setting = f"[tool.portable.functions.{functions[0].name}] grants = {{ {key} }}"
        way_out = f"say what it does: {setting}, or @granted on the function"
        yield Finding("info", where, f"{message} (function {names})", way_out)
