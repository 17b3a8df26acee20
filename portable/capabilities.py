"""What an adapter's drivers give, as data: ``portable_<name>.capabilities.CAPABILITIES``.

    CAPABILITIES = {
        "queue": {
            "delay": native("up to 15 minutes", source="botocore: SendMessage, DelaySeconds"),
            "ordered": refused("a standard queue keeps no order", source="…"),
        },
    }

The build refuses what an app declares and a target refuses; the conformance suite fails a driver that claims what it
cannot do, and one that can do what it denies. Never imported by what is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = [
    "ASKS",
    "BOUNDS",
    "FEATURES",
    "TRIGGER_ASKS",
    "Bound",
    "Capabilities",
    "Capability",
    "Naming",
    "native",
    "portable",
    "refused",
]


class Capability(msgspec.Struct, frozen=True):
    """What one adapter says of one feature.

    Attributes:
        how: ``"native"``: the cloud does it. ``"portable"``: our driver does it on top, and ``note`` says how and at
            what cost. ``"refused"``: the call raises UnsupportedError, and the build refuses a declaration of it.
        note: limits with their units, or why not.
        source: where the figure or the claim is from; a documentation page, a service model, or a test here.
        way_out: of a refusal, what to do instead.
    """

    how: Literal["native", "portable", "refused"]
    note: str = ""
    source: str = ""
    way_out: str = ""

    @property
    def given(self) -> bool:
        """Whether the feature can be used."""
        return self.how != "refused"


Capabilities = Mapping[str, Mapping[str, Capability]]
"""Feature by kind of resource and name."""


def native(note: str = "", *, source: str) -> Capability:
    """The cloud does it itself."""
    return Capability("native", note, source)


def portable(note: str, *, source: str = "") -> Capability:
    """The driver does it; ``note`` says how."""
    return Capability("portable", note, source)


def refused(note: str, *, source: str, way_out: str = "") -> Capability:
    """It cannot be had; ``note`` says why."""
    return Capability("refused", note, source, way_out)


class Bound(msgspec.Struct, frozen=True):
    """The most that one cloud takes of something, in the unit that ``BOUNDS`` says; None where it has no bound."""

    most: float | None
    note: str = ""


class Naming(msgspec.Struct, frozen=True):
    """How a cloud's resources of one kind are called: ``portable_<name>.capabilities.NAMES``, by kind.

    Two names never meet: what stands around ``{name}`` is fixed, so one shape is injective, and shapes of one space
    are told apart by their beginnings or ends.

    Attributes:
        shape: the name in the cloud, around ``{name}``; a deployment may put a stage before it.
        rule: a regular expression for the whole of what the cloud takes. source: where that is from.
        also: shapes of what is made beside it, dead letters for one.
        space: kinds of one space share their names in the cloud; the kind's own when empty.
        says: the rule in words, for those whose name is refused.
        dash: what stands for a dash, where the cloud takes none. A declared name has no underscore, so ``_`` may.
    """

    shape: str
    rule: str
    says: str
    source: str
    also: tuple[str, ...] = ()
    space: str = ""
    dash: str = "-"

    def physical(self, name: str) -> str:
        """What the declared ``name`` is called in the cloud."""
        return self.shape.format(name=name.replace("-", self.dash))

    def every(self, name: str) -> list[str]:
        """:meth:`physical`, and what is made beside it."""
        return [shape.format(name=name.replace("-", self.dash)) for shape in (self.shape, *self.also)]

    def takes(self, name: str) -> bool:
        """Whether the cloud takes what comes of ``name``."""
        return all(re.fullmatch(self.rule, one) for one in self.every(name))


FEATURES: Mapping[str, Mapping[str, str]] = {
    "bucket": {
        "if_absent": "a write that only creates",
        "if_match": "a write that only replaces a known version",
        "read_if": "a read of one known version, or of any but that",
        "copy": "a blob copied without its data passing through the function",
        "cache_control": "a Cache-Control kept with a blob",
        "signed_get": "a URL that reads one blob for a while",
        "signed_put": "a URL that writes one blob for a while",
    },
    "queue": {
        "delay": "a message hidden for a while when it is sent",
        "ordered": "messages of a group in the order they were sent",
        "dedup": "a message sent twice with one id kept once",
        "retry_after": "a failed message that comes back after a chosen while",
        "attempts": "the number of the delivery",
        "moves_dead_letters": "a message moved to the dead letters after max_attempts by the queue itself",
        "dead_letters": "dead letters that can be looked at",
        "redrive": "dead letters sent to the queue again",
        "extend": "a lease made longer while a message is worked on",
        "depth": "the number of waiting messages",
        "purge": "every waiting message dropped at once",
    },
    "topic": {
        "ordered": "messages of a group in the order they were published",
        "retry_after": "a failed message that comes back after a chosen while",
        "attempts": "the number of the delivery",
        "moves_dead_letters": "a message moved to the subscription's dead letters after max_attempts by itself",
        "dead_letters": "dead letters that can be looked at",
        "same_id": "a handler sees the id that publish returned",
    },
    "stream": {
        "send": "records sent by the app",
        "ends_batch": "records before the first failure of a batch that are not handed over again",
        "attempts": "the number of the delivery",
        "bisect": "a batch that failed as a whole, handed over again in halves",
        "parallel": "several batches of one partition at a time",
    },
    "table": {
        "transaction": "writes of several partitions, all or none",
        "partition_transaction": "writes of one partition, all or none",
        "removes_expired": "items past their time to live removed by the cloud itself",
        "changes": "a function called with each change of an item",
        "change_old": "a change with the item as it was before",
        "change_delete": "a change for an item that was deleted",
    },
    "secret": {
        "binary": "a value of bytes that are no text",
    },
    "config": {
        "live": "a changed value seen without a new deployment",
    },
    "sockets": {
        "serves": "websockets that a function can hold or be told of",
        "binary": "messages of bytes, in both directions",
        "knows_gone": "a send that says when the connection is gone",
    },
    "http": {
        "stream": "an answer sent while it is made",
        "background": "work done after the answer",
    },
    "cache": {
        "shared": "values that every instance sees",
        "add_bytes": "bytes that are no text, stored unless there is a value",
    },
}
"""Every feature a driver may lack, by kind of resource: what is not here, every driver has to give."""

ASKS: Mapping[str, Mapping[str, str]] = {
    "queue": {"ordered": "ordered", "dedup": "dedup", "retry": "retry_after"},
    "topic": {"ordered": "ordered", "retry": "retry_after"},
    "sockets": {"binary": "binary"},
}
"""By kind of resource: a declared option, and the feature it needs when it is set to anything but None, False or
empty. An option that is on no list needs nothing: every driver has to give it."""

TRIGGER_ASKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "socket": {"sockets": ("serves",)},
    "http": {"stream": ("stream",), "background": ("background",)},
    "stream": {"bisect": ("bisect",)},
    "change": {"table": ("changes",), "old": ("change_old", "change_delete")},
}
"""By kind of trigger: an option of its record, and the features its resource needs when that is set."""

BOUNDS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "http_seconds": (("http",), "s", "a request"),
    "event_seconds": (("message", "stream", "blob", "change", "schedule"), "s", "the handling of an event"),
    "memory": ((), "MiB", "an instance's memory"),
    "storage": ((), "MiB", "the disk under /tmp"),
    "request_bytes": (("http",), "B", "a request's body"),
    "answer_bytes": (("http",), "B", "an answer that is not streamed"),
    "message_bytes": (("queue",), "B", "a message of a queue"),
    "topic_bytes": (("topic",), "B", "a message of a topic"),
    "batch": (("queue", "topic"), "", "messages handed over at once"),
    "delay_seconds": (("queue",), "s", "the delay of a message"),
    "item_bytes": (("table",), "B", "an item of a table"),
    "socket_bytes": (("sockets",), "B", "a message of a websocket"),
    "environment_bytes": ((), "B", "the variables of a function"),
    "zip_bytes": ((), "B", "a zip"),
    "unpacked_bytes": ((), "B", "a bundle as it is unpacked"),
}
"""By name: kinds of triggers or resources it is about, none for every function; its unit; and what it bounds.
``portable_<name>.capabilities.BOUNDS`` gives a :class:`Bound` for each that the cloud has."""
