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

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["FEATURES", "Capabilities", "Capability", "native", "portable", "refused"]


class Capability(msgspec.Struct, frozen=True):
    """What one adapter says of one feature.

    Attributes:
        how: ``"native"``: the cloud does it. ``"portable"``: our driver does it on top, and ``note`` says how and at
            what cost. ``"refused"``: the call raises UnsupportedError, and the build refuses a declaration of it.
        note: limits with their units, or why not and the way out.
        source: where the figure or the claim is from; a documentation page, a service model, or a test here.
    """

    how: Literal["native", "portable", "refused"]
    note: str = ""
    source: str = ""

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


def refused(note: str, *, source: str) -> Capability:
    """It cannot be had; ``note`` says why, and the way out."""
    return Capability("refused", note, source)


FEATURES: Mapping[str, Mapping[str, str]] = {
    "bucket": {
        "if_absent": "a write that only creates",
        "if_match": "a write that only replaces a known version",
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
}
"""Every feature a driver may lack, by kind of resource: what is not here, every driver has to give."""
