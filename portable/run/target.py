"""What an adapter says to a run: ``portable_<name>.run.RUNNER``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from portable.manifest import Manifest

__all__ = ["Artifact", "Holding", "InvocationError", "Runner", "Running", "Streaming", "open_artifact"]


class InvocationError(Exception):
    """A function's invocation failed as a whole. ``kind`` is the error's type as the runtime client names it."""

    def __init__(self, kind: str, message: str, trace: str = "") -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.trace = trace


class Artifact:
    """A built ``dist/<target>``.

    Attributes:
        folder: its path. target: the target's name. python: the version it was built for (``"3.13"``).
        manifest: of the app. bundles: folder of each bundle by its name.
        functions: the name of the bundle each function is in. sources: the event source that calls each function.
        environment: what the settings give to each function that has any, by its name.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        python: str,
        manifest: Manifest,
        bundles: Mapping[str, Path],
        functions: Mapping[str, str],
        sources: Mapping[str, str],
        environment: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        self.target = target
        self.python = python
        self.manifest = manifest
        self.bundles = bundles
        self.functions = functions
        self.sources = sources
        self.environment = environment or {}

    @property
    def variables(self) -> dict[str, str]:
        """What any function has of the settings, as one environment: of two values, the last function's."""
        return {name: value for own in self.environment.values() for name, value in own.items()}

    def bundle_of(self, function: str) -> Path:
        """The folder a function is deployed from."""
        return self.bundles[self.functions[function]]


class Running(Protocol):
    """A built artifact running under its cloud's own runtime client, on loopback. Safe under threads.

    Attributes:
        parts: the real parts in use and their versions (``{"awslambdaric": "4.0.0"}``).
    """

    parts: Mapping[str, str]

    def invoke(self, function: str, native: Any, *, timeout: float | None = None) -> Any:
        """Give a function a native event (see ``portable.samples``), and return its native answer.

        Processes are started on the first use of a function. Raises InvocationError when the invocation failed, and
        for ``Timeout`` when it took longer than ``timeout`` seconds.
        """

    def log(self) -> str:
        """What the processes printed so far."""

    def close(self) -> None:
        """End every process, by its id."""


class Streaming(Running, Protocol):
    """A ``Running`` that hands over an answer while it is made; one that cannot leaves the method out."""

    def stream(self, function: str, native: Any, *, timeout: float | None = None) -> tuple[Any, Iterator[bytes]]:
        """Give an HTTP function a native event: its native answer without a body, and the pieces of that as they come.

        The iterator has ``close``, which hangs up, and raises OSError or HTTPException where the answer broke off.
        ``timeout`` is seconds for all of it. Raises InvocationError for what fails before the first piece.
        """


class Holding(Running, Protocol):
    """A ``Running`` whose processes may hold websockets; one where only a gateway does leaves the method out."""

    def holder(self, function: str) -> int | None:
        """The port of this machine where a function's websockets are taken; None where a gateway has to hold them.

        Raises InvocationError for a process that does not start.
        """


class Runner(Protocol):
    """Runs one cloud's artifacts here.

    Attributes:
        parts: names in ``portable.run.parts`` this runner needs. emulators: those its resources need.
        chosen: a method of the artifact that gives the runner for it, of a target whose settings choose its drivers.
            variables: environment by which the adapter's ``platform`` opens those. Both may be left out.
    """

    parts: Sequence[str]
    emulators: Sequence[str]

    def start(self, artifact: Artifact, environment: Mapping[str, str], log: Path) -> Running:
        """Run an artifact with this environment added to a clean one. Raises ConfigError naming a missing part."""

    def emulate(self, manifest: Manifest, folder: Path) -> AbstractContextManager[Mapping[str, str]]:
        """Start the emulators the app's resources need, create the resources, and give the environment (addresses,
        endpoints, dummy credentials) with which a bundle and a platform reach them.
        """


def open_artifact(folder: Path) -> Artifact:
    """Read ``dist/<target>``. Raises ConfigError when it is no artifact."""
    import msgspec

    from portable.errors import ConfigError

    if not (folder / "manifest.json").is_file():
        raise ConfigError(
            f"{folder} is no artifact: it has no manifest.json; `portable build` writes one to dist/<target>"
        )
    try:
        document = msgspec.json.decode((folder / "manifest.json").read_bytes())
        manifest = msgspec.convert(document["app"], Manifest)
        bundles = document["bundles"]  # {name: {"path": "bundle", "sources": {function: source}}}
        return Artifact(
            folder.resolve(),
            document["target"],
            document["inputs"]["python"],
            manifest,
            {name: folder.resolve() / bundle["path"] for name, bundle in bundles.items()},
            {function: name for name, bundle in bundles.items() for function in bundle["sources"]},
            {function: source for bundle in bundles.values() for function, source in bundle["sources"].items()},
            document.get("environment"),
        )
    except (OSError, KeyError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{folder} is no artifact ({error}); `portable build` writes one to dist/<target>") from error
