"""The bundle of a container: one folder with every function, an entry that is data, and one platform's drivers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pprint import pformat
from typing import Any

from portable.build.deployment import Deployment
from portable.build.requirements import distribution
from portable.build.target import Bundle, Finding
from portable.errors import ConfigError
from portable.manifest import FunctionRecord, Manifest, TriggerRecord
from portable_container.control import PREFIX
from portable_container.image import image_plan
from portable_container.infrastructure import FORMS, SETTINGS, infrastructure_files
from portable_container.infrastructure.schedules import check_schedule
from portable_container.limits import PYTHONS
from portable_container.pushed import KINDS
from portable_container.runtime import PLATFORMS

__all__ = ["ENTRY", "TARGET", "ContainerTarget"]

ENTRY = "portable_entry.py"

_ENTRY = '''\
"""The functions of app {app!r}, for ``python -m portable_container``. Written by `portable build`."""

SPEC = {spec!r}

PLATFORM = {platform!r}

# By name: what calls it, how its events come, its routers, its timeout in seconds.
FUNCTIONS = {functions}

# By topic: its subscribers, each with its filter. Where nothing else is deployed, a process makes them itself.
SUBSCRIPTIONS = {subscriptions}
'''

_SERVER = ("httptools>=0.6.2", "uvloop>=0.21")
_SOCKETS = ("uvicorn>=0.36", "websockets>=14")
_OTHER_SERVERS = frozenset({"functions-framework", "azure-functions", "azurefunctions-extensions-http-fastapi"})
"""What a platform's own target asks for to be called by its cloud, which does not call a container."""

_NATS = ("nats-py>=2.12",)

PUSHED: Mapping[str, Sequence[str]] = {**KINDS, "local": ("blob", "change"), "nats": ()}
"""Kinds of triggers whose events come to ``/-/events/FUNCTION``, by platform. Nothing on this machine sends any by
itself: ``portable run`` and tests do.
"""

_READ = ("local", "aws")
"""Platforms whose streams a container can read: SQLite's, Kinesis."""

_SOCKETED = ("local", "gcp")
"""Platforms by which instances reach the websockets of one another; this machine has one instance."""


class ContainerTarget:
    """See ``portable.build.target.BuildTarget``. ``platform``: whose drivers it takes along."""

    name = "container"
    pythons: Sequence[str] = PYTHONS
    reserved = frozenset({"portable_entry"})
    dependency_folder = ""
    loads = (
        "import portable_entry as e, portable_container.server; from portable_container.functions import Functions; "
        "Functions(e.SPEC, e.FUNCTIONS, [{function}], 1.0)"
    )
    known_settings: Sequence[str] = ("platform", "pushed", "lambda", *SETTINGS)
    infrastructure_forms: Sequence[str] = FORMS
    image = staticmethod(image_plan)

    def __init__(self, platform: str = PLATFORMS[0]) -> None:
        self.platform = platform
        self.adapter_packages: Sequence[str] = ("portable_container", f"portable_{platform}")

    @property
    def capabilities(self) -> Any:
        """What the platform's drivers give."""
        return import_module(f"portable_{self.platform}.capabilities").CAPABILITIES

    @property
    def naming(self) -> Any:
        """How the platform calls what is declared."""
        return getattr(import_module(f"portable_{self.platform}.capabilities"), "NAMES", {})

    def with_settings(self, settings: Mapping[str, Any]) -> ContainerTarget:
        """The target of ``platform = "…"``. Raises ConfigError for one that there is not."""
        chosen = settings.get("platform", PLATFORMS[0])
        if chosen not in PLATFORMS:
            raise ConfigError(f"[tool.portable.container] platform is one of {', '.join(PLATFORMS)}, got {chosen!r}")
        return ContainerTarget(chosen)

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:
        """What a container on this platform cannot give."""
        found = list(_check_settings(settings, self.platform))
        pushed = {*PUSHED[self.platform], *settings.get("pushed", ())}
        for function in manifest.functions:
            for trigger in function.triggers:
                found += _check_trigger(function, trigger, self.platform, pushed)
        return found

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002
        """The server's parts, and what the platform's drivers need."""
        needed = [*_SERVER, *(_SOCKETS if any(one.kind == "socket" for one in manifest.functions) else ())]
        if self.platform == "nats":
            return [*needed, *_NATS]
        theirs = import_module(f"portable_{self.platform}.build").TARGET.requirements(manifest, {})
        return [*needed, *(one for one in theirs if distribution(one) not in _OTHER_SERVERS)]

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """As the platform's own target has it: the drivers are the same."""
        if self.platform == "nats":
            return {}
        target = import_module(f"portable_{self.platform}.build").TARGET
        used: Mapping[str, Sequence[str]] = target.data_used(manifest, listed, pins)
        if self.platform == "aws" and any(one.kind == "stream" for one in manifest.functions):  # where positions are
            return {folder: sorted({*names, "dynamodb"}) for folder, names in used.items()}
        return used

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:
        """One folder for all functions: ``PORTABLE_FUNCTIONS`` says which of them a process serves."""
        functions = {function.name: self._entry(function, settings) for function in manifest.functions}
        text = _ENTRY.format(
            app=manifest.app,
            spec=manifest.spec,
            platform=self.platform,
            functions=pformat(functions, sort_dicts=False, width=120),
            subscriptions=pformat({one.name: manifest.subscriptions(one.name) for one in manifest.of_kind("topic")}),
        )
        sources = {function.name: _source(function, settings) for function in manifest.functions}
        return [Bundle("", sources, {ENTRY: text.encode()})]

    def infrastructure(self, deployment: Deployment) -> Mapping[str, Any]:
        """Kubernetes, Knative or ECS."""
        return infrastructure_files(deployment, self.platform)

    def _entry(self, function: FunctionRecord, settings: Mapping[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "kind": function.kind,
            "source": _source(function, settings),
            "modules": tuple(function.modules),
            "timeout": function.timeout,
        }
        if self.platform == "aws":
            source = _lambda_source(function.kind, settings)
            entry["lambda"] = source
            streamed = source in import_module("portable_aws.build").STREAMED
            if streamed and function.kind == "http" and any(function.asks("stream")):
                entry["streams"] = True
        return entry


TARGET = ContainerTarget()

_SOURCES = {
    "http": "http",
    "socket": "websocket",
    "message": "poll",
    "blob": "push",
    "change": "push",
    "stream": "poll",
    "schedule": "cron",
    "direct": "direct",
}


def source_of(kind: str) -> str:
    """How the events of a trigger kind come to a container."""
    return _SOURCES[kind]


def _source(function: FunctionRecord, settings: Mapping[str, Any]) -> str:
    """Websockets may be held by somebody else, who pushes their events."""
    return "push" if function.kind in settings.get("pushed", ()) else source_of(function.kind)


def _lambda_source(kind: str, settings: Mapping[str, Any]) -> str:
    """The event source that calls a function where the same bundle runs on Lambda. Raises ConfigError."""
    chosen = settings.get("lambda", {}).get(kind)
    source: str = import_module("portable_aws.triggers").source_of(kind, chosen)
    return source


def _check_settings(settings: Mapping[str, Any], platform: str) -> Iterator[Finding]:
    where = "pyproject.toml"
    pushed = settings.get("pushed", [])
    if not isinstance(pushed, list) or not set(pushed) <= {"blob", "change", "socket"}:
        message = f"[tool.portable.container] pushed = {pushed!r}: somebody can push 'blob', 'change' and 'socket'"
        yield Finding("error", where, message, 'pushed = ["blob"]')
    chosen = settings.get("lambda")
    if chosen is None:
        return
    if platform != "aws" or not isinstance(chosen, dict):
        message = "[tool.portable.container] lambda: a table of event sources, for platform = 'aws' alone"
        yield Finding("error", where, message, "[tool.portable.container.lambda] http = 'function-url'")
        return
    for kind, source in chosen.items():
        codecs = import_module("portable_aws.triggers").CODECS
        if kind not in codecs or source not in codecs[kind]:
            message = f"[tool.portable.container.lambda] {kind} = {source!r}: Lambda has no such event source"
            yield Finding("error", where, message, f"one of {', '.join(codecs.get(kind, codecs))}")


def _check_trigger(
    function: FunctionRecord, trigger: TriggerRecord, platform: str, pushed: set[str]
) -> Iterator[Finding]:
    kind, where = trigger.kind, trigger.where
    if kind == "http":
        yield from _check_route(function, trigger, platform)
    elif kind == "stream":
        yield from _check_stream(function, trigger, platform)
    elif kind in ("blob", "change") and kind not in pushed:
        yield Finding(
            "error",
            where,
            f"function {function.name}: nothing on {platform} sends a container the events of "
            f"{' '.join(trigger.source)}",
            f'a message sent by whoever writes, or [tool.portable.container] pushed = ["{kind}"] where something of '
            "yours posts them to /-/events/",
        )
    elif kind == "schedule":
        yield from check_schedule(function, trigger)
    elif kind == "socket" and kind not in pushed:
        yield from _check_socket(function, trigger, platform)


def _check_route(function: FunctionRecord, trigger: TriggerRecord, platform: str) -> Iterator[Finding]:
    options, where = trigger.options, trigger.where
    path = options["path"]
    if path.startswith(PREFIX) or path == PREFIX.rstrip("/"):
        message = f"function {function.name}: {path} is never reached: {PREFIX} is the container's own"
        yield Finding("error", where, message, "another path")
    if options["auth"] != "public":
        severity: Any = "warning" if platform in ("local", "gcp") else "error"
        yield Finding(
            severity,
            where,
            f"function {function.name}: auth={options['auth']!r} is checked by what stands before a container, and "
            "nothing in it",
            "Cloud Run's IAM check, a mesh or a gateway of your own; or security= with a check of the app's own",
        )


def _check_stream(function: FunctionRecord, trigger: TriggerRecord, platform: str) -> Iterator[Finding]:
    name = f"function {function.name}: stream {trigger.options['stream']}"
    if platform not in _READ:
        message = f"{name}: nothing on {platform} reads a stream for a container"
        yield Finding("error", trigger.where, message, "the cloud's own functions for this one, or an ordered topic")
    elif trigger.options["parallel"] > 1:
        message = (
            f"{name}: parallel={trigger.options['parallel']}, and a container has one batch of a partition in hand"
        )
        yield Finding("warning", trigger.where, message, "more partitions")


def _check_socket(function: FunctionRecord, trigger: TriggerRecord, platform: str) -> Iterator[Finding]:
    name = f"function {function.name}: {trigger.options['path']}"
    if platform not in _SOCKETED:
        message = f"{name}: connections held by a container cannot be sent to from elsewhere on {platform}"
        way_out = (
            "platform = 'gcp', or the cloud's own target; or [tool.portable.container] pushed = [\"socket\"] where a "
            "gateway holds them, and posts their events to /-/events/"
        )
        yield Finding("error", trigger.where, message, way_out)
    elif platform == "local":
        message = f"{name}: connections are held by one process, and only it can send to them"
        yield Finding("warning", trigger.where, message, "one replica")
