"""What Azure's drivers give, see ``portable.capabilities``. The figures are those of ``limits.py``."""

from __future__ import annotations

from portable.capabilities import Capabilities, Capability, native, refused
from portable_azure import limits

__all__ = ["CAPABILITIES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided by Azure", source="Put Blob, If-None-Match"),
    "if_match": native("decided by Azure", source="Put Blob, If-Match"),
}

_QUEUE: dict[str, Capability] = {
    "delay": native(f"whole seconds, {limits.QUEUE_DELAY_SECONDS} at most", source='Put Message, "visibilitytimeout"'),
    "ordered": refused("a storage queue keeps no order", source="storage-queues-introduction"),
    "dedup": refused(
        "a storage queue keeps duplicates; let the handler bear a repeated message",
        source="storage-queues-introduction",
    ),
    "retry_after": native("whole seconds, 7 days at most", source='Update Message, "visibilitytimeout"'),
    "attempts": native("DequeueCount", source="Get Messages"),
    "moves_dead_letters": refused(
        "the Functions host moves them; a worker that pulls has to do it itself",
        source="functions-bindings-storage-queue, poison messages",
    ),
    "dead_letters": native(f"the oldest {limits.QUEUE_RECEIVE}", source='Peek Messages, "numofmessages"'),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "queue": _QUEUE,
}
