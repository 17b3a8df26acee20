"""What the local drivers give, see ``portable.capabilities``. A source ``tests/…`` is a test of this repository."""

from __future__ import annotations

from portable.capabilities import Capabilities, Capability, native, refused

__all__ = ["CAPABILITIES"]

_BUCKET: dict[str, Capability] = {
    "if_absent": native("decided while the bucket's database is locked", source="portable_local.bucket"),
    "if_match": native("decided while the bucket's database is locked", source="portable_local.bucket"),
}

_QUEUE: dict[str, Capability] = {
    "delay": native("any length", source="portable_local.queue"),
    "ordered": refused(
        "declare the queue without ordered=True, or give each group its own", source="portable_local.queue"
    ),
    "dedup": refused("let the handler bear a repeated message, as it must anyway", source="portable_local.queue"),
    "retry_after": native("any length", source="portable_local.queue"),
    "attempts": native("counted with each claim", source="portable_local.queue"),
    "moves_dead_letters": native(
        "on the last failure, or when its last lease has ended", source="portable_local.queue"
    ),
    "dead_letters": native("a table beside the messages", source="portable_local.queue"),
    "redrive": native("all of them, in one transaction", source="portable_local.queue"),
    "depth": native("counted exactly", source="portable_local.queue"),
}

CAPABILITIES: Capabilities = {
    "bucket": _BUCKET,
    "queue": _QUEUE,
}
