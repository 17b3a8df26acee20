"""How a bundle for Lambda is made, ``portable_entry.py`` with one handler a function; and what AWS cannot give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from portable.build.costs import Calls, Charge
from portable.build.deployment import Deployment
from portable.build.schedules import Timer, check_timers, cron_of, needs_zones, timers_by_function
from portable.build.target import Bundle, Finding
from portable.manifest import FunctionRecord, Manifest, TriggerRecord
from portable_aws import limits
from portable_aws.capabilities import BOUNDS, CAPABILITIES, NAMES
from portable_aws.gateway import authorizer_entry, authorizers_of, check_authorizer
from portable_aws.image import image_plan
from portable_aws.infrastructure import FORMS, infrastructure_of
from portable_aws.schedules import timers_of
from portable_aws.source_checks import check_batch, check_filter, check_senders, check_stream, check_wait
from portable_aws.triggers import CODECS, source_of

__all__ = ["TARGET", "AWSTarget"]

_ENTRY = '''\
"""One Lambda handler a function: ``portable_entry.{first}``. Written by `portable build`."""

import gc as _gc

from portable.shipped import install as _install

_install()
_FUNCTIONS = {{
{rows}}}


def __getattr__(_handler):
    # On first use, so that a function imports the modules of its own handlers and no others.
    if _handler not in _FUNCTIONS:
        raise AttributeError(f"no function has the handler {{_handler!r}}; there are {{', '.join(_FUNCTIONS)}}")
    # What starting makes stays: looking for garbage among it would cost a fifth of a cold start, and again later.
    _gc.disable()
    try:
        from portable_aws.runtime import entry

        _found = globals()[_handler] = entry({spec!r}, *_FUNCTIONS[_handler])
    finally:
        _gc.freeze()
        _gc.enable()
    return _found
'''

# Whoever brings one of these may call any service.
_OTHER_USERS = frozenset({"aioboto3", "aiobotocore", "boto3", "s3fs", "s3transfer"})
# sts: identities that come as a web token, as on Kubernetes.
_SHARED_DATA = ("_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json", "sts")

SERVICES: Mapping[str, Sequence[str]] = {
    "sockets": ("apigatewaymanagementapi",),
    "config": ("ssm",),
    "secret": ("secretsmanager", "ssm"),
    "stream": ("kinesis",),
    "bucket": ("s3",),
    "queue": ("sqs",),
    "table": ("dynamodb",),
    "topic": ("sns", "sqs"),
}
"""What botocore calls the services that each kind of resource needs; a topic's subscriptions are queues."""

_BOOTSTRAP = """\
#!/bin/sh
# Starts this framework's own runtime loop: as AWS_LAMBDA_EXEC_WRAPPER of a managed Python runtime, which hands over the
# command of its own client, the interpreter first; or as an image's entry point, with the handler or nothing.
# Written by `portable build`.
case "${1-}" in
    portable_entry.*) export _HANDLER="$1"; shift ;;
esac
cd "${LAMBDA_TASK_ROOT:-$(dirname "$0")}" || exit 1
exec "${1:-python3}" -c "
from portable.shipped import install; install()
from portable_aws.runtime_loop import main; main()"
"""

PORTABLE = "portable"
"""``[tool.portable.aws] runtime``: this framework's own runtime loop in place of AWS's client, ``"awslambdaric"``."""

STREAMED = ("function-url", "rest-api")
"""Sources that hand on an answer while it is made: an HTTP API and a load balancer do not."""

CHOSEN = ("http", "blob", "schedule", "stream")
"""Trigger kinds whose event source is a setting: ``[tool.portable.aws] http = "function-url"``."""


DEPLOYING = ("artifacts", "parameters", "profile", "region", "stack")
"""Settings of ``portable deploy``, see ``portable_aws.deploy``."""


class AWSTarget:
    """See ``portable.build.target.BuildTarget``."""

    name = "aws"
    pythons: Sequence[str] = limits.PYTHONS
    reserved = frozenset({"portable_entry", "portable_authorizer"})
    dependency_folder = ""
    adapter_packages: Sequence[str] = ("portable_aws",)
    known_settings: Sequence[str] = (*CHOSEN, "access_logs", "authorizer", "runtime", *DEPLOYING)
    infrastructure_forms: Sequence[str] = FORMS
    glibc: Mapping[str, int] = limits.GLIBC
    ships = True
    splits = True
    loads = "import portable_entry; portable_entry.{identifier}"
    holds: Sequence[str] = limits.RUNTIME_HOLDS
    bounds = BOUNDS
    capabilities = CAPABILITIES
    prices = Path(__file__).with_name("prices.toml")
    naming = NAMES
    image = staticmethod(image_plan)
    image_settings: Mapping[str, Any] = {"runtime": PORTABLE}

    def check(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Finding]:
        """What AWS cannot give."""
        found = list(_check_settings(settings))
        if found:
            return found
        for function in manifest.functions:
            found += _check_function(function, _source(function.kind, settings))
            if function.kind == "http":
                found += _check_streams(function, _source("http", settings), settings.get("runtime"))
        found += check_authorizer(manifest, settings.get("authorizer"), _source("http", settings))
        for source in (*manifest.of_kind("queue"), *manifest.of_kind("topic")):
            found += check_wait(source)
        found += check_senders(manifest, _source("stream", settings))
        if _source("blob", settings) == "s3":
            found += _check_notifications(manifest)
        return found

    def requirements(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[str]:
        """The SDK's core when a resource is one of AWS's, and time zones where an entry reads one; nothing else: Lambda
        brings its runtime client.

        A queue or topic that only triggers needs it too: ``Retry(after=…)`` and ``Reject`` are calls of SQS. A topic
        of Kafka does not: it can only trigger.
        """
        calling = [kind for kind in SERVICES if kind != "stream" or _source("stream", settings) == "kinesis"]
        sdk = ["botocore>=1.35.70"] if any(manifest.of_kind(kind) for kind in calling) else []
        return [*sdk, "tzdata>=2024.2"] if needs_zones(manifest, self.timers(manifest, settings)) else sdk

    def data_used(self, manifest: Manifest, listed: Sequence[str], pins: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Four hundred services are described in 20 MB; an app that does not call them itself needs one or two."""
        if _OTHER_USERS & {*listed, *pins} or "botocore" in listed:
            return {}
        used = {name for kind, names in SERVICES.items() if manifest.of_kind(kind) for name in names}
        return {"botocore/data": [*sorted(used), *_SHARED_DATA]}

    def bundles(self, manifest: Manifest, settings: Mapping[str, Any]) -> Sequence[Bundle]:
        """One folder for all functions: each is deployed from it, with its own handler. Raises ConfigError."""
        sources = {function.name: _source(function.kind, settings) for function in manifest.functions}
        rows = "".join(
            f"    {handler_name(function.name)!r}: "
            f"({function.name!r}, {tuple(function.modules)!r}, {sources[function.name]!r}"
            f"{', True' if any(function.asks('stream')) and function.kind == 'http' else ''}),\n"
            for function in manifest.functions
        )
        first = handler_name(manifest.functions[0].name) if manifest.functions else "FUNCTION"
        entry = _ENTRY.format(rows=rows, spec=manifest.spec, first=first)
        files = {"portable_entry.py": entry.encode()}
        if settings.get("runtime") == PORTABLE:
            files["bootstrap"] = _BOOTSTRAP.encode()
        if settings.get("authorizer"):
            files["portable_authorizer.py"] = authorizer_entry(settings["authorizer"], _source("http", settings))
        return [Bundle("", sources, files)]

    def authorizers(self, manifest: Manifest, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """What API Gateway can check before the function."""
        return authorizers_of(manifest, _source("http", settings))

    def infrastructure(self, deployment: Deployment) -> Mapping[str, Any]:
        """The CloudFormation template, or the same for Terraform or Serverless."""
        return infrastructure_of(deployment)

    def charges(self, calls: Sequence[Calls], settings: Mapping[str, Any]) -> Mapping[str, Sequence[Charge]]:
        """What is billed, by function."""
        from portable_aws.costs import charges_of

        return charges_of(calls, settings)

    def timers(self, manifest: Manifest, settings: Mapping[str, Any]) -> Mapping[str, Sequence[Timer]]:
        """What EventBridge is told, by function."""
        source = _source("schedule", settings)
        return timers_by_function(manifest, lambda trigger: timers_of(trigger, source))


TARGET = AWSTarget()


def handler_name(function: str) -> str:
    """The attribute of ``portable_entry`` that serves a function. Names have no underscores, so none are confused."""
    return function.replace("-", "_")


def _source(kind: str, settings: Mapping[str, Any]) -> str:
    return source_of(kind, settings.get(kind) if kind in CHOSEN else None)


def _check_settings(settings: Mapping[str, Any]) -> Iterator[Finding]:
    runtime = settings.get("runtime", "awslambdaric")
    if runtime not in ("awslambdaric", PORTABLE):
        message = f"[tool.portable.aws] runtime = {runtime!r}: there is no such runtime client"
        yield Finding("error", "pyproject.toml", message, f"'awslambdaric' or {PORTABLE!r}")
    logged = settings.get("access_logs", True)
    if not isinstance(logged, bool):
        yield Finding("error", "pyproject.toml", f"[tool.portable.aws] access_logs = {logged!r}", "true or false")
    for kind in CHOSEN:
        chosen = settings.get(kind)
        if chosen is not None and chosen not in CODECS[kind]:
            names = ", ".join(CODECS[kind])
            yield Finding(
                "error",
                "pyproject.toml",
                f"[tool.portable.aws] {kind} = {chosen!r}: AWS has no such source",
                f"one of {names}",
            )


def _check_function(function: FunctionRecord, source: str) -> Iterator[Finding]:
    where = function.triggers[0].where
    if function.timeout is not None and function.timeout > limits.FUNCTION_SECONDS:
        yield Finding(
            "error",
            where,
            f"function {function.name}: Lambda ends an invocation after {limits.FUNCTION_SECONDS} s, "
            f"and {function.timeout:g} s are asked for",
            "split the work over a queue, or choose the target container",
        )
    if function.memory is not None and function.memory > limits.MEMORY_LARGEST:
        yield Finding(
            "error",
            where,
            f"function {function.name}: Lambda has {limits.MEMORY_LARGEST} MiB at most, not {function.memory}",
            f"memory={limits.MEMORY_LARGEST}",
        )
    if function.memory is not None and function.memory < limits.MEMORY_LEAST:
        yield Finding(
            "warning",
            where,
            f"function {function.name}: Lambda gives {limits.MEMORY_LEAST} MiB at least, not {function.memory}",
            f"memory={limits.MEMORY_LEAST}",
        )
    if function.kind == "http":
        yield from _check_http(function, source)
    if function.kind == "socket" and function.timeout is not None and function.timeout > limits.SOCKET_SECONDS:
        yield Finding(
            "error",
            where,
            f"function {function.name}: a WebSocket API gives up after {limits.SOCKET_SECONDS} s, and "
            f"{function.timeout:g} s are asked for",
            f"timeout of {limits.SOCKET_SECONDS} s, and a queue for what takes longer",
        )
    for trigger in function.triggers:
        if trigger.kind == "message":
            yield from check_batch(trigger)
            yield from check_filter(trigger)
        if trigger.kind == "stream":
            yield from check_stream(trigger, source)
        if trigger.kind == "schedule":
            yield from _check_schedule(trigger, source)


def _check_http(function: FunctionRecord, source: str) -> Iterator[Finding]:
    where = function.triggers[0].where
    most = {"http-api": limits.HTTP_API_SECONDS, "rest-api": limits.REST_API_SECONDS}.get(source)
    if source == "rest-api" and any(function.asks("stream")):
        most = limits.REST_STREAM_SECONDS
    if most is not None and function.timeout is not None and function.timeout > most:
        raised = source == "rest-api"
        yield Finding(
            "warning" if raised else "error",
            where,
            f"function {function.name}: {source} gives up after {most} s, and {function.timeout:g} s are asked for",
            f"timeout of {most} s, or [tool.portable.aws] http = 'function-url'"
            + (", or a raised quota of a regional REST API" if raised else ""),
        )
    kinds = {trigger.options["auth"] for trigger in function.triggers}
    for trigger in function.triggers:
        if trigger.options["auth"] == "cloud" and source == "alb":
            yield Finding(
                "error", trigger.where, "a load balancer has no IAM check for auth='cloud'", "http = 'http-api'"
            )
        elif trigger.options["auth"] == "cloud" and source == "function-url" and len(kinds) > 1:
            yield Finding(
                "error",
                trigger.where,
                f"a function URL is checked as a whole, and function {function.name} has public routes too",
                "function='…' on one sort of them, or http = 'http-api'",
            )
        asked, taken = trigger.options["max_body"], limits.LAMBDA_PAYLOAD_BYTES
        message = f"Lambda takes events of {taken} bytes, and a binary body grows by a third in base64"
        if source == "alb":
            taken = limits.ALB_BODY_BYTES
            message = f"a load balancer hands on bodies of {taken} bytes, and answers of {limits.ALB_ANSWER_BYTES}"
        if asked is not None and asked > taken:
            way_out = "let callers upload to a bucket"
            yield Finding("warning", trigger.where, f"max_body of {asked} bytes: {message}", way_out)


def _check_streams(function: FunctionRecord, source: str, runtime: str | None) -> Iterator[Finding]:
    """AWS's own client neither streams nor goes on after an answer; ours does both."""
    own = f"[tool.portable.aws] runtime = {PORTABLE!r}, this framework's own runtime loop"
    for trigger in function.triggers:
        options = trigger.options
        route = f"function {function.name}: {options['method']} {options['path']}"
        if options.get("background") and runtime != PORTABLE:
            message = f"{route} leaves work for after its answer; with awslambdaric nothing runs after it"
            yield Finding("error", trigger.where, message, f"a queue, or {own}")
        if not options.get("stream"):
            continue
        if runtime != PORTABLE:
            message = f"{route} streams, and Lambda's Python client, awslambdaric, has no streaming"
            yield Finding("error", trigger.where, message, f"{own}; or leave out stream=True and put it in a bucket")
        if source not in STREAMED:
            message = f"{route} streams, and {source} hands an answer on when it is whole"
            yield Finding("error", trigger.where, message, "[tool.portable.aws] http = 'function-url' or 'rest-api'")


def _check_schedule(trigger: TriggerRecord, source: str) -> Iterator[Finding]:
    timers = timers_of(trigger, source)
    yield from check_timers(trigger, timers, "EventBridge rules run in UTC; EventBridge Scheduler has time zones")
    cron, timezone = cron_of(trigger), trigger.options["timezone"]
    if source == "scheduler" and cron is not None and cron.running and timers[0].timezone == timezone != "UTC":
        yield Finding(
            "info",
            trigger.where,
            f"cron {cron.text!r}: {timezone} moves its clocks by a part of an hour; EventBridge Scheduler runs what "
            "comes twice once",
        )


def _check_notifications(manifest: Manifest) -> Iterator[Finding]:
    """S3 refuses two notifications that one blob could fit."""
    triggers = [
        (function.name, trigger)
        for function in manifest.functions
        for trigger in function.triggers
        if trigger.kind == "blob"
    ]
    for (name, one), (other_name, other) in combinations(triggers, 2):
        if name != other_name and _overlap(one.options, other.options):
            yield Finding(
                "error",
                other.where,
                f"{other_name} and {name} ({one.where}) take the same blobs of bucket {one.options['bucket']}; "
                "S3 notifies one function only",
                "prefixes or suffixes that exclude each other, or [tool.portable.aws] blob = 's3-eventbridge'",
            )


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one["bucket"] != other["bucket"] or not set(one["kinds"]) & set(other["kinds"]):
        return False
    prefixes: list[str] = [one["prefix"], other["prefix"]]
    suffixes: list[str] = [one["suffix"], other["suffix"]]
    return any(a.startswith(b) for a, b in (prefixes, prefixes[::-1])) and any(
        a.endswith(b) for a, b in (suffixes, suffixes[::-1])
    )
