"""KEDA: workers as many as there are messages, see https://keda.sh/docs/latest/scalers.

A scaler has to know its queue by what the address says, so a queue whose address is not known has none, and is scaled
by its CPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.drivers import address_variable
from portable.resources.topic import subscription_name
from portable_container.infrastructure.workloads import Workload, addresses

__all__ = ["scaler"]

MOST = 10
PER_REPLICA = 20
"""Messages waiting for each replica, where a batch holds one: two batches of the five that it may have in hand."""


def scaler(
    deployment: Deployment, one: Workload, platform: str, target: str, marked: Mapping[str, str]
) -> dict[str, Any] | None:
    """A ScaledObject for a worker, and where it has its identity from; None where its queue's address is not known."""
    [function] = one.functions
    triggers = []
    known = addresses(deployment, platform)
    for trigger in function.triggers:
        kind, name = trigger.source
        variable = (
            address_variable("queue", name)
            if kind == "queue"
            else address_variable("subscription", subscription_name(name, function.name))
        )
        made = _trigger(platform, known.get(variable, ""), kind, name, trigger.options["batch_size"])
        if made is None:
            return None
        triggers.append(made)
    metadata = {"name": target, "labels": marked}
    spec = {
        "scaleTargetRef": {"name": target},
        "minReplicaCount": one.least,
        "maxReplicaCount": max(one.most or MOST, one.least, 1),
        "pollingInterval": 15,
        "cooldownPeriod": 120,
        "triggers": triggers,
    }
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def _trigger(platform: str, address: str, kind: str, name: str, batch: int) -> dict[str, Any] | None:
    make = _MAKERS.get(platform)
    return make(address, kind, name, str(max(PER_REPLICA, 2 * batch))) if make is not None and address else None


def _aws(address: str, kind: str, name: str, count: str) -> dict[str, Any] | None:  # noqa: ARG001 - one shape for all
    found = re.fullmatch(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/\d+/[\w.-]+", address)
    if found is None:
        return None
    return _scaled("aws-sqs-queue", queueURL=address, queueLength=count, awsRegion=found.group(1))


def _gcp(address: str, kind: str, name: str, count: str) -> dict[str, Any] | None:  # noqa: ARG001
    found = re.search(r"projects/([^/?]+)/(?:subscriptions/([^/?]+)$|topics/([^/?]+)$)", address)
    if found is None:
        return None
    subscription = f"projects/{found.group(1)}/subscriptions/{found.group(2) or found.group(3)}"
    return _scaled("gcp-pubsub", subscriptionName=subscription, mode="SubscriptionSize", value=count)


def _azure(address: str, kind: str, name: str, count: str) -> dict[str, Any] | None:  # noqa: ARG001
    found = re.fullmatch(r"https://([a-z0-9]+)\.queue\.core\.windows\.net/([a-z0-9-]+)", address)
    if found is not None:
        return _scaled("azure-queue", accountName=found.group(1), queueName=found.group(2), queueLength=count)
    found = re.fullmatch(r"sb://([\w-]+)\.servicebus\.windows\.net/([\w.-]+)(?:/Subscriptions/([\w.-]+))?", address)
    if found is None:
        return None
    entity = {"topicName": found.group(2), "subscriptionName": found.group(3)}
    entity = entity if found.group(3) else {"queueName": found.group(2)}
    return _scaled("azure-servicebus", namespace=found.group(1), messageCount=count, **entity)


def _nats(address: str, kind: str, name: str, count: str) -> dict[str, Any] | None:
    stream, consumer = (
        (address.rpartition("/")[2], "workers") if kind == "queue" else (name, address.rpartition("/")[2])
    )
    return _scaled(
        "nats-jetstream",
        natsServerMonitoringEndpoint="nats.nats.svc.cluster.local:8222",
        account="$G",
        stream=stream,
        consumer=consumer,
        lagThreshold=count,
    )


def _scaled(kind: str, **metadata: str) -> dict[str, Any]:
    return {"type": kind, "metadata": metadata}


_MAKERS: Mapping[str, Any] = {"aws": _aws, "gcp": _gcp, "azure": _azure, "nats": _nats}
