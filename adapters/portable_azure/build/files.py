"""The files of a Function App: ``function_app.py`` and ``host.json``.

Physical names are not in the bundle. Besides the addresses every resource has, a trigger is bound through settings that
a deployment makes of them:

* ``PORTABLE_QUEUENAME_<NAME>``, ``PORTABLE_BUCKETNAME_<NAME>``: the queue's or container's name
* ``PORTABLE_QUEUEACCOUNT_<NAME>``, ``PORTABLE_BUCKETACCOUNT_<NAME>``: the connection of its storage account, which is a
  connection string, or ``…__queueServiceUri`` and, for a bucket, ``…__blobServiceUri`` too for the app's identity
* ``PORTABLE_TABLEACCOUNT_<NAME>``: the connection of the Cosmos DB account, or ``…__accountEndpoint``;
  ``PORTABLE_TABLEDATABASE_<NAME>``, ``PORTABLE_TABLENAME_<NAME>``: the database and the container;
  ``PORTABLE_TABLELEASES_<NAME>``: a container of that database with the partition key ``/id``, where each function's
  position in the change feed is kept, under a prefix of its own
* ``PORTABLE_STREAMNAME_<NAME>``, ``PORTABLE_STREAMACCOUNT_<NAME>``: the event hub's name, and the connection of its
  namespace, or ``…__fullyQualifiedNamespace``; ``PORTABLE_CONSUMERGROUP_<STREAM>_<FUNCTION>``: a consumer group for
  each function that handles it, for two that share one would share the records
"""

from __future__ import annotations

import json
from collections.abc import Collection
from textwrap import indent
from typing import Any

from portable.drivers import address_variable
from portable.manifest import FunctionRecord, TriggerRecord
from portable.resources.topic import subscription_name
from portable_azure.build.plan import FunctionApp, Settings
from portable_azure.keys import encode_key
from portable_azure.schedules import timers_of

__all__ = [
    "DIRECT_ROUTE",
    "SOCKET_ROUTE",
    "directory_of",
    "files_of",
    "registered_names",
    "source_of",
    "time_span",
]

DIRECT_ROUTE = "portable-invoke"
SOCKET_ROUTE = "portable-sockets"

_HEAD = '''"""Written by `portable build`. Changes are lost with the next one."""

import azure.functions as func
from portable_azure.runtime import entry

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
'''

_STREAMS = (
    "import azurefunctions.extensions.http.fastapi  # the worker serves the HTTP of an app that imports it itself"
)


_RETRY_FOR_EVER = (
    "app.retry(strategy='exponential_backoff', max_retry_count='-1', "
    "minimum_interval='00:00:01', maximum_interval='00:01:00')"
)
"""Of changes: without a retry policy the feed moves on behind a batch that failed."""


def source_of(function: FunctionRecord, settings: Settings, bus: Collection[str] = ()) -> str:
    """The event source that calls a function. ``bus``: the queues on Service Bus."""
    if function.kind == "message" and (function.asks("topic") or any(queue in bus for queue in function.asks("queue"))):
        return "service-bus"
    if function.kind == "blob":
        if any("deleted" in kinds for kinds in function.asks("kinds")):
            return "event-grid"
        return "blob-eventgrid" if settings.blob_source == "eventgrid" else "blob"
    return {
        "http": "http",
        "message": "storage-queue",
        "stream": "event-hub",
        "change": "cosmos-db",
        "schedule": "timer",
        "direct": "direct",
        "socket": "web-pubsub",
    }[function.kind]


def files_of(app: FunctionApp, spec: str) -> dict[str, bytes]:
    """Path to content."""
    blocks = [_HEAD.replace("import azure.functions as func", f"import azure.functions as func\n{_STREAMS}")]
    if not app.streams:
        blocks = [_HEAD]
    for function in app.functions:
        blocks += _registrations(function, app, spec)
    return {"function_app.py": "\n".join(blocks).encode(), "host.json": _host_json(app)}


def _host_json(app: FunctionApp) -> bytes:
    document: dict[str, Any] = {
        "version": "2.0",
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
        "functionTimeout": time_span(app.timeout),
        "extensions": {
            "http": {"routePrefix": ""},
            "queues": {
                "batchSize": app.batch_size,
                "maxDequeueCount": app.max_dequeue_count,
                "messageEncoding": "base64",
            },
            **({} if app.needs.stream is None else {"eventHubs": _event_hubs(*app.needs.stream)}),
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _event_hubs(batch_size: int, start: str, window: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "maxEventBatchSize": batch_size,
        "initialOffsetOptions": {"type": "fromEnd" if start == "latest" else "fromStart"},
    }
    if window is not None:  # the host waits only for a least number of events
        found |= {"minEventBatchSize": batch_size, "maxWaitTime": time_span(window)}
    return found


def time_span(seconds: float) -> str:
    """A .NET TimeSpan, rounded up to whole seconds."""
    whole = -int(-seconds // 1)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}.{text}" if days else text


def _registrations(function: FunctionRecord, app: FunctionApp, spec: str) -> list[str]:
    source = source_of(function, app.settings, app.bus)
    if source == "timer":
        return _timers(function, app, spec)
    resources = _resources(function)
    registered = []
    for name, (resource, triggers) in zip(registered_names(function, source), resources.items(), strict=True):
        arguments = [repr(spec), repr(function.name), repr(function.modules), repr(source)]
        if resource:
            arguments.append(f"resource={resource!r}")
        arguments += [f"is_async={function.is_async}", f"timeout={app.timeout!r}"]
        if app.streams and source in ("http", "direct", "web-pubsub"):
            arguments.append("proxied=True")
        if function.kind == "message":
            arguments.append(f"max_dequeue_count={app.max_dequeue_count}")
        layers = [_decorator(source, function, resource, triggers, bool(app.bus.get(resource)))]
        if source == "cosmos-db":
            layers.insert(0, _RETRY_FOR_EVER)
        if source == "event-hub" and triggers[0].options["max_attempts"] != 1:
            layers.insert(0, _retries(triggers[0]))
        call = f"entry({', '.join(arguments)})"
        for layer in (*reversed(layers), f"app.function_name({name!r})"):
            call = f"{layer}(\n{indent(call, '    ')}\n)"
        registered.append(call)
    return registered


def registered_names(function: FunctionRecord, source: str) -> list[str]:
    """The names a function has in its Function App: several where it has several resources, or two timers."""
    if source == "timer":
        names = (function.name, f"{function.name}_weekdays")
        return [name for name, _ in zip(names, timers_of(function.triggers[0]), strict=False)]
    resources = _resources(function)
    if len(resources) == 1:
        return [function.name]
    return [f"{function.name}_{resource.replace(':', '_')}" for resource in resources]


def _timers(function: FunctionRecord, app: FunctionApp, spec: str) -> list[str]:
    """A timer, or two for a schedule that is due on its days and on its weekdays."""
    registered = []
    for name, timer in zip(registered_names(function, "timer"), timers_of(function.triggers[0]), strict=True):
        arguments = [repr(spec), repr(function.name), repr(function.modules), "'timer'"]
        arguments += [f"is_async={function.is_async}", f"timeout={app.timeout!r}"]
        if timer.drops:
            arguments.append(f"drops={timer.drops!r}")
        decorator = f"app.timer_trigger(arg_name='event', schedule={timer.expression!r}, use_monitor=True)"
        registered.append(
            f"app.function_name({name!r})(\n    {decorator}(\n        entry({', '.join(arguments)})\n    )\n)"
        )
    return registered


def _resources(function: FunctionRecord) -> dict[str, list[TriggerRecord]]:
    """The triggers of a function by what they are on: a message's key, a bucket; "" where there is nothing."""
    found: dict[str, list[TriggerRecord]] = {}
    for trigger in function.triggers:
        resource = trigger.options.get("bucket") or trigger.options.get("table") or ""
        if function.kind in ("message", "stream"):
            resource = trigger.key if function.kind == "message" else trigger.options["stream"]
        found.setdefault(resource, []).append(trigger)
    return found


def _decorator(
    source: str, function: FunctionRecord, resource: str, triggers: list[TriggerRecord], ordered: bool
) -> str:
    if source == "http":
        public = any(trigger.options["auth"] == "public" for trigger in triggers)
        level = "ANONYMOUS" if public else "FUNCTION"
        return f"app.route(route='{{*path}}', trigger_arg_name='event', auth_level=func.AuthLevel.{level})"
    if source == "direct":
        route = f"{DIRECT_ROUTE}/{function.name}"
        methods = "methods=['POST'], auth_level=func.AuthLevel.FUNCTION"
        return f"app.route(route={route!r}, trigger_arg_name='event', {methods})"
    if source == "web-pubsub":
        route = f"{SOCKET_ROUTE}/{function.name}"
        methods = "methods=['POST', 'OPTIONS'], auth_level=func.AuthLevel.FUNCTION"
        return f"app.route(route={route!r}, trigger_arg_name='event', {methods})"
    if source == "event-hub":
        return _event_hub(function, triggers[0])
    if source == "event-grid":
        return "app.event_grid_trigger(arg_name='event')"
    if source == "cosmos-db":
        return _cosmos(function, resource)
    if source == "storage-queue":
        name, account = (address_variable(kind, resource) for kind in ("queuename", "queueaccount"))
        return f"app.queue_trigger(arg_name='event', queue_name='%{name}%', connection={account!r})"
    if source == "service-bus" and triggers[0].source[0] == "topic":
        topic = triggers[0].source[1]
        name, account = (address_variable(kind, topic) for kind in ("topicname", "topicaccount"))
        own = address_variable("subscriptionname", subscription_name(topic, function.name))
        place = f"topic_name='%{name}%', subscription_name='%{own}%', connection={account!r}"
        return f"app.service_bus_topic_trigger(arg_name='event', {place}, is_sessions_enabled={ordered})"
    if source == "service-bus":
        name, account = (address_variable(kind, resource) for kind in ("queuename", "queueaccount"))
        queue = f"queue_name='%{name}%', connection={account!r}, is_sessions_enabled={ordered}"
        return f"app.service_bus_queue_trigger(arg_name='event', {queue})"
    name, account = (address_variable(kind, resource) for kind in ("bucketname", "bucketaccount"))
    path = f"%{name}%/{directory_of(triggers)}{{name}}"
    via = ", source=func.BlobSource.EVENT_GRID" if source == "blob-eventgrid" else ""
    return f"app.blob_trigger(arg_name='event', path={path!r}, connection={account!r}{via})"


def _cosmos(function: FunctionRecord, table: str) -> str:
    account, database, container, leases = (
        address_variable(kind, table) for kind in ("tableaccount", "tabledatabase", "tablename", "tableleases")
    )
    place = f"connection={account!r}, database_name='%{database}%', container_name='%{container}%'"
    own = f"lease_container_name='%{leases}%', lease_container_prefix={function.name!r}"
    return f"app.cosmos_db_trigger(arg_name='event', {place}, {own})"


def _event_hub(function: FunctionRecord, trigger: TriggerRecord) -> str:
    stream = trigger.options["stream"]
    name, account = (address_variable(kind, stream) for kind in ("streamname", "streamaccount"))
    group = address_variable("consumergroup", subscription_name(stream, function.name))
    place = f"event_hub_name='%{name}%', connection={account!r}, consumer_group='%{group}%'"
    kind = "cardinality=func.Cardinality.MANY, data_type=func.DataType.BINARY"
    return f"app.event_hub_message_trigger(arg_name='event', {place}, {kind})"


def _retries(trigger: TriggerRecord) -> str:
    """Without a retry policy the host moves on behind a batch that failed; -1 is without end."""
    count = (trigger.options["max_attempts"] or 0) - 1
    intervals = "minimum_interval='00:00:01', maximum_interval='00:01:00'"
    return f"app.retry(strategy='exponential_backoff', max_retry_count='{count}', {intervals})"


def directory_of(triggers: list[TriggerRecord]) -> str:
    """What the prefixes have in common up to a slash, where a path can say it; the entry filters the rest."""
    prefixes = sorted(trigger.options["prefix"] for trigger in triggers)
    same = [a == b for a, b in zip(prefixes[0], prefixes[-1], strict=False)]
    common = prefixes[0][: same.index(False) if False in same else len(same)]
    directory = common[: common.rfind("/") + 1]
    plain = not any(character in directory for character in "{}%") and encode_key(f"{directory}x") == f"{directory}x"
    return directory if plain else ""
