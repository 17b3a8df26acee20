"""An image on Container Apps, without the Functions host: one app for requests, one for each function that takes
messages, a job for each schedule; each with an identity of its own.

The image is of the target ``container`` with the platform ``azure``.
https://learn.microsoft.com/azure/templates/microsoft.app/containerapps
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portable.build.deployment import Deployment
from portable.drivers import address_variable
from portable.errors import ConfigError
from portable.manifest import FunctionRecord
from portable.resources.topic import subscription_name
from portable_azure.build.infrastructure.access import Access
from portable_azure.build.infrastructure.expressions import Expression, call, property_of, text
from portable_azure.build.infrastructure.logs import add_logs
from portable_azure.build.infrastructure.resources import Names, Placed
from portable_azure.build.infrastructure.template import Template
from portable_azure.schedules import timers_of

__all__ = ["EVENTS_TOKEN", "add_containers"]

EVENTS_TOKEN = "eventsToken"  # noqa: S105
"""The parameter with what those who call functions prove themselves by. Left out, it is one that nobody knows."""

ENVIRONMENT, PORT = "environment", 8080
STEP, MOST = 512, 8192
"""MiB: sizes go by a quarter of a processor and half a GiB, up to four and eight. Documented:
container-apps/containers, "Allocations"."""

TIMEOUT, ENDING, DRAIN = 30.0, 10.0, 5.0
"""Seconds: what a function has that asks for nothing; what is left after the last answer; how long requests still come
to what is told to end."""
LONGEST_STOP = 600
"""Seconds from SIGTERM to the kill, at most. Documented: microsoft.app/containerapps,
``terminationGracePeriodSeconds``."""

_WEB, _KINDS = ("http", "direct"), ("http", "direct", "message", "schedule")
_REPLICAS, _PER_REPLICA = 10, "20"
_TOKEN = "PORTABLE_EVENTS_TOKEN"  # noqa: S105


class Workload(msgspec.Struct):
    """Functions in one container. ``word``: in symbols."""

    word: str
    name: Any
    functions: list[FunctionRecord]


def add_containers(
    deployment: Deployment, template: Template, names: Names, placed: Mapping[str, Placed], access: Access
) -> None:
    """Declare the environment, its apps and its jobs. Raises ConfigError for what takes the Functions host."""
    for function in deployment.manifest.functions:
        if function.kind not in _KINDS:
            raise ConfigError(
                f"{function.triggers[0].where}: function {function.name!r} is called by a {function.kind}, which on "
                "Azure takes the Functions host: build without an image"
            )
    _add_environment(template, names)
    if any(one.kind == "direct" for one in deployment.manifest.functions):
        said = "What callers of functions send as their token: 16 characters at least"
        template.parameter(EVENTS_TOKEN, said, Expression("newGuid()"), secure=True)
    web = [one for one in deployment.manifest.functions if one.kind in _WEB]
    alone = [one for one in deployment.manifest.functions if one.kind not in _WEB]
    groups = ([("web", web)] if web else []) + [(one.name, [one]) for one in alone]
    for name, functions in groups:
        one = Workload(name.replace("-", "_").lower(), _name(deployment, template, name), functions)
        identity = f"identity_{one.word}"
        kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
        template.add(identity, kind, text("{0}-id", one.name), {}, tagged=True)
        template.output(f"{identity}_principal", property_of(identity, "principalId"), f"What {name} acts as")
        access.grant(identity, one.word, functions, dict.fromkeys([two.name for two in functions], ""))
        if functions[0].kind == "schedule":
            _add_jobs(one, deployment, template, placed)
        else:
            _add_app(one, deployment, template, placed)


def _name(deployment: Deployment, template: Template, name: str, end: str = "") -> Expression:
    """32 characters at most: letters, digits and dashes, with a letter first."""
    digest = Names(deployment, template, f"{name}/{end.strip('-')}" if end else name).digest
    head = name.replace("_", "-").lower()[: 18 - len(end)].strip("-")
    return call("format", f"{head}{end}-{{0}}", digest)


def _add_environment(template: Template, names: Names) -> None:
    body = {"properties": {"appLogsConfiguration": {"destination": "azure-monitor"}}}
    template.add(ENVIRONMENT, "Microsoft.App/managedEnvironments", names.dashed("env"), body, tagged=True)
    add_logs(template, ENVIRONMENT, "allLogs")


def _add_app(one: Workload, deployment: Deployment, template: Template, placed: Mapping[str, Placed]) -> None:
    function, symbol = one.functions[0], f"app_{one.word}"
    polls = function.kind == "message"
    settings = [deployment.functions[two.name] for two in one.functions]
    least = max(two.min_instances for two in settings)
    most = [two.max_instances for two in settings]
    scale = {
        "minReplicas": least,
        "maxReplicas": max(least, 1, *((two for two in most if two) if None not in most else (_REPLICAS,))),
        "rules": _rules(one, template, placed) if polls else [_http_rule(settings)],
    }
    configuration = _configuration(one, deployment, template, placed)
    configuration["activeRevisionsMode"] = "Single"
    if not polls:
        configuration["ingress"] = {"allowInsecure": False, "external": True, "targetPort": PORT, "transport": "auto"}
    longest, drain = _longest(one, deployment), 0.0 if polls else DRAIN
    stop = min(int(longest + ENDING + drain), LONGEST_STOP)
    told = {"PORTABLE_POLL": "1" if polls else "0", "PORTABLE_TIMEOUT_SECONDS": f"{longest:g}"}
    told["PORTABLE_SHUTDOWN_SECONDS"] = f"{min(longest, stop - ENDING - drain):g}"
    told |= {} if polls else {"PORTABLE_DRAIN_SECONDS": f"{drain:g}"}
    container = _container(one, deployment, placed, told)
    container["probes"] = [
        {"type": kind, "httpGet": {"path": path, "port": PORT}, "periodSeconds": 10}
        for kind, path in (("Liveness", "/-/live"), ("Readiness", "/-/ready"))
    ]
    body = {
        "identity": _identity(one, template),
        "properties": {
            "environmentId": template.id_of(ENVIRONMENT),
            "configuration": configuration,
            "template": {"containers": [container], "scale": scale, "terminationGracePeriodSeconds": stop},
        },
    }
    template.add(symbol, "Microsoft.App/containerApps", one.name, body, tagged=True)
    if not polls:
        host = property_of(symbol, "configuration.ingress.fqdn")
        template.output(f"{symbol}_url", text("https://{0}", host), "Where it is")


def _longest(one: Workload, deployment: Deployment) -> float:
    """Seconds, of the function that has the most."""
    return max(deployment.functions[two.name].timeout or TIMEOUT for two in one.functions)


def _http_rule(settings: list[Any]) -> dict[str, Any]:
    asked = max((two.concurrency for two in settings if two.concurrency is not None), default=10)
    return {"name": "http", "http": {"metadata": {"concurrentRequests": str(asked)}}}


def _rules(one: Workload, template: Template, placed: Mapping[str, Placed]) -> list[dict[str, Any]]:
    """KEDA's scalers, by the identity of the app. What was there before is not looked into."""
    found = []
    for trigger in one.functions[0].triggers:
        kind, name = trigger.source
        source = placed[f"{kind}:{name}"]
        if not source.made:
            continue
        if "queueServiceUri" in source.connection:
            rule, said = "azure-queue", {"accountName": template.name_of("data"), "queueName": source.name}
            said["queueLength"] = _PER_REPLICA
        else:
            rule, said = "azure-servicebus", {"namespace": template.name_of("bus"), "messageCount": _PER_REPLICA}
            entity = {"queueName": source.name}
            if kind == "topic":
                entity = {"topicName": source.name, "subscriptionName": one.functions[0].name}
            said |= entity
        custom = {"type": rule, "metadata": said, "identity": template.id_of(f"identity_{one.word}")}
        found.append({"name": name, "custom": custom})
    return found


def _add_jobs(one: Workload, deployment: Deployment, template: Template, placed: Mapping[str, Placed]) -> None:
    """A job, or two for a schedule that is due on its days and on its weekdays."""
    function = one.functions[0]
    for number, timer in enumerate(timers_of(function.triggers[0])):
        if timer.drops:
            raise ConfigError(
                f"{function.triggers[0].where}: the schedule of {function.name!r} is not one that a job of Container "
                "Apps can be due at: give it in UTC"
            )
        configuration = _configuration(one, deployment, template, placed)
        configuration |= {
            "triggerType": "Schedule",
            "replicaRetryLimit": 0,
            "replicaTimeout": int(deployment.functions[function.name].timeout or 300) + 15,
            "scheduleTriggerConfig": {
                "cronExpression": timer.expression.partition(" ")[2],  # without seconds
                "parallelism": 1,
                "replicaCompletionCount": 1,
            },
        }
        container = _container(one, deployment, placed, {})
        container["args"] = ["run", function.name]
        body = {
            "identity": _identity(one, template),
            "properties": {
                "environmentId": template.id_of(ENVIRONMENT),
                "configuration": configuration,
                "template": {"containers": [container]},
            },
        }
        end = "-weekdays" if number else ""
        name = _name(deployment, template, function.name, end) if end else one.name
        template.add(f"job_{one.word}{end.replace('-', '_')}", "Microsoft.App/jobs", name, body, tagged=True)


def _identity(one: Workload, template: Template) -> dict[str, Any]:
    return {"type": "UserAssigned", "userAssignedIdentities": {template.id_of(f"identity_{one.word}"): {}}}


def _configuration(
    one: Workload, deployment: Deployment, template: Template, placed: Mapping[str, Placed]
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    server = str(deployment.image).partition("/")[0]
    if server.endswith(".azurecr.io"):
        made["registries"] = [{"server": server, "identity": template.id_of(f"identity_{one.word}")}]
    secrets = [
        {"name": _secret(name), "value": value}
        for name, value in _addresses(one, deployment, placed).items()
        if _is_secret(value)
    ]
    if _is_called(one):
        secrets.append({"name": _secret(_TOKEN), "value": call("parameters", EVENTS_TOKEN)})
    return made | ({"secrets": secrets} if secrets else {})


def _is_called(one: Workload) -> bool:
    return any(function.kind == "direct" for function in one.functions)


def _is_secret(value: Any) -> bool:
    return "listKeys(" in str(value)


def _secret(variable: str) -> str:
    return variable.lower().replace("_", "-")


def _container(
    one: Workload, deployment: Deployment, placed: Mapping[str, Placed], more: Mapping[str, str]
) -> dict[str, Any]:
    asked = max((deployment.functions[two.name].memory or STEP) for two in one.functions)
    steps = -(-asked // STEP)
    if asked > MOST:
        raise ConfigError(f"function {one.functions[0].name!r}: Container Apps has {MOST} MiB at most, not {asked}")
    variables = {
        "AZURE_CLIENT_ID": property_of(f"identity_{one.word}", "clientId"),
        "PORTABLE_FUNCTIONS": ",".join(two.name for two in one.functions),
        "PORTABLE_STAGE": deployment.stage,
        **more,
        **_addresses(one, deployment, placed),
    }
    for two in one.functions:
        variables |= deployment.functions[two.name].environment
    env = [
        {"name": name, "secretRef": _secret(name)} if _is_secret(value) else {"name": name, "value": value}
        for name, value in sorted(variables.items())
    ]
    if _is_called(one):
        env.append({"name": _TOKEN, "secretRef": _secret(_TOKEN)})
    return {
        "name": "app",
        "image": deployment.image,
        "env": env,
        "resources": {"cpu": call("json", f"{steps / 4:g}"), "memory": f"{steps / 2:g}Gi"},
    }


def _addresses(one: Workload, deployment: Deployment, placed: Mapping[str, Placed]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for function in one.functions:
        for kind, name in deployment.uses(function.name):
            resource = placed[f"{kind}:{name}"]
            found[address_variable(kind, name)] = resource.address
            if resource.dead_letters is not None:
                found[address_variable("deadletter", name)] = resource.dead_letters
        for topic in function.asks("topic"):
            full = subscription_name(topic, function.name)
            own = placed[f"topic:{topic}"].settings.get(full, {})
            for variable in ("subscription", "subscriptiondeadletter"):
                if variable in own:
                    found[address_variable(variable, full)] = own[variable]
    return found
