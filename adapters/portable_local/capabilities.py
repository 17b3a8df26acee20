"""What the local drivers give, see ``portable.capabilities``. A source ``tests/…`` is a test of this repository."""

from __future__ import annotations

from collections.abc import Mapping

from portable.capabilities import Bound, Capabilities, Capability, native, portable, refused
from portable_local import limits

__all__ = ["BOUNDS", "CAPABILITIES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided while the bucket's database is locked", source="portable_local.bucket"),
    "if_match": native("decided while the bucket's database is locked", source="portable_local.bucket"),
    "read_if": native("no two writes have one etag", source="portable_local.bucket"),
    "copy": native("the bytes are copied on this machine, and read anew from the disk", source="portable_local.bucket"),
    "cache_control": native(source="portable_local.blobs"),
    "signed_get": native(
        "answered by `portable dev`; without it a URL is refused: PORTABLE_LOCAL_URL is not set",
        source="portable_local.signing",
    ),
    "signed_put": native("as signed_get; up to 100 MiB", source="portable.dev.front, LARGEST_BODY"),
}

_QUEUE: dict[str, Capability] = {
    "delay": native("any length", source="portable_local.queue"),
    "ordered": native("one message of a group at a time", source="portable_local.queue"),
    "dedup": native("an id is known for five minutes", source="portable_local.queue"),
    "retry_after": native("any length", source="portable_local.queue"),
    "attempts": native("counted with each claim", source="portable_local.queue"),
    "moves_dead_letters": native(
        "on the last failure, or when its last lease has ended", source="portable_local.queue"
    ),
    "dead_letters": native("a table beside the messages", source="portable_local.queue"),
    "redrive": native("in one transaction", source="portable_local.queue"),
    "extend": native("any length, from now on", source="portable_local.queue"),
    "depth": native("counted exactly", source="portable_local.queue"),
    "purge": native("leased messages too", source="portable_local.queue"),
}

_TOPIC: dict[str, Capability] = {
    "ordered": native("of a group, one message at a time for each subscription", source="portable_local.subscription"),
    "retry_after": native("any length", source="portable_local.subscription"),
    "attempts": native("counted with each claim", source="portable_local.subscription"),
    "moves_dead_letters": native(
        "on the last failure, or when its last lease has ended", source="portable_local.subscription"
    ),
    "dead_letters": native("a table beside the messages", source="portable_local.subscription"),
    "same_id": native("the publication's", source="portable_local.subscription"),
}

_TABLE: dict[str, Capability] = {
    "transaction": native("one transaction of SQLite", source="portable_local.table"),
    "partition_transaction": native("one transaction of SQLite", source="portable_local.table"),
    "removes_expired": native("some at every 64th write; reads skip them at once", source="portable_local.table"),
    "changes": native("in portable dev and portable run", source="portable_local.table"),
    "change_old": native("kept for a day with each change", source="portable_local.table"),
    "change_delete": native("kept for a day with each change", source="portable_local.table"),
}

_SECRET: dict[str, Capability] = {
    "binary": refused("the environment and .env files hold text; put bytes in base64", source="portable_local.secret"),
}

_CONFIG: dict[str, Capability] = {
    "live": native("the files are read again when the time to live is over", source="portable_local.config"),
}

_CACHE: dict[str, Capability] = {
    "shared": native("with the address of a Redis; left out, each process has its own", source="portable_cache.cache"),
    "add_bytes": native("any", source="portable_cache.memory"),
}

_SOCKETS: dict[str, Capability] = {
    "serves": native("in portable dev and in tests, each holding its own", source="portable.live"),
    "binary": native(source="portable.live.asgi"),
    "knows_gone": native("in the process that holds it open", source="portable_local.sockets"),
}

_STREAM: dict[str, Capability] = {
    "send": native("one transaction a call; kept for a day", source="portable_local.stream"),
    "ends_batch": native(source="portable.run.streams"),
    "attempts": native("of the first record of a batch", source="portable.run.streams"),
    "bisect": native(source="portable.run.streams"),
    "parallel": portable("one batch of a partition at a time", source="portable.run.streams"),
}

_HTTP: dict[str, Capability] = {
    "stream": native(
        "by `portable dev`, which closes the body of a caller that goes away; a built local artifact answers when all "
        "of it is there",
        source="tests/run/test_streaming.py",
    ),
    "background": native("by `portable dev`; a built local artifact does it before it answers", source="tests/http"),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "cache": _CACHE,
    "config": _CONFIG,
    "http": _HTTP,
    "queue": _QUEUE,
    "secret": _SECRET,
    "sockets": _SOCKETS,
    "stream": _STREAM,
    "table": _TABLE,
    "topic": _TOPIC,
}

BOUNDS: Mapping[str, Bound] = {
    "message_bytes": Bound(limits.LARGEST_BODY),
    "topic_bytes": Bound(limits.LARGEST_BODY),
    "item_bytes": Bound(limits.LARGEST_ITEM),
}
"""What :data:`portable.capabilities.BOUNDS` names."""
