"""What Azure can do, each figure with its source.

``documented``: read in Microsoft's documentation. ``source``: read in the host's or SDK's own code. ``secondary``: seen
in a page that is not Microsoft's reference; treat it as likely.
"""

from __future__ import annotations

REQUEST_BYTES = 100 * 1024 * 1024
"""Largest body of a request; of answers no bound is documented. Documented: functions-bindings-http-webhook-trigger
"Limits"."""

HTTP_SECONDS = 230
"""The load balancer before every Function App closes an idle request. Documented: functions-scale, "Function app
timeout duration"."""

PLAN_TIMEOUTS: dict[str, tuple[int, int | None]] = {
    "flex": (1800, None),
    "premium": (1800, None),
    "consumption": (300, 600),
}
"""Default and longest ``functionTimeout`` in seconds by plan; None: unbounded. Documented: functions-scale."""

PLAN_MEMORY: dict[str, tuple[int, ...]] = {
    "flex": (512, 2048, 4096),
    "premium": (3584, 7168, 14336),
    "consumption": (1536,),
}
"""Instance sizes in MiB by plan. Documented: flex-consumption-plan "Instance sizes", functions-premium-plan "Available
instance SKUs" (EP1 to EP3), functions-scale for Consumption (1.5 GB an instance)."""

DEFAULT_MEMORY: dict[str, int] = {"flex": 2048, "premium": 3584, "consumption": 1536}
"""What an app has that asks for nothing. Documented: flex-consumption-plan."""

FLEX_REFUSES = frozenset(
    {
        "ENABLE_ORYX_BUILD",
        "FUNCTIONS_EXTENSION_VERSION",
        "FUNCTIONS_MAX_HTTP_CONCURRENCY",
        "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
        "FUNCTIONS_WORKER_PROCESS_COUNT",
        "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_WORKER_RUNTIME_VERSION",
        "SCM_DO_BUILD_DURING_DEPLOYMENT",
        "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
        "WEBSITE_CONTENTOVERVNET",
        "WEBSITE_CONTENTSHARE",
        "WEBSITE_DNS_SERVER",
        "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
        "WEBSITE_NODE_DEFAULT_VERSION",
        "WEBSITE_RUN_FROM_PACKAGE",
        "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
        "WEBSITE_TIME_ZONE",
        "WEBSITE_VNET_ROUTE_ALL",
    }
)
"""App settings that an app on Flex must not have. Documented: functions-app-settings, "Flex Consumption plan
deprecations", and "WEBSITE_TIME_ZONE"."""

FLEX_INSTANCES = 1000
"""Most instances of an app on Flex, and most requests at a time on one of them. Documented: flex-consumption-plan,
http-concurrency."""

LOG_DAYS = (30, 730)
"""Fewest and most days that logs can be asked to be kept. Documented: azure-monitor/logs/data-retention-configure."""

INSIGHTS_DAYS = (30, 60, 90, 120, 180, 270, 365, 550, 730)
"""The days that Application Insights takes. Documented: microsoft.insights/components, "RetentionInDays"."""

QUEUE_MESSAGE_BYTES = 64 * 1024
"""A storage queue's message as stored. Documented: storage-queues-introduction."""

QUEUE_TEXT_BYTES = QUEUE_MESSAGE_BYTES // 4 * 3
"""What of it is text: the Functions host reads base64 by default, which leaves 48 KiB."""

QUEUE_DELAY_SECONDS = 7 * 24 * 3600
"""Longest visibility timeout. Documented: Put Message, "visibilitytimeout"."""

QUEUE_RECEIVE = 32
"""Most messages of one Get Messages or Peek Messages. Documented: Get Messages, "numofmessages"."""

QUEUE_BATCH = 32
"""Largest ``batchSize`` of host.json: fetched at once, then each delivered singly. Documented:
functions-bindings-storage-queue, "host.json settings"."""

BLOB_NAME_CHARACTERS = 1024
"""Longest name of a blob. Documented: Naming and referencing containers, blobs, and metadata."""

BLOB_NAME_SEGMENTS = 254
"""Most segments between slashes in a name, without a hierarchical namespace. Documented: as above."""

COPY_BYTES = 256 * 1024 * 1024
"""Largest blob that is copied while the request waits. Documented: storageservices/copy-blob-from-url."""

BATCH_CALLS = 256
"""Most deletions of one batch request. Documented: Blob Batch, "Remarks"."""

BLOB_PAGE = 5000
"""Most rows of one page of a listing. Documented: List Blobs, "maxresults"."""

ITEM_BYTES = 2 * 1024 * 1024
"""Largest item of Cosmos DB, as JSON in UTF-8. Documented: Azure Cosmos DB service quotas, "Per-item limits"."""

ITEM_ID_BYTES = 1023
"""Longest id of an item. Documented: as above."""

ITEM_SECONDS = 2**31 - 1
"""Longest time to live of an item. Documented: Time to live (TTL) in Azure Cosmos DB."""

BUS_MESSAGE_BYTES = 256 * 1024
"""Largest message of Service Bus in the standard tier (the premium one takes up to 100 MB). Documented:
service-bus-quotas."""

BUS_OVERHEAD = 1024
"""Bytes of a message kept for its header and properties, of 64 KB at most. Chosen."""

RESERVED_ROUTES = ("admin", "runtime")
"""First segments the host keeps for itself. Source: azure-functions-host, HttpTrigger route validation."""

RESERVED_FUNCTIONS = ("host",)
"""A function may not bear this name. Source: azure-functions-host, FunctionNameValidationRegex."""

BUS_RULE_CHARACTERS = 1024
"""Longest condition of a rule. Documented: service-bus-quotas, "Number of SQL filters per topic"."""

SOCKET_BYTES = 1024 * 1024
"""Largest message of Web PubSub. Documented: azure-subscription-service-limits, "Azure Web PubSub limits"."""
