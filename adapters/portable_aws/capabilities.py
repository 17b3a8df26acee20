"""What AWS's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from collections.abc import Mapping

from portable.capabilities import Capabilities, Capability, Naming, native, portable
from portable_aws import limits

__all__ = ["CAPABILITIES", "NAMES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided by S3", source="botocore: PutObject, IfNoneMatch"),
    "if_match": native("decided by S3", source="botocore: PutObject, IfMatch"),
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

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "queue": _QUEUE,
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
    "topic": Naming(
        "{name}-topic",
        r"[A-Za-z0-9_-]{1,256}",
        "1 to 256 letters, digits, dashes and underscores",
        "botocore: CreateTopic, Name",
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
