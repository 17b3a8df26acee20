"""Finds this framework's modules in the one file a build has put their bytecode into.

A cold start on Lambda imports some thirty of them. To find a file, open it, and see that its bytecode is the right one
takes the interpreter longer than most of them take to run. An entry calls :func:`install` first; in a source tree, and
under an interpreter of another version, it does nothing, and modules are found as ever.

The file is the magic number of the bytecode, four bytes that say how long the index is, the index, and the modules.
"""

from __future__ import annotations

from _frozen_importlib import ModuleSpec
from marshal import loads
from sys import meta_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["FILE", "install"]

FILE = "shipped.bin"
"""Beside this module. The index is a dict: from a module's name to where its bytecode is and how long, and its path in
the bundle."""


class Shipped:
    """A finder and a loader, for the import system."""

    __slots__ = ("_file", "_index", "_root")

    def __init__(self, file: int, index: dict[str, tuple[int, int, str]], root: str) -> None:
        self._file = file
        self._index = index
        self._root = root

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Where a module of ours is. None for any other."""
        row = self._index.get(name)
        if row is None:
            return None
        origin = self._root + row[2]
        spec = ModuleSpec(name, self, origin=origin)  # type: ignore[arg-type]
        spec.has_location = True
        if origin.endswith("/__init__.py"):
            spec.submodule_search_locations = [origin[:-12]]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002
        """The usual module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run its code."""
        from posix import pread

        offset, length, _ = self._index[module.__name__]
        exec(loads(pread(self._file, length, offset)), module.__dict__)  # noqa: S102, S302 - the build compiled it


def install() -> bool:
    """Find modules in the file, where it is there and of this interpreter. Whether it is."""
    from _frozen_importlib_external import MAGIC_NUMBER
    from posix import O_CLOEXEC, O_RDONLY, close, pread
    from posix import open as open_file

    folder = __file__.rpartition("/")[0]
    try:
        file = open_file(f"{folder}/{FILE}", O_RDONLY | O_CLOEXEC)
    except OSError:
        return False
    head = pread(file, 8, 0)
    if head[:4] != MAGIC_NUMBER:
        close(file)
        return False
    index = loads(pread(file, int.from_bytes(head[4:], "little"), 8))  # noqa: S302 - the build wrote it
    meta_path.insert(0, Shipped(file, index, folder.rpartition("/")[0] + "/"))
    return True
