"""What Google Cloud's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from portable.capabilities import Capabilities, Capability, native, refused
from portable_gcp import limits

__all__ = ["CAPABILITIES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("ifGenerationMatch=0", source="https://cloud.google.com/storage/docs/request-preconditions"),
    "if_match": native(
        "an etag is the generation", source="https://cloud.google.com/storage/docs/request-preconditions"
    ),
}

_QUEUE: dict[str, Capability] = {
    "delay": refused(
        "Pub/Sub delivers at once; send it when it is due, from a schedule",
        source="https://cloud.google.com/pubsub/docs/publisher",
    ),
    "ordered": native("a group is an ordering key", source="https://cloud.google.com/pubsub/docs/ordering"),
    "dedup": refused(
        "Pub/Sub has no id of the sender's; let the handler bear a repeated message",
        source="https://cloud.google.com/pubsub/docs/publisher",
    ),
    "retry_after": native(
        f"whole seconds, {limits.ACK_DEADLINE_MAX} at most, for a worker that pulls",
        source="google.pubsub_v1: ModifyAckDeadlineRequest",
    ),
    "attempts": native(
        "counted where the subscription has a dead-letter topic", source="google.pubsub_v1: ReceivedMessage"
    ),
    "moves_dead_letters": native(
        "after {} to {} attempts".format(*limits.DELIVERY_ATTEMPTS), source="google.pubsub_v1: DeadLetterPolicy"
    ),
    "dead_letters": native("pulled and given back at once", source="portable_gcp.queue"),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "queue": _QUEUE,
}
