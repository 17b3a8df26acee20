"""What AWS's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from collections.abc import Mapping

from portable.capabilities import Bound, Capabilities, Capability, Naming, native, portable, refused
from portable_aws import limits

__all__ = ["BOUNDS", "CAPABILITIES", "NAMES", "SSM_SECRET"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided by S3", source="botocore: PutObject, IfNoneMatch"),
    "if_match": native("decided by S3", source="botocore: PutObject, IfMatch"),
    "read_if": native("decided by S3", source="botocore: GetObject, IfMatch and IfNoneMatch"),
    "copy": native("by S3; above 5 GiB part by part", source="botocore: CopyObject, UploadPartCopy"),
    "cache_control": native(source="botocore: PutObject, CacheControl"),
    "signed_get": native("7 days at most, and no longer than the credentials last", source="AWS: using-presigned-url"),
    "signed_put": native("as signed_get; S3 refuses another content type", source="AWS: using-presigned-url"),
}

_QUEUE: dict[str, Capability] = {
    "delay": native(f"whole seconds, {limits.DELAY_SECONDS} at most", source="botocore: SendMessage, DelaySeconds"),
    "ordered": native(
        "a FIFO queue's message groups; such a queue delays no single message", source="botocore: SendMessage"
    ),
    "dedup": native("a FIFO queue's, within five minutes", source="botocore: SendMessage, MessageDeduplicationId"),
    "retry_after": native(
        f"whole seconds, {limits.VISIBILITY_SECONDS} at most", source="botocore: ChangeMessageVisibility"
    ),
    "attempts": native("ApproximateReceiveCount", source="botocore: ReceiveMessage"),
    "moves_dead_letters": native("the redrive policy", source="botocore: CreateQueue, RedrivePolicy"),
    "dead_letters": native("a look hides them for a moment, and counts as an attempt", source="portable_aws.queue"),
    "redrive": portable("received, sent and deleted one by one", source="portable_aws.queue"),
    "extend": native(
        f"{limits.VISIBILITY_SECONDS} s at most since it was received", source="botocore: ChangeMessageVisibility"
    ),
    "depth": native("about", source="botocore: GetQueueAttributes, ApproximateNumberOfMessages"),
    "purge": native("once a minute", source="botocore: PurgeQueue"),
}

_TOPIC: dict[str, Capability] = {
    "ordered": native("a FIFO topic's message groups, to FIFO queues", source="botocore: sns Publish, MessageGroupId"),
    "retry_after": native(
        f"whole seconds, {limits.VISIBILITY_SECONDS} at most", source="botocore: ChangeMessageVisibility"
    ),
    "attempts": native("ApproximateReceiveCount of the subscription's queue", source="botocore: ReceiveMessage"),
    "moves_dead_letters": native(
        "the redrive policy of the subscription's queue", source="botocore: CreateQueue, RedrivePolicy"
    ),
    "dead_letters": native("a look hides them for a moment, and counts as an attempt", source="portable_aws.queue"),
    "same_id": refused(
        "SQS gives each copy an id of its own; put one into the body",
        source="https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html",
    ),
}

_TABLE: dict[str, Capability] = {
    "transaction": native(
        f"{limits.TRANSACTION_WRITES} operations and 4 MB, over any partitions", source="botocore: TransactWriteItems"
    ),
    "partition_transaction": native("as transaction", source="botocore: TransactWriteItems"),
    "removes_expired": native(
        "within a few days; until then the driver hides them",
        source="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html",
    ),
    "changes": native("DynamoDB Streams", source="botocore: CreateEventSourceMapping"),
    "change_old": native("the stream's old image", source="botocore: CreateTable, StreamViewType"),
    "change_delete": native("the stream's REMOVE, of expired items too", source="botocore: dynamodbstreams GetRecords"),
}

_SECRET: dict[str, Capability] = {
    "binary": native("SecretBinary, 64 KiB at most", source="botocore: GetSecretValue"),
}

SSM_SECRET: dict[str, Capability] = {
    "binary": refused("a SecureString is text; put bytes in base64", source="botocore: GetParameter, Value"),
}
"""Of a secret whose address is ``ssm:NAME``."""

_CONFIG: dict[str, Capability] = {
    "live": native(
        "with an address ssm:NAME; value:TEXT lasts as long as its deployment", source="portable_aws.config"
    ),
}

_CACHE: dict[str, Capability] = {
    "shared": native("by the address: a Redis (ElastiCache, MemoryDB) or Upstash", source="portable_cache.cache"),
    "add_bytes": native("not on Upstash, see portable_cache.capabilities", source="portable_cache.redis"),
}

_SOCKETS: dict[str, Capability] = {
    "serves": native(
        "a WebSocket API; a connection lasts two hours, ten minutes when idle",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html",
    ),
    "binary": refused(
        "API Gateway closes a connection that sends a binary frame",
        source="https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html",
        way_out="leave binary= out, and put bytes in base64",
    ),
    "knows_gone": native("GoneException", source="botocore: PostToConnection"),
}

_STREAM: dict[str, Capability] = {
    "send": native(
        f"PutRecords, {limits.STREAM_BATCH_RECORDS} a call; a topic of Kafka can only be handled",
        source="botocore: PutRecords",
    ),
    "ends_batch": native(
        "ReportBatchItemFailures; of Kafka for a mapping in provisioned mode",
        source="botocore: CreateEventSourceMapping, FunctionResponseTypes",
    ),
    "attempts": refused(
        "Lambda does not say them; it counts for max_attempts itself",
        source="https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
    ),
    "bisect": native(source="botocore: CreateEventSourceMapping, BisectBatchOnFunctionError"),
    "parallel": native(
        f"{limits.STREAM_PARALLEL} at most; not of Kafka",
        source="botocore: CreateEventSourceMapping, ParallelizationFactor",
    ),
}

_HTTP: dict[str, Capability] = {
    "stream": portable(
        "with runtime = 'portable', whose loop streams where awslambdaric does not, through a function URL or a REST "
        "API: 200 MB at most, 2 MB a second after the first 6 MB; a caller that goes away "
        "stops nothing, and all of it is billed",
        source="https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html; "
        "under a server of ours in Lambda's place: tests/run/test_streaming.py",
    ),
    "background": portable(
        "with runtime = 'portable': between the answer and the next invocation, which waits for it; it is billed, and "
        "the function's timeout holds for both",
        source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html, "
        "the invoke phase; tests/run/test_streaming.py",
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
        r"(?!xn--|sthree-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)",
        "3 to 63 lower-case letters, digits and dashes",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html",
    ),
    "queue": Naming(
        "{name}-queue",
        r"[A-Za-z0-9_-]{1,80}",
        "1 to 80 letters, digits, dashes and underscores",
        "botocore: CreateQueue, QueueName",
        also=("{name}-queue-dead",),
    ),
    "stream": Naming(
        "{name}-stream",
        r"[a-zA-Z0-9_.-]{1,128}",
        "1 to 128 letters, digits, dots, dashes and underscores",
        "botocore: CreateStream, StreamName",
    ),
    "topic": Naming(
        "{name}-topic",
        r"[A-Za-z0-9_-]{1,256}",
        "1 to 256 letters, digits, dashes and underscores",
        "botocore: CreateTopic, Name",
    ),
    "sockets": Naming(
        "{name}-sockets",
        r".{1,128}",
        "1 to 128 characters",
        "botocore: apigatewayv2 CreateApi, Name",
    ),
    "table": Naming(
        "{name}-table",
        r"[a-zA-Z0-9_.-]{3,255}",
        "3 to 255 letters, digits, dots, dashes and underscores",
        "botocore: CreateTable, TableName",
    ),
    "secret": Naming(
        "{name}-value",
        r"[A-Za-z0-9/_+=.@-]{1,512}(?<!-[A-Za-z0-9]{6})",
        "1 to 512 characters that do not end in a dash and six letters or digits",
        "botocore: CreateSecret, Name",
    ),
    "config": Naming(
        "{name}-config",
        r"(?!(?i:aws|ssm))[a-zA-Z0-9_.-]{1,1011}",
        "1 to 1,011 letters, digits, dots, dashes and underscores, starting with neither aws nor ssm",
        "botocore: PutParameter, Name",
    ),
}
"""How an app's resources are called, in sample events and in the emulators of ``portable run``."""

BOUNDS: Mapping[str, Bound] = {
    "http_seconds": Bound(limits.HTTP_API_SECONDS, "HTTP API; 29 by REST API, 900 by function URL and load balancer"),
    "event_seconds": Bound(limits.FUNCTION_SECONDS),
    "memory": Bound(limits.MEMORY_LARGEST),
    "storage": Bound(limits.STORAGE_LARGEST),
    "request_bytes": Bound(limits.LAMBDA_PAYLOAD_BYTES, "a binary body grows by a third in base64"),
    "answer_bytes": Bound(limits.LAMBDA_PAYLOAD_BYTES, "a binary body grows by a third in base64"),
    "message_bytes": Bound(limits.MESSAGE_BYTES),
    "topic_bytes": Bound(limits.TOPIC_BYTES),
    "batch": Bound(limits.EVENT_BATCH, f"{limits.FIFO_EVENT_BATCH} of an ordered queue"),
    "delay_seconds": Bound(limits.DELAY_SECONDS),
    "item_bytes": Bound(limits.ITEM_BYTES),
    "socket_bytes": Bound(limits.SOCKET_BYTES),
    "environment_bytes": Bound(limits.ENVIRONMENT_BYTES),
    "zip_bytes": Bound(None, f"{limits.ZIP_BYTES // 2**20} MiB without a bucket"),
    "unpacked_bytes": Bound(limits.UNPACKED_BYTES, "an image may have 10 GB"),
}
"""What :data:`portable.capabilities.BOUNDS` names."""
