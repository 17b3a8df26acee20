"""Bytecode that ships: ``.pyc`` files of the artifact's Python version, never checked against their source.

A file system that takes no ``__pycache__`` (or a zip, which keeps no usable time stamp) would have every cold start
compile everything again. Each set of files is compiled by fresh interpreters in one order: what ``marshal`` writes
depends on which strings the interpreter has met before, so equal inputs give equal bytes only that way.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec

from portable import shipped
from portable.build import pythons
from portable.build.caches import user_cache
from portable.errors import BuildError

__all__ = ["Compiler", "SourceError", "compile_files", "find_compiler", "ship"]

# Runs under the artifact's interpreter, without its site-packages. Takes a folder and which half of its sources is
# meant, writes their .pyc files and answers with [[file, line, message], …] for what is no Python of this version.
_SCRIPT = """
import json, marshal, os, sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
root, half, halves = sys.argv[1:]
os.chdir(root)
files = []
for folder, folders, names in os.walk("."):
    files += [os.path.join(folder, name)[2:].replace(os.sep, "/") for name in names if name.endswith(".py")]
files.sort()
if halves == "2":
    middle = len(files) // 2
    files = files[:middle] if half == "0" else files[middle:]
failed, made = [], set()
for file in files:
    with open(file, "rb") as source:
        text = source.read()
    try:
        code = compile(text, file, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError) as error:
        failed.append([file, getattr(error, "lineno", None) or 1, getattr(error, "msg", str(error))])
        continue
    target = cache_from_source(file)
    folder = os.path.dirname(target)
    if folder not in made:
        os.makedirs(folder, exist_ok=True)
        made.add(folder)
    with open(target, "wb") as out:
        out.write(MAGIC_NUMBER + b"\\1\\0\\0\\0" + source_hash(text) + marshal.dumps(code))
print(json.dumps(failed))
"""

_FEW = 24
"""Sources that one interpreter compiles before a second has started."""


class Compiler(msgspec.Struct, frozen=True):
    """An interpreter of the artifact's version. ``version`` is its full one (``3.13.2``)."""

    path: Path
    version: str


class SourceError(msgspec.Struct, frozen=True):
    """A file that is no Python of the artifact's version."""

    file: str
    line: int
    message: str


def find_compiler(python: str) -> Compiler | None:
    """The interpreter of a version (``3.13``), None when this machine has none.

    Asking interpreters for their version takes longer than a build: the answer is kept for as long as the file stays
    the same.
    """
    memo = user_cache() / "build" / f"python-{python}.json"
    with suppress(OSError, ValueError, KeyError):
        known = json.loads(memo.read_text("utf-8"))
        if known["stamp"] == _stamp(Path(known["path"])):
            return Compiler(Path(known["path"]), known["version"])
    path = pythons.interpreter(python)
    version = pythons.full_version(path) if path else None
    if path is None or version is None:
        return None
    with suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True)
        fresh = memo.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"path": str(path), "version": version, "stamp": _stamp(path)}), "utf-8")
        fresh.replace(memo)
    return Compiler(path, version)


def compile_files(compiler: Compiler, root: Path) -> list[SourceError]:
    """Write the ``.pyc`` of each source below ``root`` beside it. Answers with those that do not compile.

    Two interpreters share the work, always in the same way, where it is more than starting one. Raises BuildError when
    one itself fails.
    """
    halves = 2 if sum(1 for _ in root.rglob("*.py")) > _FEW else 1
    command: list[str | Path] = [compiler.path, "-I", "-S", "-W", "ignore", "-X", "utf8", "-c", _SCRIPT, root]
    running = [
        subprocess.Popen(
            [*command, str(half), str(halves)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
        )
        for half in range(halves)
    ]
    said = [half.communicate() for half in running]
    found = []
    for half, (out, error) in zip(running, said, strict=True):
        if half.returncode != 0:
            raise BuildError(f"{compiler.path} could not compile the bundle:\n{error.strip()}")
        found += [SourceError(*one) for one in json.loads(out)]
    return found


def ship(root: Path) -> None:
    """Put the bytecode of the packages below ``root`` into one file, for ``portable.shipped``, in place of ``.pyc``s.

    The two modules that find it are left as they are.
    """
    index: dict[str, tuple[int, int, str]] = {}
    found: list[bytes] = []
    magic = b""
    compiled = {}
    for file in sorted(root.rglob("*.pyc")):
        source = file.parent.parent / (file.name.partition(".")[0] + ".py")
        path = source.relative_to(root).as_posix()
        if path not in ("portable/__init__.py", "portable/shipped.py"):
            compiled[path] = file
    for path, file in compiled.items():
        data = file.read_bytes()
        magic, code = data[:4], data[16:]
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        index[name] = (0, len(code), path)
        found.append(code)
        file.unlink()
        with suppress(OSError):
            file.parent.rmdir()
    offset = 8 + len(_index(index))
    for name, (_, length, path) in index.items():
        index[name] = (offset, length, path)
        offset += length
    head = _index(index)
    (root / "portable" / shipped.FILE).write_bytes(magic + len(head).to_bytes(4, "little") + head + b"".join(found))


def _index(index: dict[str, tuple[int, int, str]]) -> bytes:
    """In version 2 its length hangs on no number in it, nor its bytes on what the interpreter has met before."""
    return marshal.dumps(index, 2)


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_mtime_ns, found.st_size]
