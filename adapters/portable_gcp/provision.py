"""Makes what a deployment would make of Pub/Sub, for ``portable run`` and the tests: on an emulator, over its REST API.

A cloud's subscription pushes; these are pulled from, by what plays the push.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from portable.drivers import address_variable
from portable.resources.topic import subscription_name
from portable_gcp.limits import DELIVERY_ATTEMPTS
from portable_gcp.topic import filter_expression

__all__ = ["call", "make_queue", "make_topic"]


def make_queue(endpoint: str, topic: str, dead: str, options: Mapping[str, Any]) -> None:
    """A topic with a subscription, and both for its dead letters. Names are full: ``projects/P/topics/T``."""
    call("PUT", f"{endpoint}/v1/{topic}", {})
    _subscribe(endpoint, topic, topic.replace("/topics/", "/subscriptions/"), dead, options, None)


def make_topic(
    endpoint: str, project: str, topic: str, name: str, options: Mapping[str, Any], subscriptions: Mapping[str, Any]
) -> dict[str, str]:
    """A topic with a subscription for each function that handles it, and their addresses by variable.

    Args:
        topic: as declared. name: its physical name. subscriptions: filters by function, None where there is none.
    """
    full = f"projects/{project}/topics/{name}"
    call("PUT", f"{endpoint}/v1/{full}", {})
    addresses = {address_variable("topic", topic): full}
    for function, wanted in subscriptions.items():
        own = f"projects/{project}/subscriptions/{name}-{function}"
        dead = f"projects/{project}/topics/{name}-{function}-dead"
        _subscribe(endpoint, full, own, dead, options, wanted)
        subscription = subscription_name(topic, function)
        addresses[address_variable("subscription", subscription)] = own
        addresses[address_variable("subscriptiondeadletter", subscription)] = dead
    return addresses


def _subscribe(
    endpoint: str, topic: str, own: str, dead: str, options: Mapping[str, Any], wanted: Mapping[str, Any] | None
) -> None:
    least, most = DELIVERY_ATTEMPTS
    attempts = min(max(options["max_attempts"], least), most)
    settings: dict[str, Any] = {
        "deadLetterPolicy": {"deadLetterTopic": dead, "maxDeliveryAttempts": attempts},
        "enableMessageOrdering": bool(options.get("ordered")),
    }
    if "retry" in options:
        first, _, longest, _ = options["retry"]
        settings["retryPolicy"] = {"minimumBackoff": f"{first:g}s", "maximumBackoff": f"{longest:g}s"}
    if wanted is not None:
        settings["filter"] = filter_expression(wanted)
    call("PUT", f"{endpoint}/v1/{dead}", {})
    for source, subscription, more in ((dead, dead.replace("/topics/", "/subscriptions/"), {}), (topic, own, settings)):
        call("PUT", f"{endpoint}/v1/{subscription}", {"topic": source, "ackDeadlineSeconds": 60, **more})


def call(method: str, url: str, document: Any) -> None:
    """A request with a JSON body. Raises OSError."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
