"""What of a dependency no deployed function needs, by rules that can each be switched.

``[tool.portable.prune]``: ``tests``, ``headers``, ``stubs`` and ``metadata`` are on, ``docs`` is off. ``keep`` names
distributions that stay whole, ``drop`` patterns of further files that go. Licences stay whatever the rules say.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from portable.build.project import Project, nearest
from portable.build.requirements import canonical
from portable.errors import ConfigError

__all__ = ["Dropped", "Owners", "Rules", "drop_named", "dropped_document", "prune", "read_rules", "test_imports"]

_WHY = {
    "tests": "tests of a package, which nothing in the bundle imports",
    "headers": "C and Cython sources, which are read when something is compiled against them",
    "stubs": "type stubs, which type checkers read",
    "metadata": "what installers and people read of a distribution; importlib.metadata and licences stay whole",
    "docs": "documentation",
    "drop": "named by [tool.portable.prune] drop",
    "data": "an SDK's data about services the app does not use",
}
_LICENCE = re.compile(
    r"licen[cs]e|copying|copyright|notice|authors|patents|eula|third.?party|3rd.?party", re.IGNORECASE
)
_HEADERS = frozenset(
    [
        ".h",
        ".hh",
        ".hpp",
        ".hxx",
        ".cuh",
        ".inl",
        ".c",
        ".cc",
        ".cpp",
        ".cxx",
        ".cu",
        ".f",
        ".f90",
        ".pyx",
        ".pxd",
        ".pxi",
        ".a",
        ".la",
        ".lib",
        ".pc",
        ".cmake",
    ]
)
_COMPILE_LATER = frozenset(
    ("cffi", "cupy", "jax", "jaxlib", "numba", "pycuda", "pyopencl", "pythran", "tensorflow", "torch", "triton")
)
"""Distributions that compile against their own headers while they run."""

_TESTS = ("test", "tests")
_DOCS = ("doc", "docs", "examples")
_TEXTS = (".md", ".rst", ".adoc")
_METADATA = ("METADATA", "RECORD", "entry_points.txt", "top_level.txt")
_READS_STUBS = re.compile(rb"attach_stub|[\"'][^\"'\n]*\.pyi[\"']")
_IMPORTS_TESTS = re.compile(rb"^[ \t]*(?:from|import)[ \t].*\btests?\b", re.MULTILINE)


class Rules(msgspec.Struct, frozen=True):
    """Which rules apply; see the module."""

    tests: bool = True
    headers: bool = True
    stubs: bool = True
    metadata: bool = True
    docs: bool = False
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Dropped(msgspec.Struct, frozen=True):
    """What one rule took from one distribution: how many files, their bytes, and why."""

    rule: str
    distribution: str
    files: int
    size: int

    @property
    def why(self) -> str:
        """What the rule is about."""
        return _WHY[self.rule]


def read_rules(project: Project) -> Rules:
    """``[tool.portable.prune]``. Raises ConfigError with the line."""
    table = project.table("prune")
    if not isinstance(table, Mapping):
        raise ConfigError(f"{project.where('prune')}: [tool.portable.prune] is a table of rules, got {table!r}")
    for key, value in table.items():
        where = project.where("prune", key)
        if key not in Rules.__struct_fields__:
            raise ConfigError(f"{where}: there is no rule {key!r} to prune by{nearest(key, Rules.__struct_fields__)}")
        if key in ("keep", "drop"):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ConfigError(f"{where}: prune.{key} is a list of texts, got {value!r}")
        elif not isinstance(value, bool):
            raise ConfigError(f"{where}: prune.{key} is true or false, got {value!r}")
    rules: Rules = msgspec.convert(dict(table), Rules)
    return msgspec.structs.replace(rules, keep=tuple(sorted(map(canonical, rules.keep))))


class Owners:
    """Which distribution each file of a folder of packages is of, as its RECORD says."""

    def __init__(self, root: Path) -> None:
        self._names: dict[str, str] = {}
        self._below: dict[str, set[str]] = {}
        for record in sorted(root.glob("*.dist-info/RECORD")):
            name = canonical(record.parent.name.partition("-")[0])
            for row in csv.reader(io.StringIO(record.read_text("utf-8"))):
                self._names.setdefault(row[0], name)

    def __call__(self, file: str) -> str:
        """The canonical name, "" when no RECORD has the file."""
        if file not in self._names and ".dist-info/" in file:
            return canonical(file.partition("-")[0])
        return self._names.get(file, "")

    def of_modules(self, names: Iterable[str]) -> set[str]:
        """The distributions that hold the modules of these dotted names, or the nearest packages around them."""
        if not self._below:
            for file, owner in self._names.items():
                path = file.removesuffix("/__init__.py").removesuffix(".py")
                for end in range(1, path.count("/") + 2):
                    self._below.setdefault("/".join(path.split("/")[:end]).partition(".")[0], set()).add(owner)
        found: set[str] = set()
        for name in names:
            parts = name.split(".")
            while parts and "/".join(parts) not in self._below:
                parts.pop()
            found |= self._below.get("/".join(parts), set())
        return found


def test_imports(contents: Iterable[tuple[str, bytes]]) -> frozenset[str]:
    """Dotted names with a part ``test`` or ``tests`` that some sources import; ``contents``: path and bytes of each."""
    found: set[str] = set()
    for path, data in contents:
        if not _IMPORTS_TESTS.search(data):
            continue
        try:
            tree = ast.parse(data)
        except (SyntaxError, ValueError):
            continue
        package = path.removesuffix(".py").replace("/", ".").split(".")[:-1]
        for node in ast.walk(tree):
            found.update(name for name in _imported(node, package) if not set(_TESTS).isdisjoint(name.split(".")))
    return frozenset(found)


def drop_named(root: Path, rules: Rules, owner: Callable[[str], str]) -> list[Dropped]:
    """Remove what ``drop`` names. Raises ConfigError for a pattern of nothing."""
    files = _files(root)
    for pattern in rules.drop:
        if not any(fnmatchcase(file, pattern) for file in files):
            raise ConfigError(f"[tool.portable.prune] drop: no file of a dependency is {pattern!r}")
    return _remove(root, {file: "drop" for file in files if any(fnmatchcase(file, one) for one in rules.drop)}, owner)


def prune(root: Path, rules: Rules, owner: Callable[[str], str], imported: Iterable[str] = ()) -> list[Dropped]:
    """Remove from installed dependencies what the rules say, and answer with what that was.

    ``imported``: names of test modules that the project itself imports.
    """
    files = _files(root)
    sources = {file: (root / file).read_bytes() for file in files if file.endswith(".py")}
    tests = set(_test_folders(files, sources, imported, owner)) if rules.tests else set()
    read_stubs = {file.partition("/")[0] for file, data in sources.items() if _READS_STUBS.search(data)}
    gone: dict[str, str] = {}
    for file in files:
        if owner(file) not in rules.keep and (rule := _rule_of(file, rules, tests, read_stubs, owner(file))):
            gone[file] = rule
    dropped = _remove(root, gone, owner)
    return [*dropped, *_trim_metadata(root, rules, owner)]


def dropped_document(dropped: Iterable[Dropped]) -> bytes:
    """What was pruned, as JSON: the artifact's ``report/pruned.json``."""
    rows = [{**msgspec.structs.asdict(one), "why": one.why} for one in dropped]
    return msgspec.json.format(msgspec.json.encode(rows)) + b"\n"


def _rule_of(file: str, rules: Rules, tests: set[str], read_stubs: set[str], distribution: str) -> str | None:
    *folders, name = file.split("/")
    suffix = name[name.rfind(".") :] if "." in name else ""
    if folders and folders[0].endswith(".dist-info"):
        kept = name in _METADATA or _is_licence(file)
        return "metadata" if rules.metadata and not kept else None
    if _is_licence(file):
        return None
    if any("/".join(folders[: depth + 1]) in tests for depth in range(len(folders))):
        return "tests"
    if rules.headers and suffix in _HEADERS and distribution not in _COMPILE_LATER:
        return "headers"
    if rules.stubs and (suffix == ".pyi" or name == "py.typed") and file.partition("/")[0] not in read_stubs:
        return "stubs"
    documents = suffix in _TEXTS or (suffix != ".py" and any(folder in _DOCS for folder in folders))
    return "docs" if rules.docs and documents else None


def _is_licence(file: str) -> bool:
    """By its name, or that of a folder of licences; code that is called so is no licence."""
    *folders, name = file.split("/")
    in_folder = any(folder.lower() in ("licenses", "licences", "license_files") for folder in folders)
    return (in_folder or bool(_LICENCE.match(name))) and not name.endswith((".py", ".so", ".pyi", ".h", ".c"))


def _test_folders(
    files: Iterable[str], sources: Mapping[str, bytes], imported: Iterable[str], owner: Callable[[str], str]
) -> Iterator[str]:
    """Folders of tests that nothing outside of folders of tests imports."""
    folders = {found for file in files if (found := _outermost(file))}
    outside = ((file, data) for file, data in sources.items() if not _outermost(file))
    wanted = {*imported, *test_imports(outside)}
    tops: dict[str, set[str]] = {}
    for file in files:
        tops.setdefault(owner(file), set()).add(file.partition("/")[0])
    for folder in folders:
        dotted = folder.replace("/", ".")
        if any(f"{name}.".startswith(f"{dotted}.") for name in wanted):
            continue
        # A package that is itself called so is what the distribution is about, unless it brings another.
        of = next((tops[owner(file)] for file in files if file.startswith(f"{folder}/")), set())
        if "/" in folder or any(top != folder and not top.endswith(".dist-info") for top in of):
            yield folder


def _outermost(file: str) -> str:
    """The folder of tests a file lies in, "" for none."""
    folders = file.split("/")[:-1]
    for depth, name in enumerate(folders):
        if name in _TESTS:
            return "/".join(folders[: depth + 1])
    return ""


def _imported(node: ast.AST, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        start = ".".join([*base, *([node.module] if node.module else [])])
        yield start
        yield from (f"{start}.{alias.name}" for alias in node.names)


def _trim_metadata(root: Path, rules: Rules, owner: Callable[[str], str]) -> list[Dropped]:
    """Descriptions leave METADATA; RECORD keeps the names of what is there, without hashes, which the manifest has."""
    found = []
    for record in sorted(root.glob("*.dist-info/RECORD")):
        name = owner(f"{record.parent.name}/RECORD")
        trimmed = rules.metadata and name not in rules.keep
        rows = [row for row in csv.reader(io.StringIO(record.read_text("utf-8"))) if (root / row[0]).is_file()]
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(sorted([row[0], "", ""] if trimmed else row for row in rows))
        before, size = record.stat().st_size, 0
        record.write_text(out.getvalue(), "utf-8")
        size += before - record.stat().st_size
        described = record.with_name("METADATA")
        if trimmed and described.is_file():
            text = described.read_bytes()
            head = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[0] + b"\n"
            described.write_bytes(head)
            size += len(text) - len(head)
        if trimmed and size > 0:
            found.append(Dropped("metadata", name, 0, size))
    return found


def _remove(root: Path, gone: Mapping[str, str], owner: Callable[[str], str]) -> list[Dropped]:
    totals: dict[tuple[str, str], list[int]] = {}
    for file, rule in gone.items():
        count = totals.setdefault((rule, owner(file)), [0, 0])
        count[0] += 1
        count[1] += (root / file).stat().st_size
        (root / file).unlink()
    for folder in sorted({parent for file in gone for parent in (root / file).parents}, reverse=True):
        if folder != root and folder.is_relative_to(root) and not any(folder.iterdir()):
            folder.rmdir()
    return [Dropped(rule, name, *count) for (rule, name), count in sorted(totals.items())]


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
