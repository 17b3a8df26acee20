"""A project: its folder, its settings, and which App in it is meant."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from portable.errors import ConfigError

__all__ = ["DEFAULT_STAGE", "Project", "find_project", "merged", "nearest", "parse_spec"]

_KEYS = {"app": str, "python": str, "include": list, "exclude": list, "lock": str, "log_retention": int}
_TABLES = ("budget", "functions", "image", "load", "prune", "resources", "stages")
_STAGE = re.compile(r"[a-z][a-z0-9-]{0,19}")
DEFAULT_STAGE = "dev"


class Project(msgspec.Struct, frozen=True):
    """A folder with an app.

    Attributes:
        root: the folder, absolute. spec: ``module:variable`` of the App.
        python: the version the settings ask for, None when they say nothing.
        include, exclude: patterns of files for the bundle; see ``portable.build.sources``.
        targets: the tables ``[tool.portable.<target>]``. document: the whole ``pyproject.toml``.
        tables: the other tables, by name: functions, resources, stages, … stage: whose settings these are.
        log_retention: days. lock: the lock file, "none" for none; None takes the first there is.
    """

    root: Path
    spec: str
    python: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    targets: Mapping[str, Mapping[str, Any]] = {}
    document: Mapping[str, Any] = {}
    tables: Mapping[str, Mapping[str, Any]] = {}
    stage: str = DEFAULT_STAGE
    log_retention: int = 30
    lock: str | None = None

    def table(self, name: str) -> Mapping[str, Any]:
        """``[tool.portable.<name>]``, empty when it is not there."""
        return self.tables.get(name, {})

    def where(self, *keys: str) -> str:
        """``pyproject.toml:12``: where ``[tool.portable]`` says something, or the nearest table that is there."""
        from portable.build.places import find_line

        return f"pyproject.toml:{find_line(self.root / 'pyproject.toml', ('tool', 'portable', *keys))}"

    def at_stage(self, stage: str | None) -> Project:
        """This project with ``[tool.portable.stages.<stage>]`` laid over its settings; None is the default stage.

        Raises ConfigError for a name no stage may have, and for one that is not declared where others are.
        """
        name = stage or DEFAULT_STAGE
        if not _STAGE.fullmatch(name):
            raise ConfigError(f"stage {name!r}: lower-case letters, digits and dashes, 20 at most, a letter first")
        stages = self.table("stages")
        if stages and name not in stages and name != DEFAULT_STAGE:
            raise ConfigError(f"{self.where('stages')}: there is no stage {name!r}{nearest(name, stages)}")
        over = stages.get(name, {})
        if not isinstance(over, dict):
            raise ConfigError(f"{self.where('stages', name)}: [tool.portable.stages.{name}] is a table, got {over!r}")
        tables, targets, plain = dict(self.tables), dict(self.targets), {}
        for key, value in over.items():
            if key == "log_retention":
                _check(key, value)
                plain[key] = value
            elif not isinstance(value, dict) or key in (*_KEYS, "stages"):
                raise ConfigError(f"{self.where('stages', name, key)}: a stage has no setting {key!r} of its own")
            elif key in _TABLES:
                tables[key] = merged(self.table(key), value)
            else:
                targets[key] = merged(self.settings(key), value)
        return msgspec.structs.replace(self, tables=tables, targets=targets, stage=name, **plain)

    def settings(self, target: str) -> Mapping[str, Any]:
        """``[tool.portable.<target>]``, empty when it is not there."""
        return self.targets.get(target, {})

    def check_targets(self, known: Iterable[str]) -> None:
        """Raise ConfigError for a table that is no installed target's."""
        names = list(known)
        for name in self.targets:
            if name not in names:
                known_names = [*names, *_KEYS, *_TABLES]
                raise ConfigError(f"[tool.portable.{name}] is no target's table{nearest(name, known_names)}")


def find_project(start: Path, spec: str | None = None) -> Project:
    """The project that holds ``start``: the nearest folder, upwards, with a ``pyproject.toml`` or an ``app.py``.

    ``spec`` (``module:variable``, ``module`` or ``file.py:variable``) goes before the settings'. Raises ConfigError
    when there is no such folder, or the settings are wrong.
    """
    start = start.resolve()
    if not start.is_dir():
        raise ConfigError(f"{start} is no folder; a project is a folder with an app.py or a pyproject.toml")
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() or (folder / "app.py").is_file():
            return _read(folder, spec)
    raise ConfigError(
        f"no project in {start}: neither it nor a folder above holds an app.py or a pyproject.toml; "
        "`portable new NAME` makes one"
    )


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as one: mappings in both are merged in turn, all else is what ``over`` says; a None removes."""
    found = dict(under)
    for key, value in over.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping):
            known = found.get(key)
            found[key] = merged(known if isinstance(known, Mapping) else {}, value)
        else:
            found[key] = value
    return found


def parse_spec(spec: str) -> str:
    """``module:variable`` of what a user wrote: the variable is ``app`` when left out, and a file is its module."""
    module, _, variable = spec.partition(":")
    if module.endswith(".py"):
        module = module.removesuffix(".py").replace("\\", "/").strip("/").replace("/", ".")
    variable = variable or "app"
    if not all(part.isidentifier() for part in module.split(".")) or not variable.isidentifier():
        raise ConfigError(f"app {spec!r} is not module:variable (shop.main:app)")
    return f"{module}:{variable}"


def nearest(name: str, known: Iterable[str]) -> str:
    """What to add to a message about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1, 0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(names)}" if names else "; there are none"


def _read(root: Path, spec: str | None) -> Project:
    document: dict[str, Any] = {}
    file = root / "pyproject.toml"
    if file.is_file():
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not valid TOML: {error}") from error
    table = document.get("tool", {}).get("portable", {})
    for key, value in table.items():
        if key in _KEYS:
            _check(key, value)
        elif not isinstance(value, dict):
            raise ConfigError(f"[tool.portable] has no setting {key!r}{nearest(key, _KEYS)}")
    return Project(
        root,
        parse_spec(spec or table.get("app", "app:app")),
        table.get("python"),
        tuple(table.get("include", ())),
        tuple(table.get("exclude", ())),
        {key: value for key, value in table.items() if key not in _KEYS and key not in _TABLES},
        document,
        {key: table[key] for key in _TABLES if key in table},
        log_retention=table.get("log_retention", 30),
        lock=table.get("lock"),
    )


def _check(key: str, value: Any) -> None:
    if key == "log_retention":
        if type(value) is not int or value < 1:
            raise ConfigError(f"[tool.portable] log_retention is a number of days, got {value!r}")
        return
    if not isinstance(value, _KEYS[key]):
        wanted = "a list of patterns" if _KEYS[key] is list else 'text in quotes, like "3.13"'
        raise ConfigError(f"[tool.portable] {key} is {wanted if key != 'app' else 'module:variable'}, got {value!r}")
    if isinstance(value, list) and not all(isinstance(pattern, str) for pattern in value):
        raise ConfigError(f"[tool.portable] {key} is a list of patterns, got {value!r}")
