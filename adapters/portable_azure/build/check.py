"""What Azure cannot give an app, said before it is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from portable.build.schedules import check_timers
from portable.build.target import Finding
from portable.manifest import FunctionRecord, Manifest, ResourceRecord, TriggerRecord
from portable_azure import limits
from portable_azure.build.files import DIRECT_ROUTE, source_of
from portable_azure.build.plan import Settings, bus_sources, needs_of, plan_apps
from portable_azure.capabilities import CAPABILITIES
from portable_azure.schedules import timers_of
from portable_azure.topic import filter_rule

__all__ = ["check_app"]


def check_app(manifest: Manifest, settings: Settings) -> Iterator[Finding]:
    """Every finding, in the order of the manifest."""
    yield from _check_names(manifest)
    for function in manifest.functions:
        yield from _check_size(function, settings)
        yield from _check_duration(function, settings)
        if function.kind == "http":
            yield from _check_http(function, manifest)
        elif function.kind == "message":
            yield from _check_message(function, bus_sources(manifest))
        elif function.kind == "stream":
            yield from _check_stream(function)
        elif function.kind == "blob":
            yield from _check_blob(function, settings)
        elif function.kind == "schedule":
            yield from _check_schedule(function)
        elif function.kind == "change":
            yield from _check_change(function, settings)
    for queue in manifest.of_kind("queue"):
        yield from _check_wait(queue)
    yield from _check_senders(manifest)
    if settings.apps == "one" and manifest.functions:
        yield from _check_union(manifest, settings)


def _where(function: FunctionRecord) -> str:
    return function.triggers[0].where


def _check_names(manifest: Manifest) -> Iterator[Finding]:
    for function in manifest.functions:
        if function.name in limits.RESERVED_FUNCTIONS:
            yield Finding("error", _where(function), f"Azure keeps the function name {function.name!r}", "rename it")


def _check_size(function: FunctionRecord, settings: Settings) -> Iterator[Finding]:
    sizes = limits.PLAN_MEMORY[settings.plan]
    if function.memory is None or function.memory in sizes:
        return
    asked = f"function {function.name!r} asks for {function.memory} MiB"
    if function.memory > sizes[-1]:
        message = f"{asked}; the {settings.plan} plan has at most {sizes[-1]}"
        yield Finding("error", _where(function), message, "ask for less, or set plan in [tool.portable.azure]")
    else:
        size = next(one for one in sizes if one >= function.memory)
        yield Finding("info", _where(function), f"{asked} and gets instances of {size} MiB")


def _check_duration(function: FunctionRecord, settings: Settings) -> Iterator[Finding]:
    if function.timeout is None:
        return
    asked = f"function {function.name!r} asks for {function.timeout:g} s"
    longest = limits.PLAN_TIMEOUTS[settings.plan][1]
    if longest is not None and function.timeout > longest:
        message = f"{asked}; the {settings.plan} plan ends it after {longest}"
        yield Finding("error", _where(function), message, "ask for less, or set plan in [tool.portable.azure]")
    if function.kind in ("http", "direct") and function.timeout > limits.HTTP_SECONDS:
        message = f"{asked}; Azure ends a request after {limits.HTTP_SECONDS}"
        yield Finding("error", _where(function), message, "answer sooner, and put the work on a queue")


def _check_bodies(function: FunctionRecord) -> Iterator[Finding]:
    for trigger in function.triggers:
        most = trigger.options["max_body"]
        if most is not None and most > limits.REQUEST_BYTES:
            message = f"max_body of {most} bytes: the Functions host takes requests of {limits.REQUEST_BYTES}"
            yield Finding("warning", trigger.where, message, "let callers upload to a bucket")


def _check_http(function: FunctionRecord, manifest: Manifest) -> Iterator[Finding]:
    yield from _check_bodies(function)
    first = next(one for one in manifest.functions if one.kind == "http")
    if function is not first:
        message = f"functions {first.name!r} and {function.name!r} both take requests; on Azure one function takes all"
        yield Finding("error", _where(function), message, "leave function='…' out")
    if len({trigger.options["auth"] for trigger in function.triggers}) > 1:
        where = next(one.where for one in function.triggers if one.options["auth"] != "public")
        message = "routes with and without auth='cloud' are one function on Azure, which has one level of access"
        yield Finding("error", where, message, "give all of them auth='cloud', or none")
    direct = any(one.kind == "direct" for one in manifest.functions)
    reserved = {*limits.RESERVED_ROUTES, *([DIRECT_ROUTE] if direct else [])}
    for trigger in function.triggers:
        if trigger.options["path"].split("/")[1].lower() in reserved:
            message = f"path {trigger.options['path']!r}: requests to it do not reach the app on Azure"
            yield Finding("error", trigger.where, message, "choose another first segment")
        elif trigger.options["method"] == "*" and trigger.options["path"] == "/":
            names = ", ".join(f"/{name}" for name in sorted(reserved))
            message = f"a mount at /: requests to {names} do not reach the app on Azure"
            yield Finding("warning", trigger.where, message, "give what the application has there another path")


def _check_message(function: FunctionRecord, bus: Mapping[str, bool]) -> Iterator[Finding]:
    queues = {trigger.key for trigger in function.triggers}
    if queues & set(bus) and queues - set(bus):
        message = (
            f"function {function.name!r}: it has queues of Service Bus and storage queues, which differ as triggers"
        )
        yield Finding("error", _where(function), message, "give each its own function")
    for trigger in function.triggers:
        kind, name = trigger.source
        queue = f"{kind} {name!r}"
        if trigger.options["batch_size"] > 1:
            message = f"{queue}: Azure hands over messages one by one, several at a time; a list of messages holds one"
            yield Finding("warning", trigger.where, message)
        if "concurrency" in trigger.options:
            message = f"{queue}: how many messages are in hand at once is the Function App's batch size, and not "
            message += f"concurrency={trigger.options['concurrency']}"
            yield Finding("info", trigger.where, message)
        if kind == "topic":
            yield from _check_filter(queue, trigger)
            continue
        message = (
            f"{queue}: Azure cannot delay a failed message; Retry(after=…) sends it again, with its attempts counted "
            "on, so a crash in between delivers it twice"
        )
        yield Finding("warning", trigger.where, message)


def _check_wait(queue: ResourceRecord) -> Iterator[Finding]:
    if "retry" not in queue.options:
        return
    label, longest = f"queue {queue.name!r}, retry", queue.options["retry"][2]
    if queue.options.get("ordered"):
        message = f"{label}: a failed message of an ordered queue comes back at once, for a copy would lose its place"
        yield Finding("error", queue.where, message, "leave retry= out, or ordered=")
    elif not queue.options.get("dedup") and longest > limits.QUEUE_DELAY_SECONDS:
        message = f"{label}: a wait of {longest:g} s; a storage queue hides a message for "
        message += f"{limits.QUEUE_DELAY_SECONDS} at most"
        yield Finding("error", queue.where, message, f"limit=timedelta(seconds={limits.QUEUE_DELAY_SECONDS})")


def _check_stream(function: FunctionRecord) -> Iterator[Finding]:
    for trigger in function.triggers:
        stream, parallel = f"stream {trigger.options['stream']!r}", trigger.options["parallel"]
        if parallel > 1:
            message = f"{stream}, parallel={parallel}: Event Hubs has one batch of a partition in hand at a time"
            yield Finding("warning", trigger.where, message, "more partitions")
    first = function.triggers[0]
    for trigger in function.triggers:
        if any(trigger.options[name] != first.options[name] for name in ("batch_size", "start", "window")):
            message = f"function {function.name!r}: batch_size, start and window are one for all streams of an app"
            yield Finding("error", trigger.where, message, "give each stream its own function")


def _check_change(function: FunctionRecord, settings: Settings) -> Iterator[Finding]:
    for trigger in function.triggers:
        table = f"changes of table {trigger.options['table']!r}"
        if settings.changes == "latest":
            message = f"{table}: writes of one item that follow one another come as one change, and each as an 'update'"
            yield Finding("warning", trigger.where, message)
            continue
        message = (
            f"{table}: Cosmos DB hands over an item as it is now, so writes that follow one another are one change, "
            "and an insertion is not told from an update"
        )
        way_out = "[tool.portable.azure] changes = 'latest' takes that, or send a message where the item is written"
        yield Finding("error", trigger.where, message, way_out)


def _check_senders(manifest: Manifest) -> Iterator[Finding]:
    """A function that has a stream, and is not called by it, can only want to send to it."""
    for stream in manifest.of_kind("stream"):
        capability = CAPABILITIES["stream"]["send"]
        for function in manifest.senders(stream.name):
            message = f"function {function.name!r} uses stream {stream.name!r}, and is not called by it: "
            message += f"sending is not offered on Azure, for {capability.note}"
            yield Finding("error", _where(function), message, capability.way_out)


def _check_filter(topic: str, trigger: TriggerRecord) -> Iterator[Finding]:
    message = f"{topic}: a failed message comes back at once, whatever Retry(after=…) asks"
    yield Finding("warning", trigger.where, message)
    rule = filter_rule(trigger.options["filter"] or {})
    if len(rule) > limits.BUS_RULE_CHARACTERS:
        message = (
            f"{topic}: a filter of {len(rule)} characters ({rule}); Service Bus takes {limits.BUS_RULE_CHARACTERS}"
        )
        yield Finding("error", trigger.where, message, "an attribute that says what the handler looks for")


def _check_blob(function: FunctionRecord, settings: Settings) -> Iterator[Finding]:
    source = source_of(function, settings)
    way_out = "set blob_source = 'eventgrid' in [tool.portable.azure]"
    if source == "blob" and settings.plan == "flex":
        message = f"function {function.name!r}: the flex plan has no blob trigger that polls"
        yield Finding("error", _where(function), message, way_out)
    elif source == "blob":
        message = f"function {function.name!r}: a blob trigger that polls can be minutes late, and can miss blobs"
        yield Finding("warning", _where(function), message, way_out)
    if source != "event-grid":
        message = f"function {function.name!r}: the host reads each blob whole into memory before it calls the function"
        yield Finding("info", _where(function), message)
    for trigger in function.triggers:
        if trigger.options["suffix"]:
            suffix = trigger.options["suffix"]
            message = f"the suffix {suffix!r} is filtered in the entry: other blobs cost an invocation"
            yield Finding("warning", trigger.where, message)


def _check_schedule(function: FunctionRecord) -> Iterator[Finding]:
    for trigger in function.triggers:
        why = "no cron expression is due at such an interval"
        if trigger.options["cron"] is not None:
            why = "timers on Azure run in UTC, which is ahead or behind by its offsets in turn"
        yield from check_timers(trigger, timers_of(trigger), why)


def _check_union(manifest: Manifest, settings: Settings) -> Iterator[Finding]:
    """What one app for all widens."""
    [app] = plan_apps(manifest, settings)
    for function in manifest.functions:
        needs = needs_of(function, manifest, settings)
        wider = []
        if needs.memory < app.needs.memory:
            wider.append(f"instances of {app.needs.memory} MiB")
        if needs.timeout is not None and needs.timeout < app.timeout:
            wider.append(f"{app.timeout:g} s instead of {needs.timeout:g}")
        if needs.batch is not None and needs.batch > app.batch_size:
            wider.append(f"{app.batch_size} messages fetched at once instead of {needs.batch}")
        if needs.stream is not None and app.needs.stream is not None and needs.stream[1:] != app.needs.stream[1:]:
            message = f"apps = 'one', and the streams of function {function.name!r} have another start or window"
            yield Finding("error", _where(function), message, "the same start= and window= for all, or apps = 'split'")
        if wider:
            message = f"apps = 'one' gives function {function.name!r} {', '.join(wider)}"
            yield Finding("warning", _where(function), message)
    if len({tuple(function.uses) for function in app.functions}) > 1:
        message = "apps = 'one': every function has the identity of all, so each can use every resource of the app"
        yield Finding("warning", _where(app.functions[0]), message)
