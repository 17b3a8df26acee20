"""``portable verify``: one project built for every target, each run, all sent the same traffic, and compared."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from portable.build.project import Project
from portable.errors import PortableError
from portable.plugins import adapters
from portable.run import traffic
from portable.run.building import build_to_run
from portable.run.comparison import (
    Difference,
    Observation,
    compare,
    observe_outcome,
    observe_response,
    observe_settled,
    observe_storage,
)
from portable.run.deployment import Deployment, deployed
from portable.run.target import open_artifact
from portable.run.traffic import EventStep, RequestStep, SettleStep, Step
from portable.samples.neutral import event_of

__all__ = ["Report", "TargetReport", "verify"]

Say = Callable[[str], object]


class TargetReport(msgspec.Struct, frozen=True):
    """One target: what its artifact was built for, the real parts in use with their versions, seconds it took."""

    target: str
    python: str
    parts: dict[str, str]
    seconds: float


class Report(msgspec.Struct, frozen=True):
    """What ``verify`` found. ``source``: where the traffic came from."""

    app: str
    source: str
    steps: int
    targets: list[TargetReport]
    differences: list[Difference]

    @property
    def undeclared(self) -> list[Difference]:
        """The differences that count."""
        return [one for one in self.differences if not one.declared]

    @property
    def status(self) -> int:
        """The command's exit status: 1 when there is a difference nobody declared."""
        return 1 if self.undeclared else 0

    def text(self, width: int = 80) -> str:
        """The report for people, no line longer than ``width``."""
        names = ", ".join(one.target for one in self.targets)
        lines = _wrapped(f"{self.app}: {self.steps} steps from {self.source} on {names}", width)
        for one in self.targets:
            used = ", ".join(f"{name} {version}" for name, version in sorted(one.parts.items()))
            lines += _wrapped(f"  {one.target:<6} Python {one.python}, {one.seconds:.1f} s: {used}", width, " " * 9)
        declared: dict[str, int] = {}
        for difference in self.differences:
            if difference.declared:
                declared[difference.declared] = declared.get(difference.declared, 0) + 1
        if declared:
            seen = ", ".join(f"{name} ({count})" for name, count in sorted(declared.items()))
            lines += _wrapped(f"declared differences met (docs/reference/differences.md): {seen}", width)
        if not self.undeclared:
            return "\n".join([*lines, "no other difference"])
        lines += ["", *_table(self.undeclared, width), ""]
        count = len(self.undeclared)
        return "\n".join([*lines, f"{count} difference{'s' if count > 1 else ''}"])


def verify(
    project: Project,
    targets: Sequence[str] | None = None,
    *,
    jobs: int = 2,
    corpus: int = 0,
    seed: int = 0,
    say: Say = lambda line: None,
) -> Report:
    """Build, run and compare.

    Args:
        targets: names; left out, every installed adapter's that builds.
        jobs: targets that run at the same time. They are built one after the other.
        corpus: so many generated steps instead of the project's own, drawn with ``seed``: ``portable.run.corpus``.
        say: gets a line as each thing is done.

    Raises:
        BuildError, ConfigError: an artifact cannot be built or run; the message begins with the target.
    """
    names = list(targets) if targets else [name for name, one in adapters().items() if one.builds]
    place = project.root / ".portable" / "verify"
    folders = {name: _named(name, partial(build_to_run, project, name, place / name)) for name in names}
    manifest = open_artifact(folders[names[0]]).manifest
    written = traffic.load(project.root, manifest)
    steps = traffic.derived(manifest) if written is None else written
    source = traffic.FILE if written is not None else "the app's routes and triggers"
    if corpus:
        from portable.run.corpus import corpus as draw_corpus
        from portable.run.corpus import write_corpus

        steps, source = draw_corpus(manifest, corpus, seed, steps), f"a corpus of seed {seed}"
        say(f"the corpus is in {write_corpus(steps, place)}")
    # Made once: what is random or of this moment in an event is the same for every target.
    made = [_material(step, project.root, manifest) for step in steps]
    say(f"built for {', '.join(names)}; sending {len(steps)} steps to each")

    def run_one(name: str) -> tuple[TargetReport, list[Observation]]:
        start = time.perf_counter()
        with deployed(folders[name], log=folders[name].parent / f"{name}.log") as deployment:
            observed = [_observe(deployment, step, one) for step, one in zip(steps, made, strict=True)]
            seconds = time.perf_counter() - start
            report = TargetReport(name, deployment.artifact.python, dict(deployment.parts), seconds)
        say(f"{name}: done in {seconds:.1f} s")
        return report, observed

    with ThreadPoolExecutor(jobs) as pool:
        ran = list(pool.map(lambda name: _named(name, lambda: run_one(name)), names))
    observed = {report.target: rows for report, rows in ran}
    return Report(manifest.app, source, len(steps), [report for report, _ in ran], compare(steps, observed))


def _material(step: Step, folder: Path, manifest: Any) -> Any:
    if isinstance(step, RequestStep):
        return traffic.request_of(step, folder)
    if isinstance(step, EventStep):
        return event_of(manifest.function(step.function), step.event)
    return None


def _observe(deployment: Deployment, step: Step, made: Any) -> Observation:
    try:
        if isinstance(step, RequestStep):
            return observe_response(deployment.request(made), step.ignore)
        if isinstance(step, EventStep):
            return observe_outcome(made, deployment.deliver(step.function, made), step.ignore)
        if isinstance(step, SettleStep):
            return observe_settled(deployment.settle(step.timeout))
        return observe_storage(deployment.snapshot())
    except (PortableError, ValueError) as error:
        return {"could not be done": f"{type(error).__name__}: {error}"}


def _named(name: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except PortableError as error:
        error.args = (f"{name}: {error}", *error.args[1:])
        raise


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _table(differences: Sequence[Difference], width: int) -> list[str]:
    """A row for each distinct value: step and field once, the targets that have it, and the value."""
    left, middle = 34, 14
    lines = [f"{'step, what':<{left}}  {'targets':<{middle}}  value", "-" * width]
    for one in differences:
        head = textwrap.wrap(f"{one.step}. {one.label}", left, subsequent_indent="   ")
        head += textwrap.wrap(f"   {one.field}", left, subsequent_indent="   ")
        rows = []
        for value, names in _by_value(one.values).items():
            cells = textwrap.wrap(value, width - left - middle - 4, break_on_hyphens=False) or ["(empty)"]
            who = textwrap.wrap(", ".join(names), middle)
            height = max(len(cells), len(who))
            rows += [(who[i] if i < len(who) else "", cells[i] if i < len(cells) else "") for i in range(height)]
        for i in range(max(len(head), len(rows))):
            who_cell, value_cell = rows[i] if i < len(rows) else ("", "")
            lines.append(f"{head[i] if i < len(head) else '':<{left}}  {who_cell:<{middle}}  {value_cell}".rstrip())
    return lines


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for target, value in values.items():
        grouped.setdefault(value, []).append(target)
    return grouped
