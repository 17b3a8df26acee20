"""Infrastructure files, ``dist/<target>/infra/``: what the target says, under what the user lays over it.

``infra/<target>.yaml`` or ``infra/<target>.json`` in the project's folder holds the user's own part, by the name of the
file it is for::

    template.yaml:
      Resources:
        EmailsQueue:
          Properties:
            KmsMasterKeyId: alias/acme

Mappings are merged, a null removes, everything else takes the place of what was there. It survives every build.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portable.build.deployment import Deployment
from portable.build.project import merged, nearest
from portable.errors import ConfigError

__all__ = ["infrastructure_files", "read_overrides"]

FOLDER = "infra"
_SUFFIXES = (".yaml", ".yml", ".json")


def infrastructure_files(target: Any, deployment: Deployment, root: Path) -> dict[str, bytes]:
    """Path in the artifact to content; empty where the target has none. ``root`` is the project's folder.

    Raises ConfigError for an override of a file that is not among them, or not made of mappings.
    """
    make = getattr(target, "infrastructure", None)
    if make is None:
        return {}
    made: Mapping[str, Any] = make(deployment)
    file, overrides = read_overrides(root, deployment.target)
    documents = [path for path, content in made.items() if isinstance(content, Mapping)]
    for path in overrides:
        if path not in documents:
            raise ConfigError(f"{file}: no file {path!r} can be laid over{nearest(path, documents)}")
    laid = {path: merged(made[path], overrides.get(path, {})) for path in documents}
    files = {}
    for path, content in made.items():
        written = content(laid) if callable(content) else content
        if path in laid:
            written = _content(path, laid[path])
        files[f"{FOLDER}/{path}"] = written.encode() if isinstance(written, str) else written
    return files


def read_overrides(root: Path, target: str) -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    """The file that holds the user's part, relative to the project, and what it says by the name of the file.

    Raises ConfigError where there are two, and where one is no mapping of mappings.
    """
    found = [file for suffix in _SUFFIXES if (file := root / FOLDER / f"{target}{suffix}").is_file()]
    if not found:
        return "", {}
    if len(found) > 1:
        raise ConfigError(f"{' and '.join(f'{FOLDER}/{one.name}' for one in found)}: keep one of them")
    name = f"{FOLDER}/{found[0].name}"
    said = _read(found[0], name)
    if not isinstance(said, Mapping) or not all(isinstance(one, Mapping) for one in said.values()):
        raise ConfigError(f"{name}: each file's name, and under it a mapping to lay over it")
    return name, said


def _read(file: Path, name: str) -> Any:
    text = file.read_text("utf-8")
    if file.suffix == ".json":
        try:
            return json.loads(text or "{}")
        except ValueError as error:
            raise ConfigError(f"{name} is not valid JSON: {error}") from error
    import yaml

    try:
        return yaml.load(text, Loader=_loader(yaml)) or {}  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not valid YAML: {error}") from error


def _loader(yaml: Any) -> Any:
    """Reads YAML with CloudFormation's short forms: ``!Ref X`` is ``{"Ref": "X"}``, ``!Sub`` is ``{"Fn::Sub": …}``."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    def tagged(loader: Any, tag: str, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            value: Any = loader.construct_scalar(node)
            if tag == "GetAtt":
                value = value.split(".", 1)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}

    Loader.add_multi_constructor("!", tagged)
    return Loader


def _content(path: str, document: Mapping[str, Any]) -> bytes:
    if path.endswith(".json"):
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

    text: str = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()
