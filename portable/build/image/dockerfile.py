"""``dist/<target>/Dockerfile``: the same image, for those who would rather have it built by a daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from portable.build.image.documents import USER, Recipe
from portable.build.layers import Layer

__all__ = ["IGNORED", "dockerfile"]

IGNORED = b"# Only the bundle goes to the daemon.\n*\n!bundle\n"
"""``.dockerignore`` beside it."""

_MOST = 100  # a stage with more instructions than 127 is one that overlay file systems do not mount


def dockerfile(base: str, recipe: Recipe, layers: Mapping[str, Layer], bundle: str) -> str:
    """The text. ``layers``: from the lowest up; ``bundle``: their folder in the context, ``bundle``.

    A stage gathers what belongs to a layer, and one COPY of the last stage is the layer, so that layers are the same
    as those of the image that is written without a daemon.
    """
    found = {name: _sources(name, layers) for name in layers if layers[name].files}
    lines = ["# Written by `portable build`: docker build -t NAME .", ""]
    copies = []
    for name, (folders, files) in found.items():
        for number, part in enumerate(_parts(folders)):
            stage = f"{name}-{number}" if number else name
            lines += [f"FROM scratch AS {stage}", *(_copy(bundle, one, recipe.root) for one in part)]
            lines += [] if number else _copy_files(bundle, files, recipe.root)
            lines.append("")
            copies.append(f"COPY --from={stage} /{recipe.root}/ /{recipe.root}/")
    lines += [f"FROM {base}", *copies, _pairs("ENV", recipe.environment), _pairs("LABEL", recipe.labels)]
    lines += [f"WORKDIR /{recipe.root}", f"USER {USER}"]
    if recipe.port:
        lines.append(f"EXPOSE {recipe.port}")
    if recipe.health:
        times = "--interval=30s --timeout=5s --start-period=10s --retries=3"
        lines.append(f"HEALTHCHECK {times} \\\n    CMD {json.dumps(list(recipe.health))}")
    else:
        lines.append("HEALTHCHECK NONE")
    lines.append(f"ENTRYPOINT {json.dumps(list(recipe.entrypoint))}")
    lines.append(f"CMD {json.dumps(list(recipe.command))}")
    return "\n".join(lines) + "\n"


def _sources(name: str, layers: Mapping[str, Layer]) -> tuple[list[str], dict[str, list[str]]]:
    """The folders that only this layer has something in, and the other files by their folder."""
    others = {
        folder for other, layer in layers.items() if other != name for path in layer.files for folder in _above(path)
    }
    folders: dict[str, None] = {}
    files: dict[str, list[str]] = {}
    for path in sorted(layers[name].files):
        own = next((folder for folder in _above(path) if folder not in others), None)
        if own is None:
            files.setdefault(path.rpartition("/")[0], []).append(path)
        else:
            folders[own] = None
    return list(folders), files


def _above(path: str) -> list[str]:
    """``a/b/c``: ``a``, ``a/b``."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _parts(folders: Sequence[str]) -> list[Sequence[str]]:
    return [folders[start : start + _MOST] for start in range(0, max(1, len(folders)), _MOST)]


def _copy(bundle: str, folder: str, root: str) -> str:
    return _instruction([f"{bundle}/{folder}/"], f"/{root}/{folder}/")


def _copy_files(bundle: str, files: Mapping[str, Sequence[str]], root: str) -> list[str]:
    return [
        _instruction([f"{bundle}/{path}" for path in paths], f"/{root}/{folder}/" if folder else f"/{root}/")
        for folder, paths in files.items()
    ]


def _instruction(sources: Sequence[str], target: str) -> str:
    words = [*(_word(_pattern(one)) for one in sources), _word(target)]
    return f"COPY {json.dumps(words, ensure_ascii=False)}"


def _pattern(path: str) -> str:
    """A source is a pattern of Go's ``filepath.Match``."""
    return "".join(f"[{one}]" if one in "*?[" else "\\\\" if one == "\\" else one for one in path)


def _word(text: str) -> str:
    """Even in JSON, a word is read as a shell's: quotes and variables in it would be gone."""
    return re.sub(r"[\\$'\"]", r"\\\g<0>", text)


def _pairs(instruction: str, values: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        return f'"{text}"'

    pairs = [f"{name}={quoted(value)}" for name, value in values.items()]
    return f"{instruction} " + " \\\n    ".join(pairs)
