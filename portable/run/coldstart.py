"""Cold starts of a built artifact, under its cloud's own runtime client, on this machine.

Measured is a function's first invocation by ``portable.run``: from before the client's process is started until its
answer is here, with a sample event of its first trigger. The cloud adds what it does before a process runs (fetching
the bundle, making the sandbox), and its processors are others: what counts is how figures compare, made on one machine.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from portable.build.budget import Measured
from portable.errors import ConfigError
from portable.plugins import adapter
from portable.run.deployment import chosen_runner, given_addresses
from portable.run.imports import load_function
from portable.run.target import Artifact, InvocationError, Runner, open_artifact
from portable.samples.neutral import sample_event

__all__ = ["ColdStart", "measure", "measure_cold_starts"]

RUNS = 5
_SECONDS = 60.0


class ColdStart(msgspec.Struct, frozen=True):
    """Of one function: seconds of each run; ``failure``: what its handler made of the sample event, "" when it took it.

    A failed first invocation is timed all the same: its process was started and the app imported.
    """

    function: str
    seconds: Sequence[float]
    failure: str = ""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


def measure_cold_starts(
    folder: Path, runs: int = RUNS, variables: Mapping[str, str] | None = None
) -> tuple[list[ColdStart], Mapping[str, str]]:
    """Start each function of ``dist/<target>`` ``runs`` times after once for the disk's sake; with the parts in use.

    Its resources are emulators', unless the environment has their addresses; ``variables`` are laid over those of its
    functions' settings. Raises ConfigError for a missing part.
    """
    artifact = open_artifact(folder)
    found = adapter(artifact.target)
    runner = chosen_runner(found.run, artifact)
    addresses = given_addresses(artifact.manifest)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portable-", ignore_cleanup_errors=True)))
        environment: Mapping[str, str] = {**getattr(runner, "variables", {}), **(addresses or {})}
        if addresses is None:
            environment = stack.enter_context(runner.emulate(artifact.manifest, scratch))
        environment = {**artifact.variables, **environment, **(variables or {})}
        used: dict[str, str] = {}
        starts = []
        for function in artifact.manifest.functions:
            event = found.samples.native(function, sample_event(function), source=artifact.sources[function.name])
            log = scratch / f"{function.name}.log"
            timed = [_start(runner, artifact, environment, log, function.name, event, used) for _ in range(runs + 1)][
                1:
            ]
            starts.append(ColdStart(function.name, [seconds for seconds, _ in timed], timed[-1][1]))
    return starts, used


def measure(folder: Path, wanted: Collection[str] = ("imports", "cold_start")) -> Measured:
    """What a budget may bound, of a new artifact; that it cannot be measured here is part of the answer."""
    artifact = open_artifact(folder)
    target = adapter(artifact.target).build
    imports: dict[str, int] = {}
    starts: list[ColdStart] = []
    try:
        for function in artifact.manifest.functions if "imports" in wanted else ():
            imports[function.name] = load_function(artifact, target, function.name, 1).modules
        if "cold_start" in wanted:
            starts, _ = measure_cold_starts(folder)
    except ConfigError as error:
        return Measured(imports=imports, unknown=str(error))
    return Measured({one.function: one.median for one in starts}, imports)


def _start(
    runner: Runner,
    artifact: Artifact,
    environment: Mapping[str, str],
    log: Path,
    function: str,
    event: Any,
    used: dict[str, str],
) -> tuple[float, str]:
    """Seconds until the first answer, and why there is none."""
    failure = ""
    running = runner.start(artifact, environment, log)
    try:
        used.update(running.parts)
        begun = time.perf_counter()
        try:
            running.invoke(function, event, timeout=_SECONDS)
        except InvocationError as error:
            failure = f"{error.kind}: {error.message}"
        seconds = time.perf_counter() - begun
    finally:
        running.close()
    return seconds, failure
