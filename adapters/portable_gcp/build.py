"""How a bundle for Cloud Run functions is made: ``main.py`` with one functions-framework target a function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from portable.build.costs import Calls, Charge
from portable.build.deployment import Deployment
from portable.build.schedules import Timer, check_timers, needs_zones, timers_by_function
from portable.build.target import Bundle, Finding
from portable.errors import ConfigError
from portable.manifest import FunctionRecord, Manifest, ResourceRecord, TriggerRecord
from portable_gcp import limits
from portable_gcp.capabilities import BOUNDS, CAPABILITIES, NAMES
from portable_gcp.image import image_plan
from portable_gcp.schedules import timers_of
from portable_gcp.topic import filter_expression
from portable_gcp.triggers import SOURCES

__all__ = ["TARGET", "GoogleTarget"]

_MAIN = '''\
"""One functions-framework target a function: ``--target {first}``. Written by `portable build`."""

_FUNCTIONS = {{
{rows}}}


def __getattr__(_target):
    # On first use, so that a function imports the modules of its own handlers and no others.
    if _target not in _FUNCTIONS:
        raise AttributeError(f"no function has the target {{_target!r}}; there are {{', '.join(_FUNCTIONS)}}")
    from portable_gcp.runtime import entry

    _found = globals()[_target] = entry({spec!r}, *_FUNCTIONS[_target])
    return _found
'''


class GoogleTarget:
    """See ``portable.build.target.BuildTarget``."""

    name = "gcp"
    pythons: Sequence[str] = limits.PYTHONS
    reserved = frozenset({"main"})
    dependency_folder = ""
    loads = (  # no event comes that would have to be believed
        "import os; os.environ.update(PORTABLE_EVENT_AUDIENCE='none', PORTABLE_EVENT_ACCOUNT='none'); "
        "import main; main.{identifier}"
    )
    adapter_packages: Sequence[str] = ("portable_gcp",)
    known_settings: Sequence[str] = (
        *(f"{kind}_source" for kind, sources in SOURCES.items() if len(sources) > 1),
        "project",
        "region",
        "domain",
    )
    infrastructure_forms: Sequence[str] = ("terraform", "gcloud")
    bounds = BOUNDS
    capabilities = CAPABILITIES
    prices = Path(__file__).with_name("prices.toml")
    splits = True
    instead: Mapping[str, str] = {
        "stream": "Google Cloud has topics: app.topic(…, ordered=True) keeps each group in order, a message at a time"
    }
    naming = NAMES
    image = staticmethod(image_plan)

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:
        """What Google Cloud cannot give. Raises ConfigError for a setting it does not know."""
        found: list[Finding] = []
        for source in (*manifest.of_kind("queue"), *manifest.of_kind("topic")):
            found += _check_attempts(source)
            found += _check_wait(source)
        for function in manifest.functions:
            found += _check_function(function)
            if _source(function, settings) == "pubsub-eventarc":
                found += _check_eventarc(function)
        return found

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
        """The server always, a library for each kind of resource, and google-auth where callers are verified.

        A queue that only triggers needs Pub/Sub's library as well: a rejected message is published to its dead letters.
        """
        needed = ["functions-framework>=3.8"]
        if any(function.kind in ("message", "blob", "change", "schedule") for function in manifest.functions):
            needed.append("google-auth>=2.35")
        if any(manifest.of_kind(kind) for kind in ("queue", "topic", "sockets")):
            needed.append("google-cloud-pubsub>=2.26")
        if manifest.of_kind("bucket"):
            needed.append("google-cloud-storage>=2.18")
        if manifest.of_kind("table"):
            needed.append("google-cloud-firestore>=2.19")
        if manifest.of_kind("secret") or manifest.of_kind("config"):  # where a config value is, its address says later
            needed.append("google-cloud-secret-manager>=2.21")
        if needs_zones(manifest, self.timers(manifest, settings)):
            needed.append("tzdata>=2024.2")
        return needed

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:  # noqa: ARG002
        """Nothing is left out."""
        return {}

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:
        """One folder for all functions: each is deployed from it, with its own target."""
        sources = {function.name: _source(function, settings) for function in manifest.functions}
        timers = self.timers(manifest, settings)
        rows = "".join(
            f"    {function.name.replace('-', '_')!r}: "
            f"({function.name!r}, {tuple(function.modules)!r}, {sources[function.name]!r}{_drops(timers, function)}),\n"
            for function in manifest.functions
        )
        first = manifest.functions[0].name.replace("-", "_") if manifest.functions else "TARGET"
        main = _MAIN.format(rows=rows, spec=manifest.spec, first=first)
        return [Bundle("", sources, {"main.py": main.encode()})]

    def charges(self, calls: Sequence[Calls], settings: Mapping[str, Any]) -> Mapping[str, Sequence[Charge]]:
        """What is billed, by function."""
        from portable_gcp.costs import charges_of

        return charges_of(calls, settings)

    def timers(self, manifest: Manifest, settings: Mapping[str, Any]) -> Mapping[str, Sequence[Timer]]:  # noqa: ARG002
        """The jobs of Cloud Scheduler, by function."""
        return timers_by_function(manifest, timers_of)

    def infrastructure(self, deployment: Deployment) -> Mapping[str, Any]:
        """Terraform's JSON or a script for gcloud, and the plan that both are made of."""
        from portable_gcp.infrastructure import infrastructure_files

        return infrastructure_files(deployment)


def _drops(timers: Mapping[str, Sequence[Timer]], function: FunctionRecord) -> str:
    [drops] = {timer.drops for timer in timers.get(function.name, ())} or {""}
    return f", {drops!r}" if drops else ""


def _source(function: FunctionRecord, settings: Mapping[str, Any]) -> str:
    """``[tool.portable.gcp] message_source = "pubsub-eventarc"`` chooses Eventarc's subscription."""
    known = SOURCES[function.kind]
    chosen: str = settings.get(f"{function.kind}_source") or known[0]
    if chosen not in known:
        name = f"{function.kind}_source"
        raise ConfigError(f"[tool.portable.gcp] {name} is {' or '.join(map(repr, known))}, got {chosen!r}")
    return chosen


def _check_attempts(source: ResourceRecord) -> Iterator[Finding]:
    least, most = limits.DELIVERY_ATTEMPTS
    attempts = source.options["max_attempts"]
    if not least <= attempts <= most:
        yield Finding(
            "error",
            source.where,
            f"{source.kind} {source.name}: Pub/Sub moves a message to the dead-letter topic after {least} to {most} "
            f"attempts, not after {attempts}",
            f"max_attempts={min(max(attempts, least), most)}",
        )


def _check_wait(source: ResourceRecord) -> Iterator[Finding]:
    if "retry" not in source.options:
        return
    label, (_, _, longest, _) = f"{source.kind} {source.name}, retry", source.options["retry"]
    most = limits.BACKOFF_SECONDS
    if longest > most:
        message = f"{label}: a wait of {longest:g} s; Pub/Sub's retry policy has {most} at most"
        yield Finding("error", source.where, message, f"limit=timedelta(seconds={most})")
    message = f"{label}: Pub/Sub has a first and a longest wait; how they grow is its own"
    yield Finding("info", source.where, message)


def _check_function(function: FunctionRecord) -> Iterator[Finding]:
    where = function.triggers[0].where
    if function.name.endswith("-"):
        yield Finding("error", where, f"a Cloud Run service cannot be called {function.name!r}", "drop the last dash")
    yield from _check_timeout(function, where)
    yield from _check_memory(function, where)
    if function.kind == "http":
        yield from _check_identity(function)
    for trigger in function.triggers:
        yield from _CHECKS.get(trigger.kind, lambda function, trigger: ())(function, trigger)


_TIMEOUTS: dict[str, tuple[timedelta, str]] = {
    "http": (limits.HTTP_TIMEOUT, "Cloud Run ends a request"),
    "direct": (limits.HTTP_TIMEOUT, "Cloud Run ends a request"),
    "message": (
        timedelta(seconds=limits.ACK_DEADLINE_MAX),
        "Pub/Sub delivers again, the first still running,",
    ),
    "blob": (limits.EVENT_TIMEOUT, "Eventarc delivers again, the first still running,"),
    "change": (limits.EVENT_TIMEOUT, "Eventarc delivers again, the first still running,"),
    "schedule": (limits.SCHEDULER_DEADLINE, "Cloud Scheduler gives a job up"),
}


def _check_timeout(function: FunctionRecord, where: str) -> Iterator[Finding]:
    longest, what = _TIMEOUTS[function.kind]
    if function.timeout is not None and function.timeout > longest.total_seconds():
        yield Finding(
            "error",
            where,
            f"function {function.name}: {what} after {longest.total_seconds():g} s, {function.timeout:g} s are asked",
            "a shorter timeout, or parts of the work in messages of their own",
        )


def _check_memory(function: FunctionRecord, where: str) -> Iterator[Finding]:
    least, most = limits.MEMORY
    if function.memory is None:
        return
    if function.memory > most:
        message = f"function {function.name}: {function.memory} MiB are asked, Cloud Run has {most}"
        yield Finding("error", where, message, "less")
    elif function.memory < least:
        yield Finding("info", where, f"function {function.name}: it gets {least} MiB, the least Cloud Run has")


def _check_identity(function: FunctionRecord) -> Iterator[Finding]:
    asked = {trigger.options["auth"] for trigger in function.triggers}
    if len(asked) > 1:
        guarded = next(trigger for trigger in function.triggers if trigger.options["auth"] != "public")
        yield Finding(
            "error",
            guarded.where,
            f"function {function.name} has public routes and guarded ones; Cloud Run's IAM check stands before "
            "all of it",
            "function='…' for the guarded routes",
        )


def _check_route(function: FunctionRecord, trigger: TriggerRecord) -> Iterator[Finding]:
    if trigger.options.get("background"):
        yield Finding(
            "warning",
            trigger.where,
            f"function {function.name}: what is left to be done after an answer stands still unless the service's CPU "
            "is always allocated",
            "gcloud run services update --no-cpu-throttling, or a queue",
        )
    size = trigger.options["max_body"]
    if size is not None and size > limits.REQUEST_BYTES:
        message = f"function {function.name}: Cloud Run takes requests of {limits.REQUEST_BYTES} bytes, not {size}"
        yield Finding("error", trigger.where, message, "let clients upload to a bucket")


def _check_message(function: FunctionRecord, trigger: TriggerRecord) -> Iterator[Finding]:
    if trigger.options["batch_size"] > limits.PUSH_BATCH:
        yield Finding(
            "warning",
            trigger.where,
            f"function {function.name}: Pub/Sub pushes one message a request, so every batch holds one",
            "batch_size=1 says so, and silences this",
        )
    if "concurrency" in trigger.options:
        message = f"function {function.name}: Pub/Sub pushes one message a request; how many at once is the service's "
        message += f"concurrency, and not concurrency={trigger.options['concurrency']}"
        yield Finding("info", trigger.where, message)
    yield from _check_filter(function, trigger)


def _check_filter(function: FunctionRecord, trigger: TriggerRecord) -> Iterator[Finding]:
    expression = filter_expression(trigger.options.get("filter") or {})
    size = len(expression.encode())
    if size > limits.FILTER_BYTES:
        yield Finding(
            "error",
            trigger.where,
            f"function {function.name}: a filter of {size} bytes ({expression}); Pub/Sub takes {limits.FILTER_BYTES}",
            "an attribute that says what the handler looks for, or the rest of the filter in the handler",
        )


def _check_eventarc(function: FunctionRecord) -> Iterator[Finding]:
    yield Finding(
        "warning",
        function.triggers[0].where,
        f"function {function.name}: Eventarc makes a subscription of its own, which keeps messages for a day, takes "
        f"{limits.EVENTARC_BYTES} bytes at most and has no dead letters until its subscription is edited",
        "message_source = 'pubsub-push'",
    )


def _check_blob(function: FunctionRecord, trigger: TriggerRecord) -> Iterator[Finding]:
    options = trigger.options
    if options["prefix"] or options["suffix"]:
        yield Finding(
            "warning",
            trigger.where,
            f"function {function.name}: Cloud Storage sends the events of the whole bucket {options['bucket']}; prefix "
            "and suffix are looked at when the function has been called",
            "a bucket of its own, where other blobs are many",
        )
    if "deleted" in options["kinds"]:
        yield Finding(
            "warning",
            trigger.where,
            f"function {function.name}: overwriting a blob sends 'deleted' for the old one too, unless bucket "
            f"{options['bucket']} keeps versions",
            "look whether the key is still there",
        )


def _check_schedule(_: FunctionRecord, trigger: TriggerRecord) -> Iterator[Finding]:
    why = "Cloud Scheduler does not say what it does when clocks change"
    if trigger.options["cron"] is None:
        why = "no cron expression is due at such an interval"
    yield from check_timers(trigger, timers_of(trigger), why)


_CHECKS: dict[str, Any] = {
    "http": _check_route,
    "message": _check_message,
    "blob": _check_blob,
    "schedule": _check_schedule,
}

TARGET = GoogleTarget()
