"""Compiled files: small ELF files written here, and those of real wheels for other machines."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portable.build import pythons
from portable.build.artifact import Wanted, build
from portable.build.compiled import check_compiled, complaint
from portable.build.project import Project
from portable.build.vendor import Place
from portable.errors import BuildError

Make = Callable[..., Project]
Wheels = Callable[..., Path]

X86_64, ARM64 = 62, 183
TAG = f"cpython-{pythons.CURRENT.replace('.', '')}-x86_64-linux-gnu"


def elf(
    machine: int = X86_64, needed: tuple[str, ...] = ("libc.so.6",), symbols: tuple[str, ...] = ("GLIBC_2.17",)
) -> bytes:
    """A shared library as far as it is read: a header, one segment, a dynamic section, its strings."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in (*needed, *symbols))
    start, dynamic = 64 + 2 * 56, 64 + 2 * 56 + len(strings)
    entries = [(1, strings.index(name.encode() + b"\0")) for name in needed]
    entries += [(5, 0x1000 + start), (10, len(strings)), (0, 0)]
    table = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    size = dynamic + len(table)
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0x1000, 0x1000, size, size, 4096)
    found = struct.pack("<IIQQQQQQ", 2, 4, dynamic, 0x1000 + dynamic, 0x1000 + dynamic, len(table), len(table), 8)
    return head + load + found + strings + table


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (f"fast.{TAG}.so", elf(), None),
        ("fast.abi3.so", elf(), None),
        ("libfast.so.1.2", elf(), None),
        ("fast.abi3.so", elf(ARM64), "is for arm64, not x86_64"),
        ("fast.abi3.so", elf(40), "is for arm, not x86_64"),
        ("fast.abi3.so", elf(needed=("libc.musl-x86_64.so.1",)), "is linked against musl, not glibc"),
        ("fast.abi3.so", elf(needed=("libm.so", "libc.so")), "is linked against musl, not glibc"),
        ("fast.abi3.so", elf(symbols=("GLIBC_2.3.4", "GLIBC_2.34")), "asks for glibc 2.34, and there is 2.28"),
        ("fast.cpython-38-x86_64-linux-gnu.so", elf(), f"is for Python 3.8, not {pythons.CURRENT}"),
        (f"fast.{TAG.replace('-x86', 't-x86')}.so", elf(), "is for the free-threaded Python"),
        ("fast.pypy310-pp73-x86_64-linux-gnu.so", elf(), "is for PyPy"),
        (f"fast.{TAG.replace('gnu', 'musl')}.so", elf(), "is linked against musl, not glibc"),
        ("fast.abi3.so", b"\xcf\xfa\xed\xfe" + bytes(60), "is no ELF file"),
        ("fast.abi3.so", b"", "is no ELF file"),
        ("fast.abi3.so", b"\x7fELF\1\1\1" + bytes(60), "is no 64-bit little-endian ELF file"),
        ("fast.abi3.so", elf()[:150], "is a damaged ELF file"),
    ],
)
def test_what_is_seen(tmp_path: Path, name: str, content: bytes, said: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    assert complaint(tmp_path / name, Place(pythons.CURRENT, "x86_64")) == said


def test_a_wrong_one_is_named(make_project: Make, target: Any, wheels: Wheels) -> None:
    wheels("fast", "1.0", more={"fast/_core.abi3.so": elf(ARM64)})
    project = make_project({"requirements.txt": "fast\n"})
    with pytest.raises(
        BuildError, match=r"distribution fast: fast/_core\.abi3\.so is for arm64, not x86_64, so Python"
    ):
        build(project, target)
    assert not (project.root / "dist/plain").exists()
    build(project, target, Wanted(arch="arm64"))
    text = "[tool.portable.prune]\ndrop = ['fast/_core*.so']\n"
    dropped = build(make_project({"requirements.txt": "fast\n", "pyproject.toml": text}), target)
    assert [(one.rule, one.distribution, one.files) for one in dropped.dropped if one.rule == "drop"] == [
        ("drop", "fast", 1)
    ]


def test_one_for_each_version(make_project: Make, target: Any, wheels: Wheels) -> None:
    more = {f"fast/_core.{TAG}.so": elf(), "fast/_core.cpython-38-x86_64-linux-gnu.so": elf()}
    wheels("fast", "1.0", more=more)
    assert build(make_project({"requirements.txt": "fast\n"}), target).lock == ["fast==1.0"]


def test_the_projects_own(make_project: Make, target: Any) -> None:
    with pytest.raises(BuildError, match=r"the project: own/fast\.abi3\.so is for arm64"):
        build(make_project({"own/fast.abi3.so": elf(ARM64)}), target)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("x86_64-manylinux_2_28", None),
        ("aarch64-manylinux_2_28", "is for arm64, not x86_64"),
        ("x86_64-unknown-linux-musl", "is linked against musl, not glibc"),
        ("aarch64-apple-darwin", "is no ELF file"),
    ],
)
def test_real_wheels(tmp_path: Path, platform: str, said: str | None) -> None:
    uv = pythons.uv_command()
    assert uv is not None
    command = [uv, "pip", "install", "--quiet", "--python-version", "3.13", "--python-platform", platform, "--no-deps"]
    subprocess.run([*command, "--only-binary", ":all:", "--target", tmp_path, "markupsafe==3.0.2"], check=True)
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(file.endswith(".so") for file in files)
    if said is None:
        check_compiled(tmp_path, files, Place("3.13", "x86_64"), str)
    else:
        with pytest.raises(BuildError, match=said):
            check_compiled(tmp_path, files, Place("3.13", "x86_64"), str)
