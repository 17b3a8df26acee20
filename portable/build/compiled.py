"""Compiled files of a bundle: whether the place they are for can load them.

What is read: the header of an ELF file (its machine), its dynamic section (the C library it is linked against, and the
newest version of glibc whose symbols it asks for), and the tag CPython puts into the name of an extension module.
Layouts: System V ABI, chapters 4 and 5; tags: PEP 3149, PEP 384 and PEP 703.
"""

from __future__ import annotations

import mmap
import platform
import re
import struct
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from portable.build.vendor import Place
from portable.errors import BuildError

__all__ = ["check_compiled", "complaint"]

_MACHINES = {"x86_64": 62, "arm64": 183}
_NAMES = {3: "x86", 40: "arm", 62: "x86_64", 183: "arm64", 21: "ppc64", 22: "s390x", 243: "riscv"}
_IS_LIBRARY = re.compile(r"\.so(\.\d+)*$")
_TAG = re.compile(r"\.(?:cpython-(?P<version>\d\d+)(?P<flags>[a-z]*)|(?P<pypy>pypy\d+)-)(?P<system>[\w-]*)\.so$")
_GLIBC = re.compile(rb"\0GLIBC_2\.(\d+)")
_DYNAMIC, _LOAD = 2, 1  # types of program headers
_NEEDED, _STRTAB, _STRSZ = 1, 5, 10  # tags of the dynamic section


def check_compiled(root: Path, files: Collection[str], place: Place, owner: Callable[[str], str]) -> None:
    """Raise BuildError for the first compiled file among ``files`` below ``root`` that ``place`` cannot load.

    ``owner`` says whose a file is (``distribution numpy``). A module that is there for several versions of Python needs
    one that fits. Nothing is checked where the place is a machine that takes no ELF files.
    """
    if place.arch is None and sys.platform != "linux":
        return
    libraries = sorted(file for file in files if _IS_LIBRARY.search(file))
    for file in libraries:
        found = complaint(root / file, place)
        if found is None or _has_another(file, libraries, root, place):
            continue
        raise BuildError(
            f"{owner(file)}: {file} {found}, so {place} cannot load it; take a wheel that is built for it, or, where "
            f'nothing needs the file, name it under [tool.portable.prune] drop = ["{file}"]'
        )


def complaint(file: Path, place: Place) -> str | None:
    """What is wrong with a compiled file for a place; None when it can be loaded."""
    if found := _wrong_tag(file.name, place.python):
        return found
    with file.open("rb") as opened:
        head = opened.read(64)
        if head[:4] != b"\x7fELF":
            return "is no ELF file"
        if len(head) < 64 or head[4] != 2 or head[5] != 1:
            return "is no 64-bit little-endian ELF file"
        machine = int.from_bytes(head[18:20], "little")
        wanted = place.arch or {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        if machine != _MACHINES.get(wanted, machine):
            return f"is for {_NAMES.get(machine, f'machine {machine}')}, not {wanted}"
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                needed, strings = _linked(data, head)
            except (struct.error, ValueError, IndexError):
                return "is a damaged ELF file"
    if any(name.startswith("libc.musl") or name == "libc.so" for name in needed):
        return "is linked against musl, not glibc"
    newest = max((int(version) for version in _GLIBC.findall(strings)), default=0)
    if place.arch is not None and newest > place.glibc:
        return f"asks for glibc 2.{newest}, and there is 2.{place.glibc}"
    return None


def _wrong_tag(name: str, python: str) -> str | None:
    tag = _TAG.search(name)
    if tag is None:
        return None
    if tag["pypy"]:
        return "is for PyPy"
    if "musl" in tag["system"]:
        return "is linked against musl, not glibc"
    version = f"{tag['version'][0]}.{tag['version'][1:]}"
    if version != python:
        return f"is for Python {version}, not {python}"
    return "is for the free-threaded Python" if "t" in tag["flags"] else None


def _has_another(file: str, libraries: Collection[str], root: Path, place: Place) -> bool:
    """Whether the same module is there in a form that fits."""
    stem = file.rpartition("/")[0] + "/" + file.rpartition("/")[2].partition(".")[0] + "."
    others = [one for one in libraries if f"/{one}".startswith(f"/{stem.lstrip('/')}") and one != file]
    return any(complaint(root / one, place) is None for one in others)


def _linked(data: mmap.mmap, head: bytes) -> tuple[list[str], bytes]:
    """The libraries a file needs, and the strings of its dynamic section."""
    offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + index * size) for index in range(count)]
    dynamic = next((one for one in headers if one[0] == _DYNAMIC), None)
    if dynamic is None:
        return [], b""
    found: list[tuple[int, int]] = []
    for place in range(dynamic[2], dynamic[2] + dynamic[5], 16):
        tag, value = struct.unpack_from("<QQ", data, place)
        if tag == 0:
            break
        found.append((tag, value))
    values = dict(found)
    if _STRTAB not in values:
        return [], b""
    # The table's address in memory, as a place in the file.
    segment = next(one for one in headers if one[0] == _LOAD and one[3] <= values[_STRTAB] < one[3] + one[5])
    start = values[_STRTAB] - segment[3] + segment[2]
    strings = data[start : start + values.get(_STRSZ, 0)]
    names = [strings[value : strings.index(b"\0", value)].decode() for tag, value in found if tag == _NEEDED]
    return names, strings
