"""What Azure's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from collections.abc import Mapping

from portable.capabilities import Bound, Capabilities, Capability, Naming, native, portable, refused
from portable_azure import limits

__all__ = ["BOUNDS", "CAPABILITIES", "NAMES", "SERVICE_BUS", "STORAGE_QUEUE"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided by Azure", source="Put Blob, If-None-Match"),
    "if_match": native("decided by Azure", source="Put Blob, If-Match"),
    "read_if": native("decided by Azure", source="Get Blob, If-Match and If-None-Match"),
    "copy": native("Copy Blob; at once within an account", source="Copy Blob, x-ms-copy-status"),
    "cache_control": native(source="Put Blob, x-ms-blob-cache-control"),
    "signed_get": native(
        "by the account's key, or by a user delegation key: role Storage Blob Delegator",
        source="create-user-delegation-sas",
    ),
    "signed_put": native(
        "as signed_get; the content type is the writer's choice, for a signature cannot bind it",
        source="create-service-sas, specify query parameters",
    ),
}

STORAGE_QUEUE: dict[str, Capability] = {
    "delay": native(f"whole seconds, {limits.QUEUE_DELAY_SECONDS} at most", source='Put Message, "visibilitytimeout"'),
    "ordered": refused("a storage queue keeps no order", source="storage-queues-introduction"),
    "dedup": refused("a storage queue keeps duplicates", source="storage-queues-introduction"),
    "retry_after": native("whole seconds, 7 days at most", source='Update Message, "visibilitytimeout"'),
    "attempts": native("DequeueCount", source="Get Messages"),
    "moves_dead_letters": portable(
        "a copy on <name>-poison, then deleted: by the Functions host, or by a worker that pulls",
        source="functions-bindings-storage-queue, poison messages; portable_azure.queue",
    ),
    "dead_letters": native(f"the oldest {limits.QUEUE_RECEIVE}", source='Peek Messages, "numofmessages"'),
    "redrive": portable("received, sent and deleted one by one", source="portable_azure.queue"),
    "extend": native("whole seconds, 7 days at most", source='Update Message, "visibilitytimeout"'),
    "depth": native("about", source="Get Queue Metadata, x-ms-approximate-messages-count"),
    "purge": native("leased messages too", source="Clear Messages"),
}
"""Of a queue at ``https://ACCOUNT.queue.core.windows.net/QUEUE``."""

SERVICE_BUS: dict[str, Capability] = {
    "delay": native("to the second", source='service-bus message-sequencing, "Scheduled messages"'),
    "ordered": native("sessions; a failed message comes back at once", source="service-bus message-sessions"),
    "dedup": native("within the window the queue is made with", source="service-bus duplicate-detection"),
    "retry_after": portable(
        "a scheduled copy with the attempts made, and then the message is completed; not of an ordered queue",
        source="portable_azure.servicebus_queue",
    ),
    "attempts": native("the delivery count, and that of copies before", source="azure-servicebus: delivery_count"),
    "moves_dead_letters": native("MaxDeliveryCount", source="service-bus-dead-letter-queues"),
    "dead_letters": native("peeked", source="azure-servicebus: peek_messages"),
    "redrive": portable("received, sent and completed one by one", source="portable_azure.servicebus_queue"),
    "extend": portable(
        "a thread renews the lock in steps of the queue's lock duration, at most 5 minutes",
        source="azure-servicebus: renew_message_lock",
    ),
    "depth": refused(
        "counted for those who manage the namespace alone: az servicebus queue show --query countDetails",
        source="azure-servicebus: ServiceBusAdministrationClient",
    ),
    "purge": portable(
        "received and deleted; leased and delayed messages stay", source="portable_azure.servicebus_queue"
    ),
}
"""Of a queue at ``sb://NAMESPACE.servicebus.windows.net/QUEUE``."""

# What a declaration can ask for has to be had on one of the two: an address on Service Bus is what gives it.
_QUEUE = STORAGE_QUEUE | {
    option: native(
        f"on Service Bus, at an address sb://…: {SERVICE_BUS[option].note}", source=SERVICE_BUS[option].source
    )
    for option in ("ordered", "dedup")
}

_TABLE: dict[str, Capability] = {
    "transaction": refused(
        "a transactional batch of Cosmos DB stays within one partition; keep in one item what must change together",
        source="https://learn.microsoft.com/azure/cosmos-db/transactional-batch",
    ),
    "partition_transaction": refused(
        "Cosmos DB has a transactional batch, but nothing runs one on a development machine, so it is unproven and not "
        "offered; keep in one item what must change together",
        source="https://learn.microsoft.com/azure/cosmos-db/transactional-batch",
    ),
    "removes_expired": native(
        "each item's own 'ttl', counted from its last write; the container's defaultTtl has to be -1",
        source="https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live",
    ),
    "changes": native(
        "with the setting changes = 'latest': the latest version of each item, every change as an update",
        source="https://learn.microsoft.com/azure/cosmos-db/change-feed-modes",
    ),
    "change_old": refused(
        "the change feed that Python functions get has the item as it is now; keep the old value in the item",
        source="azure-functions 1.26: cosmos_db_trigger has no change_feed_mode",
    ),
    "change_delete": refused(
        "the change feed that Python functions get has no deletions; mark the item as deleted and give it a time to "
        "live",
        source="azure-functions 1.26: cosmos_db_trigger has no change_feed_mode",
    ),
}

_SECRET: dict[str, Capability] = {
    "binary": refused(
        "Key Vault keeps text; put bytes in base64", source="azure-keyvault-secrets: KeyVaultSecret.value is a str"
    ),
}

_CONFIG: dict[str, Capability] = {
    "live": native("with a Key Vault address; value:TEXT is an App Setting", source="portable_azure.config"),
}

_CACHE: dict[str, Capability] = {
    "shared": native("by the address: a Redis (Azure Managed Redis) or Upstash", source="portable_cache.cache"),
    "add_bytes": native("not on Upstash, see portable_cache.capabilities", source="portable_cache.redis"),
}

_TOPIC: dict[str, Capability] = {
    "ordered": native("sessions; a failed message comes back at once", source="service-bus message-sessions"),
    "retry_after": refused("a failed message comes back at once", source="portable_azure.topic"),
    "attempts": native("the delivery count", source="azure-servicebus: delivery_count"),
    "moves_dead_letters": native("MaxDeliveryCount", source="service-bus-dead-letter-queues"),
    "dead_letters": native("peeked", source="azure-servicebus: peek_messages"),
    "same_id": native("the message id, which the sender chooses", source="azure-servicebus: message_id"),
}

_SOCKETS: dict[str, Capability] = {
    "serves": native("Web PubSub", source="https://learn.microsoft.com/azure/azure-web-pubsub/reference-cloud-events"),
    "binary": native("application/octet-stream", source="rest/api/webpubsub, Send To Connection"),
    "knows_gone": native("404, where the service answers so", source="rest/api/webpubsub, Send To Connection"),
}

_STREAM: dict[str, Capability] = {
    "send": refused(
        "nothing that speaks Event Hubs' protocol runs on a development machine, so a driver would be unproven",
        source="portable_azure.stream",
        way_out="send with azure-eventhub, or take a topic",
    ),
    "ends_batch": portable(
        "the whole batch comes again, and the entry leaves out what is done, for as long as its instance lives",
        source="portable_azure.triggers.event_hub",
    ),
    "attempts": native("the retry count of the function's retry policy", source="functions-bindings-error-pages"),
    "bisect": refused(
        "the host calls again with the whole batch",
        source="functions-bindings-error-pages",
        way_out="a handler of single records: what is before a failure is not handed over again",
    ),
    "parallel": refused("one batch of a partition at a time", source="functions-bindings-event-hubs-trigger"),
}

_HTTP: dict[str, Capability] = {
    "stream": native(
        "by the extension for FastAPI, through which all HTTP of that Function App goes; the setting "
        "PYTHON_ENABLE_INIT_INDEXING=1 with Python 3.11 and 3.12; 230 s for the first byte",
        source="azure-functions-runtime: http_v2; "
        "https://learn.microsoft.com/azure/azure-functions/functions-reference-python#http-streams; "
        "with the host imitated: tests/run/test_streaming.py",
    ),
    "background": refused(
        "the host takes an invocation for over when its answer is there, and may end the instance",
        source="https://learn.microsoft.com/azure/azure-functions/performance-reliability",
        way_out="send a message to a queue, whose handler does the work",
    ),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "cache": _CACHE,
    "config": _CONFIG,
    "http": _HTTP,
    "queue": _QUEUE,
    "secret": _SECRET,
    "stream": _STREAM,
    "sockets": _SOCKETS,
    "table": _TABLE,
    "topic": _TOPIC,
}

NAMES: Mapping[str, Naming] = {
    "bucket": Naming(
        "{name}-bucket",
        r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "a name on Azure has no two dashes in a row and ends with none",
        "Naming and referencing containers, blobs, and metadata",
    ),
    "queue": Naming(
        "{name}-queue",
        r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "a name on Azure has no two dashes in a row and ends with none",
        "Naming queues and metadata",
        also=("{name}-queue-poison",),
    ),
    "topic": Naming(
        "{name}-topic",
        r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?",
        "1 to 260 letters, digits, dots, dashes and underscores, with a letter or digit at both ends",
        "Naming rules and restrictions for Azure resources, Microsoft.ServiceBus",
    ),
    "stream": Naming(
        "{name}-stream",
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,254}[A-Za-z0-9])?",
        "1 to 256 letters, digits, dots, dashes and underscores, with a letter or digit at both ends",
        "Naming rules and restrictions for Azure resources, Microsoft.EventHub",
    ),
    "sockets": Naming(
        "{name}",
        r"[A-Za-z][A-Za-z0-9_]{0,127}",
        "1 to 128 letters, digits and underscores",
        "rest/api/webpubsub: hub",
        dash="_",
    ),
    "table": Naming(
        "{name}",
        r"[^/\\#?]{1,255}(?<! )",
        "1 to 255 characters without / \\ # ?",
        "Azure Cosmos DB service quotas",
    ),
    "secret": Naming(
        "{name}-secret",
        r"[0-9A-Za-z-]{1,127}",
        "1 to 127 letters, digits and dashes",
        "Naming rules and restrictions for Azure resources, Microsoft.KeyVault",
    ),
}
"""How an app's resources are called in the emulators of ``portable run``."""

BOUNDS: Mapping[str, Bound] = {
    "http_seconds": Bound(limits.HTTP_SECONDS, "the load balancer's, whatever the plan"),
    "event_seconds": Bound(limits.PLAN_TIMEOUTS["flex"][1], "on Flex Consumption"),
    "memory": Bound(limits.PLAN_MEMORY["flex"][-1], "on Flex Consumption"),
    "request_bytes": Bound(limits.REQUEST_BYTES),
    "answer_bytes": Bound(None),
    "message_bytes": Bound(limits.QUEUE_TEXT_BYTES, f"storage queue; {limits.BUS_MESSAGE_BYTES} B of Service Bus"),
    "topic_bytes": Bound(limits.BUS_MESSAGE_BYTES),
    "batch": Bound(1, f"up to {limits.QUEUE_BATCH} fetched at once, each delivered singly"),
    "delay_seconds": Bound(limits.QUEUE_DELAY_SECONDS),
    "item_bytes": Bound(limits.ITEM_BYTES),
    "socket_bytes": Bound(limits.SOCKET_BYTES),
}
"""What :data:`portable.capabilities.BOUNDS` names."""
