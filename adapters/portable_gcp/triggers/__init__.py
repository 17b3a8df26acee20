"""Event codecs, one class an event source: decode what functions-framework hands over, encode what it sends back.

What comes over HTTP is a Flask request, of which only attributes every WSGI request has are read; what comes as a
CloudEvent is the object of the ``cloudevents`` library. A malformed event raises HTTPError 400 naming what is wrong.
Which source calls a function is known from the build.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SOURCES", "codec"]

SOURCES = {
    "http": ("http",),
    "message": ("pubsub-push", "pubsub-eventarc"),
    "blob": ("storage-eventarc",),
    "change": ("firestore-eventarc",),
    "stream": (),
    "schedule": ("scheduler",),
    "direct": ("direct",),
    "socket": (),
}
"""The event sources of each kind of trigger, the default first."""


def codec(source: str) -> Any:
    """The class of an event source. Only its own module is imported. Raises ConfigError."""
    if source == "http":
        from portable_gcp.triggers.http import HTTP

        return HTTP
    if source in ("pubsub-push", "pubsub-eventarc"):
        from portable_gcp.triggers.pubsub import PubSubEventarc, PubSubPush

        return PubSubPush if source == "pubsub-push" else PubSubEventarc
    if source == "storage-eventarc":
        from portable_gcp.triggers.storage import StorageEventarc

        return StorageEventarc
    if source == "firestore-eventarc":
        from portable_gcp.triggers.firestore import FirestoreEventarc

        return FirestoreEventarc
    if source in ("scheduler", "direct"):
        from portable_gcp.triggers.posted import Direct, Scheduler

        return Scheduler if source == "scheduler" else Direct
    from portable.errors import ConfigError

    known = ", ".join(name for names in SOURCES.values() for name in names)
    raise ConfigError(f"Google Cloud has no event source {source!r}; it has {known}")
