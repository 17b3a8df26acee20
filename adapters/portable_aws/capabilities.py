"""What AWS's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from portable.capabilities import Capabilities, Capability, native, refused
from portable_aws import limits

__all__ = ["CAPABILITIES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided by S3", source="botocore: PutObject, IfNoneMatch"),
    "if_match": native("decided by S3", source="botocore: PutObject, IfMatch"),
}

_QUEUE: dict[str, Capability] = {
    "delay": native(f"whole seconds, {limits.DELAY_SECONDS} at most", source="botocore: SendMessage, DelaySeconds"),
    "ordered": refused("the queue is a standard one, which keeps no order", source="portable_aws.queue"),
    "dedup": refused("the queue is a standard one, which keeps duplicates", source="portable_aws.queue"),
    "retry_after": native(
        f"whole seconds, {limits.VISIBILITY_SECONDS} at most", source="botocore: ChangeMessageVisibility"
    ),
    "attempts": native("ApproximateReceiveCount", source="botocore: ReceiveMessage"),
    "moves_dead_letters": native("the redrive policy", source="botocore: CreateQueue, RedrivePolicy"),
    "dead_letters": native("a look hides them for a moment, and counts as an attempt", source="portable_aws.queue"),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "queue": _QUEUE,
}
