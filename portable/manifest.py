"""An app as data: all that a build reads. Written to ``dist/<target>/manifest.json``.

A manifest knows no stage, no physical name and no path of the machine it was made on: places in the source are
relative to the project.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from portable.app import App
from portable.checks import check_functions
from portable.errors import ConfigError
from portable.events import Context
from portable.flow import Note
from portable.flow.shared import Shared
from portable.grants import BESIDE, VERBS
from portable.guards import GuardRecord, declared_by_guards, guards_of, security_of
from portable.http.mounts import HTTPMount
from portable.http.parameters import describe, flatten, has_form
from portable.http.shapes import declared_answer, without_responses
from portable.jsontext import is_pydantic, needs_msgspec
from portable.resources import Resource
from portable.resources.cache import Cache
from portable.resources.config import Config
from portable.signatures import MISSING, holds_model, parameters_of, split_optional
from portable.triggers import (
    BlobTrigger,
    ChangeTrigger,
    DirectTrigger,
    HTTPRoute,
    MessageTrigger,
    ScheduleTrigger,
    SocketTrigger,
    StreamTrigger,
    Trigger,
)
from portable.uses import grants_used, in_project, resources_used

__all__ = ["FunctionRecord", "Manifest", "ResourceRecord", "TriggerRecord", "describe_app"]


class ResourceRecord(msgspec.Struct):
    """A declared resource. ``where``: ``file:line``."""

    kind: str
    name: str
    options: dict[str, Any]
    where: str


class TriggerRecord(msgspec.Struct):
    """What calls a handler, and its options by kind.

    http: method, path, status, auth, max_body, stream, background, and security (schemes with their scopes) where a
    check stands before it; message: batch_size, and queue, or topic and filter;
    stream: stream, batch_size, start, parallel, bisect, max_attempts, window (seconds), dead_letters (a queue);
    blob: bucket, prefix, suffix, kinds; change: table, old, key (name and
    type of each field of the key); schedule: cron, every (seconds), timezone; direct: none.
    """

    kind: str
    handler: str
    where: str
    options: dict[str, Any]

    @property
    def source(self) -> tuple[str, str]:
        """Kind and name of the resource whose messages, blobs or changes these are."""
        return next(
            (kind, self.options[kind])
            for kind in ("queue", "topic", "stream", "bucket", "table", "sockets")
            if kind in self.options
        )

    @property
    def key(self) -> str:
        """Of a message trigger: what ``MessageTrigger.key`` is."""
        kind, name = self.source
        return name if kind == "queue" else f"{kind}:{name}"


class UnseenUse(msgspec.Struct):
    """Where (``file:line``) a function's use of a resource goes out of sight, and why. ``resource``: ``kind:name``, ""
    where it may be any.
    """

    where: str
    message: str
    resource: str


class FunctionRecord(msgspec.Struct):
    """A deployable unit. ``memory`` MiB and ``timeout`` seconds are None where nobody asked; ``modules`` are the
    routers included by name that it imports; ``uses`` names its resources as ``kind:name``.

    ``grants``: what it may do with each of them besides what its triggers need, verbs of ``portable.grants`` in order;
    ``unseen``: where that could not be followed, so that more was granted.
    """

    name: str
    kind: str
    triggers: list[TriggerRecord]
    memory: int | None
    timeout: float | None
    modules: list[str]
    uses: list[str]
    is_async: bool
    grants: dict[str, list[str]] = {}
    unseen: list[UnseenUse] = []

    def asks(self, option: str) -> list[Any]:
        """The value of an option in each trigger, None left out."""
        return [trigger.options[option] for trigger in self.triggers if trigger.options.get(option) is not None]


class Manifest(msgspec.Struct):
    """See the module. ``spec`` is ``module:variable``; ``models``: whether a body needs msgspec. ``forms``: whether a
    parameter comes from a form. ``guards``: the checks before routes.
    """

    app: str
    spec: str
    functions: list[FunctionRecord]
    resources: list[ResourceRecord]
    models: bool
    forms: bool = False
    guards: list[GuardRecord] = []

    def function(self, name: str) -> FunctionRecord:
        """The function of this name. Raises ConfigError naming those there are."""
        for function in self.functions:
            if function.name == name:
                return function
        names = ", ".join(function.name for function in self.functions)
        raise ConfigError(f"app {self.app!r} has no function {name!r}; it has {names}")

    def of_kind(self, kind: str) -> list[ResourceRecord]:
        """The resources of a kind."""
        return [resource for resource in self.resources if resource.kind == kind]

    def resource(self, kind: str, name: str) -> ResourceRecord:
        """One resource. Raises ConfigError."""
        for resource in self.resources:
            if (resource.kind, resource.name) == (kind, name):
                return resource
        raise ConfigError(f"app {self.app!r} declares no {kind} {name!r}")

    def subscriptions(self, topic: str) -> dict[str, Any]:
        """The functions that handle a topic, each with its filter or None."""
        return {
            function.name: trigger.options["filter"]
            for function in self.functions
            for trigger in function.triggers
            if trigger.options.get("topic") == topic
        }

    def senders(self, stream: str) -> list[FunctionRecord]:
        """The functions that use a stream without being called by it."""
        return [
            function
            for function in self.functions
            if f"stream:{stream}" in function.uses and stream not in function.asks("stream")
        ]

    def wants_changes(self, table: str) -> bool | None:
        """Whether a handler of this table's changes wants old items; None where it has no such handler."""
        asked = [
            trigger.options["old"]
            for function in self.functions
            for trigger in function.triggers
            if trigger.kind == "change" and trigger.options["table"] == table
        ]
        return any(asked) if asked else None

    def only(self, functions: list[str]) -> Manifest:
        """This manifest with some of its functions, and the resources these use."""
        kept = [function for function in self.functions if function.name in functions]
        used = {name for function in kept for name in function.uses}
        resources = [one for one in self.resources if f"{one.kind}:{one.name}" in used]
        return Manifest(self.app, self.spec, kept, resources, self.models, self.forms, self.guards)


def describe_app(app: App, spec: str, root: Path) -> Manifest:
    """The manifest of an imported app. Imports every router it includes by name.

    ``root`` is the project's folder. Raises ConfigError for what cannot be bound, mixed, or
    declared twice, and for what ``portable.checks`` finds.
    """
    root = root.resolve()
    grouped = app.functions()
    check_functions(grouped, app)
    declared = _declared(app, grouped, root)
    shared = Shared()
    traced = {name: resources_used(_called(app, triggers), root, shared) for name, triggers in grouped.items()}
    hooked = resources_used(app.life.hooks(), root)  # every instance calls these
    for name, triggers in grouped.items():
        traced[name] |= hooked | {key for trigger in triggers if (key := _source(trigger)) is not None}
        traced[name] |= {(one.kind, one.name) for trigger in triggers if (one := _dead_letters(trigger)) is not None}
        traced[name] |= {(one.kind, one.name) for key in traced[name] if (one := _beside(declared.get(key)))}
    granted = {name: _granted(app, triggers, root, declared, shared) for name, triggers in grouped.items()}
    for name, (grants, _) in granted.items():
        if not any(isinstance(one, HTTPMount) for one in grouped[name]):
            traced[name] |= set(grants)
    # A resource no handler was seen to use may be used in a way that cannot be traced: every function gets its address,
    # and those that do what nobody sees may use it, and all others.
    untraced = set(declared) - set().union(*traced.values(), set())
    functions = []
    for name, triggers in grouped.items():
        grants, notes = granted[name]
        # An application of another framework names its views in ways of its own: it may use whatever there is.
        unseen = any(note.resource is None for note in notes)
        mounts = any(isinstance(one, HTTPMount) for one in triggers)
        reached = set(declared) if mounts or unseen else traced[name] & set(declared)
        if unseen:
            grants |= {key: set(VERBS[key[0]]) for key in declared}
        uses = sorted(f"{kind}:{known}" for kind, known in reached | untraced)
        functions.append(_function(name, triggers, uses, root))
        functions[-1].grants = {
            f"{kind}:{known}": sorted(grants[kind, known])
            for kind, known in sorted(grants)
            if (kind, known) in declared and grants[kind, known]
        }
        functions[-1].unseen = [_unseen(note, root) for note in notes]
        _add_security(app, functions[-1], triggers)
    records = [
        ResourceRecord(resource.kind, resource.name, resource.options, place(resource.where, root))
        for _, resource in sorted(declared.items())
    ]
    models = any(_needs_msgspec(trigger) for triggers in grouped.values() for trigger in triggers)
    models = models or any(needs_msgspec(_model_of(one)) for one in declared.values())
    forms = any(_reads_form(trigger) for triggers in grouped.values() for trigger in triggers)
    guards = guards_of(app, (trigger for triggers in grouped.values() for trigger in triggers), root)
    return Manifest(app.name, spec, functions, records, models, forms, guards)


def _granted(
    app: App, triggers: list[Trigger], root: Path, declared: dict[tuple[str, str], Resource], shared: Shared
) -> tuple[dict[tuple[str, str], set[str]], list[Note]]:
    """What a function is seen to do with each resource, the framework on its behalf included."""
    if any(isinstance(trigger, HTTPMount) for trigger in triggers):  # it may do anything with any of them
        return {key: set(VERBS[key[0]]) for key in declared}, []
    grants, notes = grants_used([*_called(app, triggers), *app.life.hooks()], root, declared, shared)

    def allow(resource: Resource | None, *verbs: str) -> None:
        if resource is not None:
            grants.setdefault((resource.kind, resource.name), set()).update(verbs)

    for trigger in triggers:
        if isinstance(trigger, SocketTrigger):  # who disconnects leaves its groups
            allow(_beside(trigger.sockets), *BESIDE["sockets"]["forget"])
        elif isinstance(trigger, StreamTrigger):
            allow(trigger.dead_letters, "send")
        elif isinstance(trigger, MessageTrigger):  # bodies are read, and deleted when they are done
            allow(_beside(trigger.source), *BESIDE["queue"]["receive"])
        elif isinstance(trigger, HTTPRoute):
            for resource in declared_by_guards(app, [trigger]):
                allow(resource, "use" if resource.kind == "cache" else "read")
    return grants, notes


def _unseen(note: Note, root: Path) -> UnseenUse:
    resource = "" if note.resource is None else ":".join(note.resource)
    return UnseenUse(place(note.where, root), note.message, resource)


def _add_security(app: App, function: FunctionRecord, triggers: list[Trigger]) -> None:
    for record, trigger in zip(function.triggers, triggers, strict=True):
        if isinstance(trigger, HTTPRoute) and (asked := security_of(app, trigger)):
            record.options["security"] = asked


def _called(app: App, triggers: list[Trigger]) -> list[Any]:
    """What an invocation of a function may call: its handlers, what they depend on, and what the app puts around."""
    kind = triggers[0].kind
    found = [trigger.handler for trigger in triggers]
    found += [one for kinds, one in app.middlewares if kind in kinds]
    if kind == "http":
        found += app.exception_handlers.values()
        found += [one for trigger in triggers for one in getattr(trigger, "dependencies", ())]
    return found


def place(where: tuple[str, int], root: Path) -> str:
    """``file:line`` relative to the project, where it lies inside."""
    path = Path(where[0])
    if path.is_absolute() and path.resolve().is_relative_to(root):
        path = path.resolve().relative_to(root)
    return f"{path.as_posix()}:{where[1]}"


def _source(trigger: Trigger) -> tuple[str, str] | None:
    if isinstance(trigger, MessageTrigger):
        return trigger.source.kind, trigger.source.name
    if isinstance(trigger, StreamTrigger):
        return trigger.stream.kind, trigger.stream.name
    if isinstance(trigger, BlobTrigger):
        return trigger.bucket.kind, trigger.bucket.name
    if isinstance(trigger, ChangeTrigger):
        return trigger.table.kind, trigger.table.name
    if isinstance(trigger, SocketTrigger):
        return trigger.sockets.kind, trigger.sockets.name
    return None


def _dead_letters(trigger: Trigger) -> Resource | None:
    """The queue that a stream's function gives records up to."""
    return trigger.dead_letters if isinstance(trigger, StreamTrigger) else None


def _beside(resource: Resource | None) -> Resource | None:
    """The bucket of a queue's large bodies, the table of sockets' groups: whoever uses the one needs the other."""
    return getattr(resource, "large", None) or getattr(resource, "store", None)


def _declared(app: App, grouped: dict[str, list[Trigger]], root: Path) -> dict[tuple[str, str], Resource]:
    """The app's own resources, those of triggers, and every global of an imported module of the project."""
    found: dict[tuple[str, str], Resource] = {}

    def add(resource: Resource) -> None:
        known = found.setdefault((resource.kind, resource.name), resource)
        if known is not resource and not known.same_as(resource):
            raise ConfigError(
                f"{resource} at {place(resource.where, root)} differs from its declaration at "
                f"{place(known.where, root)}; one resource has one set of options"
            )
        if (other := _beside(resource)) is not None:
            add(other)

    for resource in app.resources.values():
        add(resource)
    for triggers in grouped.values():
        for resource in declared_by_guards(app, triggers):
            add(resource)
        for trigger in triggers:
            if isinstance(trigger, MessageTrigger):
                add(trigger.source)
            elif isinstance(trigger, StreamTrigger):
                add(trigger.stream)
                if trigger.dead_letters is not None:
                    add(trigger.dead_letters)
            elif isinstance(trigger, BlobTrigger):
                add(trigger.bucket)
            elif isinstance(trigger, ChangeTrigger):
                add(trigger.table)
            elif isinstance(trigger, SocketTrigger):
                add(trigger.sockets)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None or not in_project(file, root):
            continue
        for value in list(vars(module).values()):
            if isinstance(value, Resource):
                add(value)
    return found


def _function(name: str, triggers: list[Trigger], uses: list[str], root: Path) -> FunctionRecord:
    memories = [trigger.settings.memory for trigger in triggers if trigger.settings.memory is not None]
    timeouts = [trigger.settings.timeout for trigger in triggers if trigger.settings.timeout is not None]
    return FunctionRecord(
        name=name,
        kind=triggers[0].kind,
        triggers=[_trigger(trigger, root) for trigger in triggers],
        memory=max(memories, default=None),
        timeout=max((timeout.total_seconds() for timeout in timeouts), default=None),
        modules=sorted({module for trigger in triggers for module in trigger.modules}),
        uses=uses,
        is_async=any(trigger.is_async for trigger in triggers),
    )


def _trigger(trigger: Trigger, root: Path) -> TriggerRecord:
    handler = f"{trigger.handler.__module__}:{getattr(trigger.handler, '__qualname__', '?')}"
    if isinstance(trigger, HTTPMount):
        handler = trigger.mounted.name
    return TriggerRecord(trigger.kind, handler, place(trigger.where, root), _options(trigger))


def _options(trigger: Trigger) -> dict[str, Any]:
    if isinstance(trigger, HTTPRoute):
        return {
            "method": trigger.method,
            "path": trigger.path,
            "status": trigger.status,
            "auth": trigger.auth,
            "max_body": trigger.max_body,
            "stream": trigger.stream,
            "background": any(one.place == "tasks" for one in flatten(describe(trigger))),
        }
    if isinstance(trigger, MessageTrigger):
        options: dict[str, Any] = {trigger.source.kind: trigger.source.name, "batch_size": trigger.batch_size}
        if trigger.concurrency > 1:
            options["concurrency"] = trigger.concurrency
        return options if trigger.source.kind == "queue" else options | {"filter": trigger.filter}
    if isinstance(trigger, StreamTrigger):
        return {
            "stream": trigger.stream.name,
            "batch_size": trigger.batch_size,
            "start": trigger.start,
            "parallel": trigger.parallel,
            "bisect": trigger.bisect,
            "max_attempts": trigger.max_attempts,
            "window": None if trigger.window is None else trigger.window.total_seconds(),
            "dead_letters": None if trigger.dead_letters is None else trigger.dead_letters.name,
        }
    if isinstance(trigger, BlobTrigger):
        kinds = list(trigger.kinds)
        return {"bucket": trigger.bucket.name, "prefix": trigger.prefix, "suffix": trigger.suffix, "kinds": kinds}
    if isinstance(trigger, ChangeTrigger):
        return {"table": trigger.table.name, "old": trigger.old, "key": trigger.table.key_types}
    if isinstance(trigger, ScheduleTrigger):
        every = None if trigger.every is None else trigger.every.total_seconds()
        return {"cron": trigger.cron, "every": every, "timezone": trigger.timezone}
    if isinstance(trigger, SocketTrigger):
        return {"path": trigger.path, "sockets": trigger.sockets.name}
    return {}


def _model_of(resource: Resource) -> Any:
    """The type a resource reads from JSON, None where there is none."""
    return resource.model if isinstance(resource, (Cache, Config)) else getattr(resource, "type", None)


def _reads_form(trigger: Trigger) -> bool:
    return isinstance(trigger, HTTPRoute) and has_form(describe(trigger))


def _needs_msgspec(trigger: Trigger) -> bool:
    if isinstance(trigger, DirectTrigger):
        annotations = [one.annotation for one in parameters_of(trigger.handler) if one.annotation is not MISSING]
        return any(needs_msgspec(one) for one in annotations if split_optional(one)[0] is not Context)
    if not isinstance(trigger, HTTPRoute):
        return False
    return any(one.needs_msgspec for one in flatten(describe(trigger))) or _answers_need_msgspec(trigger)


def _answers_need_msgspec(route: HTTPRoute) -> bool:
    """Whether an answer may have to be made the model the route declares."""
    annotation = without_responses(declared_answer(route))
    return annotation is not MISSING and holds_model(annotation) and not is_pydantic(annotation)
