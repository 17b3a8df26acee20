"""What a function may do with a resource: verbs by kind, and which of them each method of a portable type needs.

A verb is the least that every cloud can tell apart; an adapter maps it to permissions of its cloud. What a trigger
needs of its own source (to receive from the queue, to read the stream) is no grant: an adapter adds it by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from portable.errors import ConfigError

__all__ = ["BESIDE", "METHODS", "NEEDS_NOTHING", "TRANSACTION", "VERBS", "Wider", "check_verbs", "method_of", "needs"]

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

_READ = dict.fromkeys(("value", "bytes_value", "version", "refresh"), ("read",))
METHODS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "bucket": {
        "write": ("write",),
        **dict.fromkeys(("read", "open", "stat", "exists"), ("read",)),
        **dict.fromkeys(("delete", "delete_many"), ("delete",)),
        "list": ("list",),
        "copy": ("read", "write"),
        "url": ("read", "write"),
    },
    "queue": {
        **dict.fromkeys(("send", "send_many"), ("send",)),
        **dict.fromkeys(("receive", "ack_many"), ("receive",)),
        "depth": ("depth",),
        "purge": ("purge",),
        "dead_letters": ("dead_letters",),
        "redrive": ("dead_letters", "send"),
    },
    "topic": dict.fromkeys(("publish", "publish_many"), ("publish",)),
    "stream": dict.fromkeys(("send", "send_many"), ("send",)),
    "table": {
        **dict.fromkeys(("get", "entry", "get_many"), ("read",)),
        **dict.fromkeys(("put", "update"), ("write",)),
        "delete": ("delete",),
        **dict.fromkeys(("query", "scan"), ("query",)),
    },
    "secret": _READ,
    "config": dict.fromkeys(("value", "refresh"), ("read",)),
    "cache": dict.fromkeys(("get", "get_many", "set", "add", "delete", "increment", "take"), ("use",)),
    "sockets": {
        **dict.fromkeys(("send", "broadcast", "close"), ("send",)),
        **dict.fromkeys(("join", "leave", "members", "forget"), ()),
    },
}
"""Verbs by kind and method, whose twin with the prefix ``a`` needs the same; the most that its arguments can ask."""

BESIDE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # What could not be sent is deleted again; what is acknowledged, too.
    "queue": {
        **dict.fromkeys(("send", "send_many"), ("delete", "write")),
        "receive": ("delete", "read"),
        "ack_many": ("delete",),
        "dead_letters": ("read",),
        "open_body": ("read",),
        "drop_large": ("delete",),
    },
    # A connection that is found gone leaves its groups.
    "sockets": {
        **dict.fromkeys(("send", "broadcast", "forget"), ("delete", "query")),
        "join": ("write",),
        "leave": ("delete",),
        "members": ("query",),
    },
}
"""What a method needs of another resource: of the bucket of a queue's large bodies, of the table of sockets' groups."""

TRANSACTION: Mapping[str, tuple[str, ...]] = {
    "put": ("write",),
    "update": ("write",),
    "delete": ("delete",),
    "check": ("read",),
}
"""Of a table, by the operations of a transaction."""

NEEDS_NOTHING = frozenset(
    [
        "name",
        "kind",
        "options",
        "where",
        "same_as",
        "type",
        "model",
        "decode",
        "backoff",
        "max_attempts",
        "is_large",
        "key_types",
        "decode_change",
        "of_options",
        "default",
        "ttl",
        "transaction",
        "large",
        "store",
    ]
)
"""Attributes that reach no cloud."""


class Wider(NamedTuple):
    """Where the least that a cloud can tell apart is more than a verb says: a row of ``docs/reference/permissions.md``.

    Attributes:
        kind, verbs: of what. what: is allowed too. why: what makes it so.
        written: where that is wider than one resource's contents, how it stands in the infrastructure files: actions,
            roles and principals. What stands there and in no such row fails a test.
    """

    kind: str
    verbs: Sequence[str]
    what: str
    why: str
    written: Sequence[str] = ()


def method_of(kind: str, attribute: str) -> str | None:
    """The method that an attribute of this kind of resource names, by itself or as its async twin; None for another."""
    for methods in (METHODS[kind], BESIDE.get(kind, {})):
        if attribute in methods:
            return attribute
        if attribute[:1] == "a" and attribute[1:] in methods:
            return attribute[1:]
    return None


def needs(kind: str, method: str, constants: Mapping[str, Any], given: Iterable[str], unknown: bool) -> tuple[str, ...]:
    """Verbs of one call: fewer than ``METHODS`` says where its arguments tell.

    ``constants``: arguments by name whose value is written there. ``given``: names of all arguments. ``unknown``: there
    may be others (``**options``).
    """
    given = set(given)
    verbs = METHODS[kind].get(method, ())
    if kind == "bucket" and method == "copy" and "to" in given:
        return ("read",)
    if kind == "bucket" and method == "url" and not unknown:
        if "method" not in given or constants.get("method") == "GET":
            return ("read",)
        return ("write",) if constants.get("method") == "PUT" else verbs
    # S3 asks for GetObject beside PutObject where a write depends on what is stored.
    if kind == "bucket" and method == "write" and (unknown or "if_match" in given):
        return ("read", "write")
    return verbs


def check_verbs(kind: str, verbs: Iterable[str], what: str) -> list[str]:
    """The verbs, sorted. Raises ConfigError naming ``what`` (which says where) for one that the kind has not."""
    known = VERBS[kind]
    found = sorted(set(verbs))
    for verb in found:
        if verb not in known:
            raise ConfigError(f"{what}: a {kind} has no verb {verb!r}; it has {', '.join(known)}")
    return found


def key_of(resource: Any) -> tuple[str, str]:
    """Kind and name."""
    return resource.kind, resource.name


def beside(resource: Any) -> Any:
    """The bucket of a queue's large bodies, the table of sockets' groups; None for what has neither."""
    return getattr(resource, "large", None) or getattr(resource, "store", None)


def every(resource: Any) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    """All verbs of a resource, and what its methods need of the one beside it."""
    yield key_of(resource), VERBS[resource.kind]
    other = beside(resource)
    if other is not None:
        wanted = sorted({verb for verbs in BESIDE[resource.kind].values() for verb in verbs})
        yield key_of(other), tuple(wanted)
