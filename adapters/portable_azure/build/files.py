"""The files of a Function App: ``function_app.py`` and ``host.json``.

Physical names are not in the bundle. Besides the addresses every resource has, a trigger is bound through settings that
a deployment makes of them:

* ``PORTABLE_QUEUENAME_<NAME>``, ``PORTABLE_BUCKETNAME_<NAME>``: the queue's or container's name
* ``PORTABLE_QUEUEACCOUNT_<NAME>``, ``PORTABLE_BUCKETACCOUNT_<NAME>``: the connection of its storage account, which is a
  connection string, or ``…__queueServiceUri`` and, for a bucket, ``…__blobServiceUri`` too for the app's identity
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from portable.drivers import address_variable
from portable.manifest import FunctionRecord, TriggerRecord
from portable.resources.topic import subscription_name
from portable_azure.build.plan import FunctionApp, Settings
from portable_azure.build.schedule import ncrontab_of_cron, ncrontab_of_interval
from portable_azure.keys import encode_key

__all__ = ["DIRECT_ROUTE", "SOCKET_ROUTE", "files_of", "source_of"]

DIRECT_ROUTE = "portable-invoke"

_HEAD = '''"""Written by `portable build`. Changes are lost with the next one."""

import azure.functions as func
SOCKET_ROUTE = "portable-sockets"
from portable_azure.runtime import entry

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
'''


def source_of(function: FunctionRecord, settings: Settings, bus: Collection[str] = ()) -> str:
    """The event source that calls a function. ``bus``: the queues on Service Bus."""
    if function.kind == "message" and (function.asks("topic") or any(queue in bus for queue in function.asks("queue"))):
        return "service-bus"
    if function.kind == "blob":
        if any("deleted" in kinds for kinds in function.asks("kinds")):
            return "event-grid"
        return "blob-eventgrid" if settings.blob_source == "eventgrid" else "blob"
    return {"http": "http", "message": "storage-queue", "schedule": "timer", "direct": "direct"}[function.kind]


def schedule_of(trigger: TriggerRecord) -> str:
    """NCRONTAB of a schedule. Raises ValueError for what Azure cannot say."""
    cron, every = trigger.options["cron"], trigger.options["every"]
    return ncrontab_of_interval(every) if cron is None else ncrontab_of_cron(cron)


def files_of(app: FunctionApp, spec: str) -> dict[str, bytes]:
    """Path to content."""
    blocks = [_HEAD]
    for function in app.functions:
        blocks += _registrations(function, app, spec)
    return {"function_app.py": "\n".join(blocks).encode(), "host.json": _host_json(app)}


def _host_json(app: FunctionApp) -> bytes:
    document: dict[str, Any] = {
        "version": "2.0",
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
        "functionTimeout": _time_span(app.timeout),
        "extensions": {
            "http": {"routePrefix": ""},
            "queues": {
                "batchSize": app.batch_size,
                "maxDequeueCount": app.max_dequeue_count,
                "messageEncoding": "base64",
            },
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _time_span(seconds: float) -> str:
    whole = -int(-seconds // 1)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}.{text}" if days else text


def _registrations(function: FunctionRecord, app: FunctionApp, spec: str) -> list[str]:
    source = source_of(function, app.settings, app.bus)
    resources = _resources(function)
    registered = []
    for resource, triggers in resources.items():
        name = function.name if len(resources) == 1 else f"{function.name}_{resource.replace(':', '_')}"
        arguments = [repr(spec), repr(function.name), repr(function.modules), repr(source)]
        if resource:
            arguments.append(f"resource={resource!r}")
        arguments += [f"is_async={function.is_async}", f"timeout={app.timeout!r}"]
        if function.kind == "message":
            arguments.append(f"max_dequeue_count={app.max_dequeue_count}")
        decorator = _decorator(source, function, resource, triggers, bool(app.bus.get(resource)))
        registered.append(
            f"app.function_name({name!r})(\n    {decorator}(\n        entry({', '.join(arguments)})\n    )\n)"
        )
    return registered


def _resources(function: FunctionRecord) -> dict[str, list[TriggerRecord]]:
    """The triggers of a function by what they are on: a message's key, a bucket; "" where there is nothing."""
    found: dict[str, list[TriggerRecord]] = {}
    for trigger in function.triggers:
        resource = trigger.key if function.kind == "message" else trigger.options.get("bucket") or ""
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
    path = f"%{name}%/{_directory(triggers)}{{name}}"
    via = ", source=func.BlobSource.EVENT_GRID" if source == "blob-eventgrid" else ""
    return f"app.blob_trigger(arg_name='event', path={path!r}, connection={account!r}{via})"


def _directory(triggers: list[TriggerRecord]) -> str:
    """What the prefixes have in common up to a slash, where a path can say it; the entry filters the rest."""
    prefixes = sorted(trigger.options["prefix"] for trigger in triggers)
    same = [a == b for a, b in zip(prefixes[0], prefixes[-1], strict=False)]
    common = prefixes[0][: same.index(False) if False in same else len(same)]
    directory = common[: common.rfind("/") + 1]
    plain = not any(character in directory for character in "{}%") and encode_key(f"{directory}x") == f"{directory}x"
    return directory if plain else ""
