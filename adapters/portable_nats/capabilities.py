"""What NATS's drivers give, see ``portable.capabilities``. A source ``server`` is the NATS server's own."""

from __future__ import annotations

from portable.capabilities import Capabilities, Capability, native, portable, refused
from portable_nats import limits

__all__ = ["CAPABILITIES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native(
        "an expected sequence of 0 on the key's subject", source="server: expected-last-subject-sequence"
    ),
    "if_match": native("the etag is that sequence", source="server: expected-last-subject-sequence"),
    "read_if": native("the etag is in the entry that names the bytes", source="portable_nats.bucket"),
    "copy": portable("the data passes through this process, 2 MiB at a time", source="portable_nats.bucket"),
    "cache_control": portable("kept in the entry; NATS itself serves nothing", source="portable_nats.index"),
    "signed_get": refused("NATS has no HTTP", source="portable_nats.bucket", way_out="pass the blob through a handler"),
    "signed_put": refused("NATS has no HTTP", source="portable_nats.bucket", way_out="pass the blob through a handler"),
}

_QUEUE: dict[str, Capability] = {
    "delay": portable(
        "any length, whole milliseconds; a worker gives back what is not due. A delayed message that waited behind a "
        "backlog for longer than its delay may get one attempt more",
        source="portable_nats.queue",
    ),
    "ordered": portable(
        "one message of the whole queue at a time, whatever its group: the consumer has max_ack_pending 1",
        source="portable_nats.queue",
    ),
    "dedup": native(
        f"within the stream's window, {limits.DUPLICATE_SECONDS} s as provisioned", source="server: Nats-Msg-Id"
    ),
    "retry_after": native("any length, whole milliseconds", source="server: -NAK with a delay"),
    "attempts": native("the number of deliveries", source="server: the reply subject of a delivery"),
    "moves_dead_letters": portable(
        "by the worker that gives it back, or else by the one that receives it next", source="portable_nats.queue"
    ),
    "dead_letters": native("read where they lie", source="server: STREAM.MSG.GET"),
    "redrive": portable("published to the queue's stream, then deleted from theirs", source="portable_nats.queue"),
    "extend": native("any length", source="server: -NAK with a delay"),
    "depth": native("what the consumer has not seen acknowledged", source="server: CONSUMER.INFO"),
    "purge": native("leased messages too", source="server: STREAM.PURGE"),
}

_TOPIC: dict[str, Capability] = {
    "ordered": portable(
        "one message at a time for each subscription, whatever its group: its consumer has max_ack_pending 1",
        source="portable_nats.deliveries",
    ),
    "retry_after": native("any length, whole milliseconds", source="server: -NAK with a delay"),
    "attempts": native("the number of deliveries", source="server: the reply subject of a delivery"),
    "moves_dead_letters": portable(
        "by the worker that gives it back, or else by the one that receives it next",
        source="portable_nats.deliveries",
    ),
    "dead_letters": native("read where they lie", source="server: STREAM.MSG.GET"),
    "same_id": native("the message's number in the stream", source="server: the receipt of a message"),
}

_ONE_VALUE = "JetStream writes one value at a time"
_TOGETHER = "put what belongs together into one item"
_NO_FUNCTIONS = "NATS runs no functions"
_FOLLOW = "follow the bucket's subjects with NATS's own client"

_TABLE: dict[str, Capability] = {
    "transaction": refused(_ONE_VALUE, source="portable_nats.table", way_out=_TOGETHER),
    "partition_transaction": refused(_ONE_VALUE, source="portable_nats.table", way_out=_TOGETHER),
    "removes_expired": refused("an item past its time is hidden, and stays", source="portable_nats.table"),
    "changes": refused(_NO_FUNCTIONS, source="portable_nats.platform", way_out=_FOLLOW),
    "change_old": refused(_NO_FUNCTIONS, source="portable_nats.platform", way_out=_FOLLOW),
    "change_delete": refused(_NO_FUNCTIONS, source="portable_nats.platform", way_out=_FOLLOW),
}

_CACHE: dict[str, Capability] = {
    "shared": native("a key-value stream; or by the address a Redis, as everywhere", source="portable_nats.cache"),
    "add_bytes": native("any", source="portable_nats.cache"),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "cache": _CACHE,
    "queue": _QUEUE,
    "table": _TABLE,
    "topic": _TOPIC,
}
