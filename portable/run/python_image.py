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
from collections.abc import Iterator
from pathlib import Path

from portable.build import pythons
from portable.build.image.documents import MANIFEST, descriptor, encoded, index, manifest
from portable.build.layers import FIXED_TIME
from portable.errors import ConfigError

__all__ = ["write_python_image"]

_LEFT_OUT = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "lib2to3"})
_STUBS = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libnss_files.so.2")
"""Part of the C library by now, and still asked for by what was linked before."""

_PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n"


def write_python_image(folder: Path, python: str, machine: str | None = None) -> Path:
    """Write an OCI layout with Python ``python`` (``"3.13"``) into a folder that is not there, and answer with it.

    ``machine``: what the image says it is for, ``amd64`` or ``arm64``, else this machine. Takes seconds. Raises
    ConfigError where that Python is not here, or the system is no Linux.
    """
    interpreter = pythons.interpreter(python)
    if interpreter is None or platform.system() != "Linux":
        raise ConfigError(f"no Python {python} for Linux is on this machine to make an image of")
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    scratch = folder / "layer"
    diff_id = _write_layer(scratch, Path(interpreter), python)
    layer = hashlib.sha256(scratch.read_bytes()).hexdigest()
    size = scratch.stat().st_size
    scratch.rename(blobs / layer)
    architecture = machine or {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = encoded(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHON_VERSION={pythons.full_version(interpreter)}"],
                "Cmd": ["python"],
            },
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created_by": f"Python {python} of this machine"}],
        }
    )
    document = encoded(manifest(config, [], [(f"sha256:{layer}", size)], {}))
    for data in (config, document):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    names = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_bytes(encoded(index([descriptor(MANIFEST, document, annotations=names)])))
    return folder


def _write_layer(file: Path, interpreter: Path, python: str) -> str:
    """A compressed tar, and the digest of what is compressed."""
    plain = file.with_suffix(".tar")
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
        for name in ("python", "python3"):
            entry = tarfile.TarInfo(f"usr/local/bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, f"python{python}"
            tar.addfile(entry)
    data = plain.read_bytes()
    plain.unlink()
    file.write_bytes(gzip.compress(data, 1, mtime=0))
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


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
        if _LEFT_OUT & {*parts} or parts[0].startswith("config-") or not file.is_file():
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
