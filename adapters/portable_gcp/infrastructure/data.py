"""What holds data or carries messages: buckets, topics and subscriptions, secrets, and the database of tables.

The bodies are those of the clouds' own APIs (``projects.topics.create`` and so on).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from portable.build.deployment import Deployment
from portable.manifest import FunctionRecord, ResourceRecord
from portable_gcp.infrastructure.names import Names
from portable_gcp.infrastructure.places import Places, local_id
from portable_gcp.limits import ACK_DEADLINE_MAX, DEFAULT_TIMEOUT, DELIVERY_ATTEMPTS
from portable_gcp.topic import filter_expression

__all__ = ["Data", "labels_of", "owner_of"]

_ACK_DEADLINE_MIN = 10  # seconds, google.pubsub_v1: Subscription.ack_deadline_seconds
_STARTING = 30  # seconds that a push may wait for an instance before its function's time begins: chosen
_KEPT = "604800s"  # a week, the default, of messages that nobody has taken
_KEPT_DEAD = "2678400s"  # 31 days, the most: google.pubsub_v1, Subscription.message_retention_duration

Entries = dict[str, dict[str, Any]]


def labels_of(deployment: Deployment) -> dict[str, str]:
    """On whatever takes labels: whose it is."""
    return {"portable-app": deployment.app, "portable-stage": deployment.stage}


def owner_of(deployment: Deployment) -> str:
    """The same for people, and at the end of the description of what takes no labels."""
    return f"app {deployment.app}, stage {deployment.stage}"


class Data:
    """The entries of one deployment, by kind."""

    def __init__(self, deployment: Deployment, names: Names, places: Places) -> None:
        self._deployment = deployment
        self._names = names
        self._places = places
        self._labels = labels_of(deployment)
        self.buckets: Entries = {}
        self.topics: Entries = {}
        self.subscriptions: Entries = {}
        self.secrets: Entries = {}
        self.databases: Entries = {}
        self.fields: Entries = {}
        for record in deployment.manifest.resources:
            make = getattr(self, f"_add_{record.kind}", None)
            if make is not None and (places.bound(record.kind, record.name) is None or record.kind in _SUBSCRIBED):
                make(record)

    # --- buckets, secrets, tables

    def _add_bucket(self, record: ResourceRecord) -> None:
        body = {
            "location": "${region}",
            "labels": self._labels,
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "enforced",
            },
        }
        self.buckets[local_id("bucket", record.name)] = {"id": self._names.bucket(record.name), "body": body}

    def _add_secret(self, record: ResourceRecord) -> None:
        self._keep(local_id("secret", record.name), self._names.secret(record.name))

    def _add_config(self, record: ResourceRecord) -> None:
        self._keep(local_id("config", record.name), self._names.config(record.name))

    def _keep(self, one: str, name: str) -> None:
        self.secrets[one] = {"id": name, "body": {"replication": {"automatic": {}}, "labels": self._labels}}

    def _add_table(self, record: ResourceRecord) -> None:
        self.databases["tables"] = {
            "id": self._names.database(),
            "body": {
                "locationId": "${region}",
                "type": "FIRESTORE_NATIVE",
                "deleteProtectionState": "DELETE_PROTECTION_ENABLED",
            },
        }
        collection = self._names.collection(record.name)
        # Queries look at ``place`` and ``indexes`` alone; Firestore would index, and charge, every field of an item.
        self._field(record, collection, "item", {"indexConfig": {"indexes": []}})
        if record.options.get("ttl"):
            # The time a document ends at rises with each write, and an index of it would be a hot spot.
            self._field(record, collection, "ttl", {"ttlConfig": {}, "indexConfig": {"indexes": []}})

    def _field(self, record: ResourceRecord, collection: str, field: str, body: Mapping[str, Any]) -> None:
        self.fields[local_id("table", record.name, field)] = {
            "database": "tables",
            "collection": collection,
            "field": field,
            "body": dict(body),
        }

    # --- messages

    def _add_sockets(self, record: ResourceRecord) -> None:
        self._topic(local_id("sockets", record.name), self._names.topic("sockets", record.name))

    def _add_queue(self, record: ResourceRecord) -> None:
        name, one = self._names.topic("queue", record.name), local_id("queue", record.name)
        if self._places.bound("queue", record.name) is None:
            self._topic(one, name)
        elif not self._places.handled(record.name):
            return
        handler = next((f for f in self._deployment.manifest.functions if record.name in f.asks("queue")), None)
        self._subscribe(record, one, name, self._places.part("queue", record.name, "topic"), handler, record.name, None)

    def _add_topic(self, record: ResourceRecord) -> None:
        if self._places.bound("topic", record.name) is None:
            self._topic(local_id("topic", record.name), self._names.topic("topic", record.name))
        for function, wanted in self._deployment.manifest.subscriptions(record.name).items():
            handler = self._deployment.manifest.function(function)
            name, one = self._names.subscription(record.name, function), local_id("topic", record.name, function)
            topic = self._places.part("topic", record.name, "topic")
            self._subscribe(record, one, name, topic, handler, f"topic:{record.name}", wanted)

    def _topic(self, one: str, name: str) -> None:
        self.topics[one] = {"id": name, "body": {"labels": self._labels}}

    def _subscribe(
        self,
        record: ResourceRecord,
        one: str,
        name: str,
        topic: str,
        handler: FunctionRecord | None,
        path: str,
        wanted: Mapping[str, Any] | None,
    ) -> None:
        """A subscription with dead letters of its own, pushed where a function takes its messages."""
        self._topic(f"{one}_dead", f"{name}-dead")
        self.subscriptions[f"{one}_dead"] = {
            "id": f"{name}-dead",
            "body": {
                "topic": f"${{topic.{one}_dead}}",
                "ackDeadlineSeconds": 60,
                "messageRetentionDuration": _KEPT_DEAD,
                "expirationPolicy": {},
                "labels": self._labels,
            },
        }
        if handler is not None and self._source(handler) == "pubsub-eventarc":
            return
        body: dict[str, Any] = {
            "topic": topic,
            "ackDeadlineSeconds": self._deadline(handler),
            "messageRetentionDuration": _KEPT,
            "expirationPolicy": {},
            "enableMessageOrdering": bool(record.options.get("ordered")),
            "deadLetterPolicy": {
                "deadLetterTopic": f"${{topic.{one}_dead}}",
                "maxDeliveryAttempts": _attempts(record),
            },
            "retryPolicy": _retry(record),
            "labels": self._labels,
        }
        if wanted is not None:
            body["filter"] = filter_expression(wanted)
        if handler is not None:
            uri = f"${{uri.{handler.name}}}"
            body["pushConfig"] = {
                "pushEndpoint": f"{uri}/{path}",
                "oidcToken": {"serviceAccountEmail": "${account.portable_events}", "audience": uri},
            }
        self.subscriptions[one] = {"id": name, "body": body}

    def _source(self, function: FunctionRecord) -> str:
        return self._deployment.bundle_of(function.name).sources[function.name]

    def _deadline(self, handler: FunctionRecord | None) -> int:
        timeout = self._deployment.functions[handler.name].timeout if handler is not None else None
        seconds = math.ceil(timeout or DEFAULT_TIMEOUT.total_seconds()) + _STARTING
        return max(_ACK_DEADLINE_MIN, min(seconds, ACK_DEADLINE_MAX))


_SUBSCRIBED = ("queue", "topic")


def _attempts(record: ResourceRecord) -> int:
    least, most = DELIVERY_ATTEMPTS
    return min(max(int(record.options["max_attempts"]), least), most)


def _retry(record: ResourceRecord) -> dict[str, str]:
    """Pub/Sub's own, 10 to 600 seconds, where nothing is asked: without a policy it delivers again at once."""
    first, longest = 10.0, 600.0
    if "retry" in record.options:
        first, _, longest, _ = record.options["retry"]
    return {"minimumBackoff": f"{first:g}s", "maximumBackoff": f"{longest:g}s"}
