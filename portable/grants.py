"""What a function may do with a resource: verbs by kind, and which of them each method of a portable type needs.

A verb is the least that every cloud can tell apart; an adapter maps it to permissions of its cloud. What a trigger
needs of its own source (to receive from the queue, to read the stream) is no grant: an adapter adds it by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["VERBS"]

VERBS: Mapping[str, tuple[str, ...]] = {
    "bucket": ("delete", "list", "read", "write"),
    "queue": ("dead_letters", "depth", "purge", "receive", "send"),
    "topic": ("publish",),
    "stream": ("send",),
    "table": ("delete", "query", "read", "write"),
    "secret": ("read",),
    "config": ("read",),
    "cache": ("use",),
    "sockets": ("send",),
}
"""Every verb of a kind, sorted."""
