"""An image with Debian's Python for another architecture than this machine's: a base for what QEMU then runs.

Its packages are fetched by ``apt-get download``, which checks their signed lists, with folders of its own: what this
machine has installed, and what it knows of packages, stay as they are.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from portable.errors import ConfigError
from portable.run.part import parts_directory
from portable.run.python_image import LEFT_OUT, add_link, scratch_file, write_layout

__all__ = ["PYTHON", "write_debian_image"]

PYTHON = "3.11"
"""The one of Debian 12: https://packages.debian.org/bookworm/python3"""

_PACKAGES = (
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    "libsqlite3-0",
    "libssl3",
    "libuuid1",
    f"python{PYTHON}-minimal",
    "zlib1g",
)
_WANTED = ("etc", "lib", "usr/bin", "usr/lib")
_UNREAD = LEFT_OUT | {"gconv", "engines-3", "ossl-modules"}


def write_debian_image(folder: Path, machine: str = "arm64") -> Path:
    """Write an OCI layout with Debian's Python for ``machine`` into a folder that is not there, and answer with it.

    Debian and OCI call the architectures alike: ``amd64``, ``arm64``. The packages are fetched once, and kept where
    parts are. Raises ConfigError where this machine is no Debian 12, or cannot fetch them.
    """
    packages = _fetched(machine)
    with scratch_file() as plain:
        with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
            written: set[str] = set()
            for package in packages:
                for entry, content in _entries(package):
                    if entry.name not in written:
                        written.add(entry.name)
                        tar.addfile(entry, content)
            for name in ("python", "python3"):
                add_link(tar, f"usr/bin/{name}", f"python{PYTHON}")
            temporary = tarfile.TarInfo("tmp")
            temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(temporary)
        return write_layout(folder, plain, machine, PYTHON, f"Python {PYTHON} of Debian")


def _entries(package: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """What a package holds that a program reads, each with its content where it is a file."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for entry in tar:
            path = PurePosixPath(entry.name)
            if not any(path.is_relative_to(one) for one in _WANTED) or _UNREAD & {*path.parts}:
                continue
            entry.name, entry.pax_headers = str(path), {}
            yield entry, tar.extractfile(entry) if entry.isfile() else None


def _fetched(machine: str) -> list[Path]:
    """The packages' files: those that are kept, else fetched. Of two processes at once, the first one's are taken."""
    place = parts_directory() / f"debian-python-{PYTHON}-{machine}"
    if not place.is_dir():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise ConfigError(f"Debian's Python for {machine} is fetched by apt-get of Debian 12, which is not here")
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".debian-", dir=place.parent) as scratch:
            fresh = Path(scratch) / "packages"
            fresh.mkdir()
            _fetch(machine, Path(scratch), fresh)
            try:
                fresh.rename(place)
            except OSError:
                if not place.is_dir():
                    raise
    return sorted(place.glob("*.deb"))


def _fetch(machine: str, scratch: Path, into: Path) -> None:
    status = scratch / "status"
    status.touch()
    for name in ("state/lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    said = {
        "APT::Architecture": machine,
        "APT::Architectures::": machine,
        "APT::Sandbox::User": "",  # the folders are this user's
        "Acquire::Languages": "none",
        "Dir::State": f"{scratch}/state",
        "Dir::State::status": str(status),
        "Dir::Cache": f"{scratch}/cache",
    }
    options = [word for name, value in said.items() for word in ("-o", f"{name}={value}")]
    for words in (["update"], ["download", *_PACKAGES]):
        command = ["apt-get", "-qq", *options, *words]
        done = subprocess.run(command, cwd=into, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            why = " ".join(done.stderr.split())[-500:]
            raise ConfigError(f"apt-get {words[0]} for {machine}: {why}; it takes Debian 12 and its mirror")
    if len(list(into.glob("*.deb"))) != len(_PACKAGES):
        raise ConfigError(f"apt-get gave not all of {', '.join(_PACKAGES)} for {machine}")
