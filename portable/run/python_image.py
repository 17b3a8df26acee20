"""An image with a Python of this machine and nothing else: a base where none can be pulled, for Linux.

It holds the interpreter, its standard library without what only development takes, and the libraries of the system that
these are linked to: no shell and no packages, so that what runs on it needs neither.
"""

from __future__ import annotations

import gzip
import hashlib
import platform
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portable.build import pythons
from portable.build.image.documents import MANIFEST, descriptor, encoded, index, manifest
from portable.build.image.store import hashed
from portable.build.layers import FIXED_TIME
from portable.errors import ConfigError

__all__ = ["LEFT_OUT", "add_link", "scratch_file", "write_layout", "write_python_image"]

LEFT_OUT = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "lib2to3"})
"""Folders of a standard library that only development takes."""

_STUBS = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libnss_files.so.2")
"""Part of the C library by now, and still asked for by what was linked before."""


def write_python_image(folder: Path, python: str, machine: str | None = None) -> Path:
    """Write an OCI layout with Python ``python`` (``"3.13"``) into a folder that is not there, and answer with it.

    ``machine``: what the image says it is for, ``amd64`` or ``arm64``, else this machine. Takes seconds. Raises
    ConfigError where that Python is not here, or the system is no Linux.
    """
    interpreter = pythons.interpreter(python)
    if interpreter is None or platform.system() != "Linux":
        raise ConfigError(f"no Python {python} for Linux is on this machine to make an image of")
    with scratch_file() as plain:
        _write_layer(plain, Path(interpreter), python)
        architecture = machine or {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        version = pythons.full_version(interpreter) or python
        return write_layout(folder, plain, architecture, version, f"Python {python} of this machine")


@contextmanager
def scratch_file() -> Iterator[Path]:
    """A file for a layer that is not compressed yet."""
    with tempfile.TemporaryDirectory(prefix="portable-layer-") as scratch:
        yield Path(scratch) / "layer.tar"


def write_layout(folder: Path, plain: Path, machine: str, version: str, said: str) -> Path:
    """Write the OCI layout of an image of one layer, a tar that is not compressed, and answer with the folder.

    ``machine``: as OCI calls it. ``version``: of its Python. ``said``: what the layer is, in the image's history.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> bytes:
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return data

    tar = plain.read_bytes()
    layer = put(gzip.compress(tar, 1, mtime=0))
    config = put(
        encoded(
            {
                "architecture": machine,
                "os": "linux",
                "config": {
                    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHON_VERSION={version}"],
                    "Cmd": ["python"],
                },
                "rootfs": {"type": "layers", "diff_ids": [hashed(tar)]},
                "history": [{"created_by": said}],
            }
        )
    )
    document = put(encoded(manifest(config, [], [(hashed(layer), len(layer))], {})))
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    names = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_bytes(encoded(index([descriptor(MANIFEST, document, annotations=names)])))
    return folder


def _write_layer(plain: Path, interpreter: Path, python: str) -> None:
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("etc", "tmp", "usr", "usr/local"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755, FIXED_TIME
            tar.addfile(entry)
        written: set[str] = set()
        for name, source in _files(interpreter, python):
            if name not in written:
                written.add(name)
                # With its own time: the standard library's bytecode is checked against it.
                tar.add(source, name, recursive=False, filter=_of_root)
        add_link(tar, "usr/local/bin/python", f"python{python}")
        add_link(tar, "usr/local/bin/python3", f"python{python}")


def add_link(tar: tarfile.TarFile, name: str, to: str) -> None:
    """Put a symbolic link into a layer."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    tar.addfile(entry)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _files(interpreter: Path, python: str) -> Iterator[tuple[str, Path]]:
    """Where each file goes, and where it is."""
    asked = [str(interpreter), "-c", "import sys; print(sys.base_prefix); print(sys.executable)"]
    prefix, executable = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    binary = Path(executable).resolve()
    yield f"usr/local/bin/python{python}", binary
    linked = [binary]
    library = Path(prefix) / "lib" / f"python{python}"
    for file in sorted(library.rglob("*")):
        parts = file.relative_to(library).parts
        if LEFT_OUT & {*parts} or parts[0].startswith("config-") or not file.is_file():
            continue
        yield f"usr/local/lib/python{python}/{'/'.join(parts)}", file.resolve()
        if file.suffix == ".so":
            linked.append(file)
    needed = _linked_to(linked)
    yield from sorted(needed.items())
    system = next(source.parent for name, source in needed.items() if name.endswith("/libc.so.6"))
    for stub in _STUBS:
        if (system / stub).exists():
            yield str(system / stub).lstrip("/"), (system / stub).resolve()


def _linked_to(files: list[Path]) -> dict[str, Path]:
    """The libraries of the system that some files are linked to, and the loader, by their place."""
    said = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    found = re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE)
    return {path.lstrip("/"): Path(path).resolve() for path in found}
